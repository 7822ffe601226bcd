//! References to images that exist already, as `image` names them.

use oci_spec::distribution::Reference;

/// A valid reference to an image: `[REGISTRY/]NAME[:TAG][@DIGEST]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageReference(Reference);

/// Where a private ECR repository is, as the host of its registry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHome {
    /// Account of the registry, 12 digits.
    pub account: String,
    /// Region of the registry.
    pub region: String,
}

impl ImageReference {
    /// Parses a reference. `None` if it has another form.
    ///
    /// A name without a registry is one of Docker Hub, and one without a tag and a digest has the tag `latest`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(ImageReference)
    }

    /// Returns the digest, `sha256:...`, if the reference has one.
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Returns the reference of the same image by its digest alone, for pods and for a copy.
    pub fn at(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.0.registry(), self.0.repository())
    }

    /// Returns the name of the image, without registry, tag and digest.
    pub fn name(&self) -> &str {
        self.0.repository()
    }

    /// Returns the tag, or the digest.
    pub fn version(&self) -> &str {
        self.0.digest().or(self.0.tag()).unwrap_or("latest")
    }

    /// Returns where the registry is if it is a private one of ECR.
    /// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>
    pub fn ecr(&self) -> Option<EcrHome> {
        let host = self.0.registry();
        let (account, rest) = host.split_once(".dkr.")?;
        let rest = rest.strip_prefix("ecr.").or_else(|| rest.strip_prefix("ecr-fips."))?;
        let (region, domain) = rest.split_once('.')?;
        let sound = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        (sound && domain.starts_with("amazonaws."))
            .then(|| EcrHome { account: account.to_owned(), region: region.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_container_runtimes_read_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, at, version) in [
            ("nginx", format!("docker.io/library/nginx@{digest}"), "latest"),
            ("ghcr.io/acme/shop:1.2", format!("ghcr.io/acme/shop@{digest}"), "1.2"),
            ("localhost:5000/shop", format!("localhost:5000/shop@{digest}"), "latest"),
        ] {
            let read = ImageReference::parse(text).unwrap();
            assert_eq!((read.at(&digest), read.version(), read.digest()), (at, version, None), "{text}");
            assert_eq!(read.ecr(), None);
        }
        let pinned = ImageReference::parse(&format!("ghcr.io/acme/shop:1.2@{digest}")).unwrap();
        assert_eq!((pinned.digest(), pinned.version()), (Some(digest.as_str()), digest.as_str()));
        for text in ["", "Shop", "ghcr.io/acme/shop:", "a b", "shop@sha256:1", "https://ghcr.io/acme/shop"] {
            assert_eq!(ImageReference::parse(text), None, "{text}");
        }
        let of = |host: &str| ImageReference::parse(&format!("{host}/team/shop:1")).unwrap().ecr();
        let home = |account: &str, region: &str| {
            Some(EcrHome { account: account.to_owned(), region: region.to_owned() })
        };
        let own = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        assert_eq!(of(own), home("123456789012", "eu-central-1"));
        assert_eq!(
            of("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com"),
            home("123456789012", "us-east-1")
        );
        assert_eq!(
            of("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            home("123456789012", "cn-north-1")
        );
        assert_eq!(of("public.ecr.aws"), None);
        assert_eq!(of("123456789012.dkr.ecr.eu-central-1.example.com"), None);
    }
}
