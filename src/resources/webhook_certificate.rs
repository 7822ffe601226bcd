//! A certificate for webhooks in the cluster, with its own certificate authority, in a Secret.
//!
//! The keys are generated on this machine. The certificate's key is written to the Secret only; the
//! authority's key is discarded.

use super::{
    cluster_secret::{self, SecretLook},
    prelude::*,
};
use crate::{
    kube::{self, Apply, ObjectRef},
    model::{Address, object, tag},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// TLS certificate for webhooks in the cluster, with its own certificate authority, in a Secret.
pub struct WebhookCertificate;

/// How long a certificate is valid.
const VALIDITY: Duration = Duration::days(3 * 365);

/// How long before its end a certificate is replaced.
const RENEW_BEFORE: Duration = Duration::days(60);

/// Annotation with the end of the validity, RFC 3339.
const UNTIL_ANNOTATION: &str = "provisioner/valid-until";

/// Annotation with the DNS names, separated by commas.
const NAMES_ANNOTATION: &str = "provisioner/dns-names";

/// Desired certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// DNS names of the certificate, such as `webhook.kube-system.svc`.
    pub dns_names: Vec<String>,
    /// Wanted tags; the owner tags among them are written as annotations.
    pub tags: Tags,
}

/// Certificate as its Secret holds it, without the private key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// UID of the Secret, which a later Secret of the same name does not have.
    pub id: String,
    /// DNS names of the certificate.
    pub dns_names: Vec<String>,
    /// Certificate of the authority, PEM in base64.
    pub ca: String,
    /// End of the validity, RFC 3339.
    pub until: String,
    /// Whether the key exists and the end is more than 60 days away.
    pub fresh: bool,
    /// Owner tags, from the annotations.
    pub tags: Tags,
    /// Why the Secret could not be read; the other fields are then those recorded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

/// Field [`Live::ca`].
pub const CA: Field = Field::new("ca");

impl Desired for Spec {
    const KIND: &'static str = WebhookCertificate::KIND;
}

impl Resource for WebhookCertificate {
    const INFO: KindInfo = KindInfo {
        name: "webhook_certificate",
        identity: Identity::Name,
        supplies: &[CA],
        computed_on_update: &["ca"],
        parent: Some(("eks_cluster", "cluster")),
        may_be_unreachable: true,
        birth_mark: Some("id"),
        iam: &[(IamScope::EKS, &["eks:DescribeCluster"])],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        if let Some(why) = &live.unseen {
            return kube::not_compared(why);
        }
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("namespace", &want.namespace, &live.namespace)
            .fixed("name", &want.name, &live.name)
            .mutable("dnsNames", &sorted_set(&want.dns_names), &sorted_set(&live.dns_names))
            .mutable("fresh", &true, &live.fresh)
    }

    fn ready(live: &Live) -> Readiness {
        // Waits until the Secret can be read: a new certificate is created only if one is known to be needed.
        live.unseen.clone().map_or(Readiness::Ready, Readiness::Waiting)
    }

    fn assume_recorded(recorded: Live, why: &str) -> Live {
        Live { unseen: Some(why.to_owned()), ..recorded }
    }
}

impl Lifecycle for WebhookCertificate {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let mut found = Vec::new();
        for asked in asked {
            let named = asked.want.as_ref().map(|it| (&it.cluster, &it.namespace, &it.name));
            let last = || asked.recorded.as_ref().map(|it| (&it.cluster, &it.namespace, &it.name));
            let Some((name, namespace, secret)) = named.or_else(last) else { continue };
            let place = ObjectRef::secret(namespace, secret);
            let there = match cluster_secret::find(cx, name, &place).await? {
                SecretLook::Absent => None,
                SecretLook::Denied(why) => {
                    asked.recorded.clone().map(|last| WebhookCertificate::assume_recorded(last, &why))
                }
                SecretLook::Found(object) => Some(live(name, &object)?),
            };
            found.extend(there.map(|live| FoundResource { address: asked.address.clone(), live }));
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let place = ObjectRef::secret(&want.namespace, &want.name);
        cluster_secret::refuse_foreign(cx, &want.cluster, &place).await?;
        put(cx, want, Some(&intent.nonce)).await
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        put(cx, want, live.tags.get(tag::INTENT)).await.map(|()| None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let place = ObjectRef::secret(&live.namespace, &live.name);
        cluster_secret::delete(cx, &live.cluster, &place, &live.id).await
    }
}

async fn put(cx: &Cx, want: &Spec, nonce: Option<&String>) -> Result<(), CallError> {
    let object = secret(want, OffsetDateTime::now_utc())?;
    let address = want.tags.get(tag::RESOURCE).map(|address| Address::from(address.as_str()));
    let forced = address.is_some_and(|address| cx.takes_fields(&address));
    let how = if forced { Apply::Forced } else { Apply::Now };
    cluster_secret::write(cx, &want.cluster, object, nonce, how).await
}

/// Builds the Secret with a new certificate.
fn secret(want: &Spec, now: OffsetDateTime) -> Result<Value, CallError> {
    let failed = |error: rcgen::Error| CallError::bug(format!("webhook certificate not generated: {error}"));
    let until = (now + VALIDITY).replace_nanosecond(0).unwrap_or(now + VALIDITY);
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("{} webhooks", want.name));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // The clocks of nodes may be behind this machine's.
    authority.not_before = now - Duration::hours(1);
    authority.not_after = until;
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(failed)?).map_err(failed)?;
    let mut leaf = CertificateParams::new(want.dns_names.clone()).map_err(failed)?;
    leaf.distinguished_name.push(DnType::CommonName, want.name.clone());
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.not_before = now - Duration::hours(1);
    leaf.not_after = until;
    let key = KeyPair::generate().map_err(failed)?;
    let leaf = leaf.signed_by(&key, &authority).map_err(failed)?;
    let until = until.format(&Rfc3339).map_err(|error| CallError::bug(error.to_string()))?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": want.name,
            "namespace": want.namespace,
            "labels": {"app.kubernetes.io/managed-by": "provisioner"},
            "annotations": {UNTIL_ANNOTATION: until, NAMES_ANNOTATION: want.dns_names.join(",")},
        },
        "data": {
            "ca.crt": STANDARD.encode(authority.pem()),
            "tls.crt": STANDARD.encode(leaf.pem()),
            "tls.key": STANDARD.encode(key.serialize_pem()),
        },
    });
    Ok(object::owned(object, &want.tags))
}

fn live(cluster: &str, object: &Value) -> Result<Live, CallError> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let note = |name: &str| text(&format!("/metadata/annotations/{}", name.replace('/', "~1")));
    let until = note(UNTIL_ANNOTATION);
    let end = OffsetDateTime::parse(&until, &Rfc3339).ok();
    Ok(Live {
        cluster: cluster.to_owned(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        id: kube::uid(object)?,
        dns_names: note(NAMES_ANNOTATION)
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        ca: text("/data/ca.crt"),
        unseen: None,
        fresh: end.is_some_and(|end| end - OffsetDateTime::now_utc() > RENEW_BEFORE)
            && !text("/data/tls.key").is_empty(),
        until,
        tags: object::marks(object),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_only_in_the_secret() {
        let want = Spec {
            cluster: "c".to_owned(),
            namespace: "kube-system".to_owned(),
            name: "tls".to_owned(),
            dns_names: vec!["a.kube-system.svc".to_owned()],
            tags: Tags::new(),
        };
        let mut object = secret(&want, OffsetDateTime::now_utc()).unwrap();
        let key =
            String::from_utf8(STANDARD.decode(object["data"]["tls.key"].as_str().unwrap()).unwrap()).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        object["metadata"]["uid"] = json!("u");
        let seen = live("c", &object).unwrap();
        assert!(seen.fresh && WebhookCertificate::diff(&want, &seen).is_empty());
        assert!(!serde_json::to_string(&seen).unwrap().contains(object["data"]["tls.key"].as_str().unwrap()));
        let mut old = secret(&want, OffsetDateTime::now_utc() - VALIDITY + Duration::days(30)).unwrap();
        assert!(live("c", &old).is_err(), "an object of the API server has a uid");
        old["metadata"]["uid"] = json!("u");
        assert!(!live("c", &old).unwrap().fresh, "it is renewed 60 days before its end");
        let more = Spec { dns_names: vec!["b".to_owned()], ..want };
        assert_eq!(WebhookCertificate::diff(&more, &seen).0.len(), 1);
    }
}
