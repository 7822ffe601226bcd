//! A certificate for webhooks in the cluster, with an authority of its own, in a Secret. The keys are made here, go into the
//! Secret and nowhere else; the authority's key is not kept at all.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Cx, Tags},
    kube::{self, Apply, Place},
    model::{Changes, Class, Desired, Fault, Identity, Intent, Ready, Resource, object, same_set},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The kind.
pub struct WebhookCertificate;

/// How long a certificate is good, and how long before its end it is made anew.
const LIFE: Duration = Duration::days(3 * 365);
const EARLY: Duration = Duration::days(60);

const UNTIL: &str = "provisioner/valid-until";
const NAMES: &str = "provisioner/dns-names";

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The DNS names that it is for.
    pub dns_names: Vec<String>,
    /// Tags; the owner's are written as annotations.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// See [`Spec::namespace`].
    pub namespace: String,
    /// See [`Spec::name`].
    pub name: String,
    /// What the cluster tells it by from another of the same name.
    pub id: String,
    /// See [`Spec::dns_names`].
    pub dns_names: Vec<String>,
    /// The authority's certificate, PEM in base64.
    pub ca: String,
    /// Its end, RFC 3339.
    pub until: String,
    /// Whether that is far enough.
    pub fresh: bool,
    /// Whose it is.
    pub tags: Tags,
    /// Why nobody could look, where this is what was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

impl Desired for Spec {
    const KIND: &'static str = WebhookCertificate::KIND;
}

impl Resource for WebhookCertificate {
    const KIND: &'static str = "webhook_certificate";
    const IAM: &'static [&'static str] = &["eks:DescribeCluster"];
    const IDENTITY: Identity = Identity::Name;
    const MOVES: &'static [&'static str] = &["ca"];
    const HIDES: bool = true;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
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
            .mutable("dnsNames", &same_set(&want.dns_names), &same_set(&live.dns_names))
            .mutable("fresh", &true, &live.fresh)
    }

    fn ready(live: &Live) -> Ready {
        // Another certificate is made only where it is known to be needed.
        live.unseen.clone().map_or(Ready::Yes, Ready::Wait)
    }

    fn unseen(recorded: Live, why: &str) -> Live {
        Live { unseen: Some(why.to_owned()), ..recorded }
    }
}

impl Lifecycle for WebhookCertificate {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut found = Vec::new();
        for asked in asked {
            let named = asked.want.as_ref().map(|want| (&want.cluster, place(&want.namespace, &want.name)));
            let last = || asked.last.as_ref().map(|last| (&last.cluster, place(&last.namespace, &last.name)));
            let Some((name, place)) = named.or_else(last) else { continue };
            let Some(cluster) = kube::cluster(cx, name).await? else { continue };
            let there = match kube::forget_on_silence(cx, cluster.get(&place).await) {
                // See `manifest.rs`.
                Err(fault) if kube::shut_out(&fault) => {
                    let why = format!("the cluster does not let the caller look: {}", fault.message);
                    asked.last.clone().map(|last| WebhookCertificate::unseen(last, &why))
                }
                object => object?.map(|object| live(name, &object)),
            };
            found.extend(there.map(|live| Found { address: asked.address.clone(), live }));
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, _: &Intent) -> Result<(), Fault> {
        put(cx, want).await
    }

    async fn sync(cx: &Cx, want: &Spec, _: &Live) -> Result<(), Fault> {
        put(cx, want).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        match kube::cluster(cx, &live.cluster).await? {
            Some(cluster) => cluster.delete(&place(&live.namespace, &live.name), &live.id).await,
            // With the cluster went all that was in it.
            None => Ok(()),
        }
    }
}

fn place(namespace: &str, name: &str) -> Place {
    Place {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

async fn put(cx: &Cx, want: &Spec) -> Result<(), Fault> {
    let missing = || Fault::new(Class::Eventual, format!("cluster {} has no API server yet", want.cluster));
    let cluster = kube::cluster(cx, &want.cluster).await?.ok_or_else(missing)?;
    let object = secret(want, OffsetDateTime::now_utc())?;
    kube::forget_on_silence(cx, cluster.apply(&object, Apply::Now).await).map(drop)
}

/// The Secret with a new certificate.
fn secret(want: &Spec, now: OffsetDateTime) -> Result<Value, Fault> {
    let failed = |error: rcgen::Error| Fault::bug(format!("the certificate cannot be made: {error}"));
    let until = (now + LIFE).replace_nanosecond(0).unwrap_or(now + LIFE);
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("{} webhooks", want.name));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Clocks differ.
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
    let until = until.format(&Rfc3339).map_err(|error| Fault::bug(error.to_string()))?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": want.name,
            "namespace": want.namespace,
            "labels": {"app.kubernetes.io/managed-by": "provisioner"},
            "annotations": {UNTIL: until, NAMES: want.dns_names.join(",")},
        },
        "data": {
            "ca.crt": STANDARD.encode(authority.pem()),
            "tls.crt": STANDARD.encode(leaf.pem()),
            "tls.key": STANDARD.encode(key.serialize_pem()),
        },
    });
    Ok(object::owned(object, &want.tags))
}

fn live(cluster: &str, object: &Value) -> Live {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let note = |name: &str| text(&format!("/metadata/annotations/{}", name.replace('/', "~1")));
    let until = note(UNTIL);
    let end = OffsetDateTime::parse(&until, &Rfc3339).ok();
    Live {
        cluster: cluster.to_owned(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        id: text("/metadata/uid"),
        dns_names: note(NAMES).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        ca: text("/data/ca.crt"),
        unseen: None,
        fresh: end.is_some_and(|end| end - OffsetDateTime::now_utc() > EARLY)
            && !text("/data/tls.key").is_empty(),
        until,
        tags: object::marks(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_in_the_secret_alone() {
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
        let seen = live("c", &object);
        assert!(seen.fresh && WebhookCertificate::diff(&want, &seen).is_empty());
        assert!(!serde_json::to_string(&seen).unwrap().contains(object["data"]["tls.key"].as_str().unwrap()));
        let old = secret(&want, OffsetDateTime::now_utc() - LIFE + Duration::days(30)).unwrap();
        assert!(!live("c", &old).fresh, "a month before its end it is made anew");
        let more = Spec { dns_names: vec!["b".to_owned()], ..want };
        assert_eq!(WebhookCertificate::diff(&more, &seen).0.len(), 1);
    }
}
