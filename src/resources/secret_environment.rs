//! Environment variables for the application's pods with the values of SSM parameters, in a Secret of the cluster.
//!
//! The values are read from SSM where they are needed, compared in memory and written to the Secret only: they are never
//! part of a spec, a live form or a message. The Secret's annotations name the parameters and the versions that it holds.

use super::{
    cluster_secret::{self, SecretLook},
    prelude::*,
};
use crate::{
    kube::{self, Apply, ObjectRef},
    model::{Change, object, tag},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Environment variables with the values of SSM parameters, in a Secret.
pub struct SecretEnvironment;

/// How many names `GetParameters` takes.
const GET: usize = 10;

/// Annotation with the parameter of each variable, a JSON object.
const VARIABLES_ANNOTATION: &str = "provisioner/variables";

/// Annotation with the version of each parameter, a JSON object.
const VERSIONS_ANNOTATION: &str = "provisioner/parameter-versions";

/// Annotation with the time at which the values were written, RFC 3339.
const WRITTEN_ANNOTATION: &str = "provisioner/written";

/// Desired environment variables.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Name of the SSM parameter, by variable.
    pub variables: BTreeMap<String, String>,
    /// Version of each SSM parameter, by its name.
    pub versions: BTreeMap<String, In<i64>>,
    /// Wanted tags; the owner tags among them are written as annotations.
    pub tags: Tags,
}

/// Environment variables as their Secret holds them, without the values.
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
    /// See [`Spec::variables`].
    pub variables: BTreeMap<String, String>,
    /// See [`Spec::versions`].
    pub versions: BTreeMap<String, i64>,
    /// Text that differs after each write: pods that have it in their template are replaced then.
    pub revision: String,
    /// Names of the variables whose value is not that of their parameter.
    pub different: BTreeSet<String>,
    /// Owner tags, from the annotations.
    pub tags: Tags,
    /// Why the Secret could not be read; the other fields are then those recorded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

/// Field [`Live::revision`].
pub const REVISION: Field = Field::new("revision");

impl Desired for Spec {
    const KIND: &'static str = SecretEnvironment::KIND;
}

impl Resource for SecretEnvironment {
    const INFO: KindInfo = KindInfo {
        name: "secret_environment",
        identity: Identity::Name,
        supplies: &[REVISION],
        computed_on_update: &["revision"],
        parent: Some(("eks_cluster", "cluster")),
        may_be_unreachable: true,
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EKS, &["eks:DescribeCluster"]),
            (IamScope::PARAMETERS, &["ssm:GetParameters"]),
            (IamScope::KEY, &["kms:Decrypt"]),
            (IamScope::GIVEN_KEY, &["kms:Decrypt"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        if let Some(why) = &live.unseen {
            return kube::not_compared(why);
        }
        let mut changes = Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("namespace", &want.namespace, &live.namespace)
            .fixed("name", &want.name, &live.name)
            .mutable("variables", &want.variables, &live.variables)
            .mutable("versions", &want.versions, &live.versions);
        changes.0.extend(live.different.iter().filter_map(|name| {
            let parameter = want.variables.get(name)?;
            Some(Change {
                path: format!("values.{name}"),
                old: json!("another"),
                new: json!(format!("that of {parameter}")),
                forces_replace: false,
            })
        }));
        changes
    }

    fn ready(live: &Live) -> Readiness {
        live.unseen.clone().map_or(Readiness::Ready, Readiness::Waiting)
    }

    fn assume_recorded(recorded: Live, why: &str) -> Live {
        Live { unseen: Some(why.to_owned()), ..recorded }
    }
}

impl Lifecycle for SecretEnvironment {
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
                    asked.recorded.clone().map(|last| Self::assume_recorded(last, &why))
                }
                SecretLook::Found(object) => {
                    let values = values(cx, asked.want.as_ref()).await?;
                    Some(live(name, &object, asked.want.as_ref(), &values)?)
                }
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

/// The value of a parameter with its version. Neither printed nor serialised.
struct Versioned {
    value: String,
    version: i64,
}

/// Returns the parameters that exist, by name. Empty if their key cannot be used, which the plan of the key says.
async fn values(cx: &Cx, want: Option<&Spec>) -> Result<BTreeMap<String, Versioned>, CallError> {
    let Some(want) = want else { return Ok(BTreeMap::new()) };
    match read(cx, want).await {
        Err(error) if error.code == "InvalidKeyId" => Ok(BTreeMap::new()),
        read => read,
    }
}

async fn read(cx: &Cx, want: &Spec) -> Result<BTreeMap<String, Versioned>, CallError> {
    let names: Vec<&String> = want.versions.keys().collect();
    let mut found = BTreeMap::new();
    for names in names.chunks(GET) {
        let names = names.iter().map(|name| (*name).clone()).collect();
        let call = cx.ssm.get_parameters().set_names(Some(names)).with_decryption(true).send().await;
        let more = call.read(|answer| {
            let each = answer.parameters.unwrap_or_default().into_iter().map(|parameter| {
                let value =
                    Versioned { value: required(parameter.value, "Value")?, version: parameter.version };
                Ok((required(parameter.name, "Name")?, value))
            });
            each.collect::<Result<Vec<_>, MissingField>>()
        });
        found.extend(more?);
    }
    Ok(found)
}

async fn put(cx: &Cx, want: &Spec, nonce: Option<&String>) -> Result<(), CallError> {
    let values = read(cx, want).await?;
    let object = secret(want, &values, OffsetDateTime::now_utc())?;
    // The plan shows what another manager changed, and this sets it back.
    let written = cluster_secret::write(cx, &want.cluster, object.clone(), nonce, Apply::Forced).await;
    written.map_err(|error| kube::without_values(error, &object))
}

/// Builds the Secret with the values of its parameters.
fn secret(
    want: &Spec,
    values: &BTreeMap<String, Versioned>,
    now: OffsetDateTime,
) -> Result<Value, CallError> {
    let mut versions = BTreeMap::new();
    for (name, wanted) in &want.versions {
        let found = values.get(name);
        // SSM may answer with an earlier version for a moment.
        let Some(found) = found.filter(|found| wanted.known().is_none_or(|wanted| found.version >= *wanted))
        else {
            let message = format!("SSM parameter {name} does not have its new value yet");
            return Err(CallError::new(ErrorKind::Eventual, message));
        };
        versions.insert(name, found.version);
    }
    let data = want.variables.iter().filter_map(|(variable, parameter)| {
        Some((variable.clone(), json!(STANDARD.encode(&values.get(parameter)?.value))))
    });
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let written = now.format(&Rfc3339).map_err(|error| CallError::bug(error.to_string()))?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": want.name,
            "namespace": want.namespace,
            "labels": {"app.kubernetes.io/managed-by": "provisioner"},
            "annotations": {
                VARIABLES_ANNOTATION: json!(want.variables).to_string(),
                VERSIONS_ANNOTATION: json!(versions).to_string(),
                WRITTEN_ANNOTATION: written,
            },
        },
        "data": data.collect::<serde_json::Map<_, _>>(),
    });
    Ok(object::owned(object, &want.tags))
}

fn live(
    cluster: &str,
    object: &Value,
    want: Option<&Spec>,
    values: &BTreeMap<String, Versioned>,
) -> Result<Live, CallError> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let note = |name: &str| text(&format!("/metadata/annotations/{}", name.replace('/', "~1")));
    let versions: BTreeMap<String, i64> =
        serde_json::from_str(&note(VERSIONS_ANNOTATION)).unwrap_or_default();
    let held: Vec<String> = versions.iter().map(|(name, version)| format!("{name}:{version}")).collect();
    let wanted = want.iter().flat_map(|want| &want.variables);
    let different = wanted.filter(|(variable, parameter)| {
        let Some(value) = values.get(*parameter) else { return false };
        let there = object.pointer(&format!("/data/{variable}")).and_then(Value::as_str).unwrap_or_default();
        STANDARD.decode(there).ok().as_deref() != Some(value.value.as_bytes())
    });
    Ok(Live {
        cluster: cluster.to_owned(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        id: kube::uid(object)?,
        variables: serde_json::from_str(&note(VARIABLES_ANNOTATION)).unwrap_or_default(),
        revision: format!("{} {}", held.join(","), note(WRITTEN_ANNOTATION)),
        versions,
        different: different.map(|(variable, _)| variable.clone()).collect(),
        tags: object::marks(object),
        unseen: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want() -> Spec {
        Spec {
            cluster: "c".to_owned(),
            namespace: "demo".to_owned(),
            name: "web-secrets".to_owned(),
            variables: [("DB_PASSWORD".to_owned(), "/shop/password".to_owned())].into(),
            versions: [("/shop/password".to_owned(), In::Known(3))].into(),
            tags: Tags::new(),
        }
    }

    fn values(value: &str, version: i64) -> BTreeMap<String, Versioned> {
        [("/shop/password".to_owned(), Versioned { value: value.to_owned(), version })].into()
    }

    #[test]
    fn the_values_are_only_in_the_secret() {
        let (want, known) = (want(), values("correct horse", 3));
        let mut object = secret(&want, &known, OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(object["data"]["DB_PASSWORD"], STANDARD.encode("correct horse"));
        object["metadata"]["uid"] = json!("u");
        let seen = live("c", &object, Some(&want), &known).unwrap();
        assert!(SecretEnvironment::diff(&want, &seen).is_empty());
        assert_eq!(seen.revision, "/shop/password:3 1970-01-01T00:00:00Z");
        let metadata = object["metadata"].to_string();
        for text in [serde_json::to_string(&seen).unwrap(), format!("{seen:?}{want:?}"), metadata] {
            assert!(!text.contains("correct") && !text.contains(&STANDARD.encode("correct horse")), "{text}");
        }
    }

    #[test]
    fn another_value_is_drift_that_is_shown_without_it() {
        let (want, known) = (want(), values("correct horse", 3));
        let mut object = secret(&want, &known, OffsetDateTime::UNIX_EPOCH).unwrap();
        object["metadata"]["uid"] = json!("u");
        for data in
            [json!({"DB_PASSWORD": STANDARD.encode("intruder")}), json!({}), json!({"DB_PASSWORD": "?"})]
        {
            object["data"] = data;
            let seen = live("c", &object, Some(&want), &known).unwrap();
            let changes = SecretEnvironment::diff(&want, &seen);
            let text = serde_json::to_string(&changes).unwrap();
            assert_eq!(changes.0.len(), 1, "{text}");
            assert!(changes.0[0].path == "values.DB_PASSWORD" && !text.contains("intruder"), "{text}");
            // Without the parameter, nothing is known of the value.
            let seen = live("c", &object, Some(&want), &BTreeMap::new()).unwrap();
            assert!(SecretEnvironment::diff(&want, &seen).is_empty());
        }
    }

    #[test]
    fn a_version_that_is_not_readable_yet_is_waited_for() {
        for known in [BTreeMap::new(), values("old", 2)] {
            let error = secret(&want(), &known, OffsetDateTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.class, ErrorKind::Eventual);
            assert!(!error.to_string().contains("old"));
        }
        assert!(secret(&want(), &values("new", 4), OffsetDateTime::UNIX_EPOCH).is_ok());
    }
}
