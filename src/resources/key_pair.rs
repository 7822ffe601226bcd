//! An EC2 key pair: a public key from the stack file, or one that is generated on this machine. The private
//! key never leaves the machine.

use super::prelude::*;
use crate::model::Snapshot;
use aws_sdk_ec2::types::{Filter, KeyPairInfo, ResourceType};
use aws_smithy_types::Blob;

/// EC2 key pair, for SSH access to nodes.
pub struct KeyPair;

/// Source of the public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MaterialSpec {
    /// The key itself, in OpenSSH's form (`ssh-ed25519 AAAA...`).
    Public(String),
    /// Path of a file with the private key; the key is generated if the file does not exist.
    Private(String),
}

/// Desired key pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name, unique in the account and region.
    pub name: String,
    /// Source of the public key.
    pub material: MaterialSpec,
    /// Wanted tags of the key pair: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Key pair as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Key pair id, `key-0123456789abcdef0`.
    pub id: String,
    /// Name, which nodes and launch templates refer to.
    pub name: String,
    /// Public key in OpenSSH's form, without its comment; empty if EC2 did not keep it.
    pub public_key: String,
    /// Tags that the key pair has, with those that other programs set.
    pub tags: Tags,
}

/// Field [`Live::name`].
pub const NAME: Field = Field::new("name");

impl Spec {
    /// Returns the spec of a given public key, named `PREFIX-HASH`. An instance keeps the key that it was
    /// started with, so another key gets another name, which leads to a new version of the launch template
    /// and to new nodes.
    pub fn public(prefix: &str, key: &str, tags: Tags) -> Self {
        let key = without_comment(key);
        let mark: String = Snapshot::hash(key.as_bytes()).chars().take(8).collect();
        Spec { name: format!("{prefix}-{mark}"), material: MaterialSpec::Public(key), tags }
    }
}

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = KeyPair::KIND;
}

/// Returns type and key without the comment, which EC2 replaces by the pair's name.
fn without_comment(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

impl Resource for KeyPair {
    const INFO: KindInfo = KindInfo {
        name: "key_pair",
        identity: Identity::Name,
        supplies: &[NAME],
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeKeyPairs"]),
            (IamScope::EC2_WRITE, &["ec2:ImportKeyPair", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:DeleteKeyPair"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default().fixed("name", &want.name, &live.name);
        // The file with the private key may be on another machine, so the imported key is not compared with
        // it.
        let changes = match &want.material {
            MaterialSpec::Public(key) => changes.fixed("publicKey", &without_comment(key), &live.public_key),
            MaterialSpec::Private(_) => changes,
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for KeyPair {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let mut pairs = list(cx, by_owner(&cx.owner)).await?;
        let mut names: Vec<String> =
            asked.iter().filter_map(|asked| Some(asked.want.as_ref()?.name.clone())).collect();
        names.retain(|name| !pairs.iter().any(|pair| pair.name == *name));
        if !names.is_empty() {
            pairs.extend(list(cx, vec![filter("key-name", names)]).await?);
        }
        let found = pairs.into_iter().filter_map(|live| {
            let named =
                |asked: &&TypedLookup<Self>| asked.want.as_ref().is_some_and(|want| want.name == live.name);
            let address = address_of(asked, &live)
                .or_else(|| asked.iter().find(named).map(|asked| asked.address.clone()))?;
            Some(FoundResource { address, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let public = match &want.material {
            MaterialSpec::Public(key) => key.clone(),
            // Writes the private key before the import: a pair without its private key is useless.
            MaterialSpec::Private(file) => crate::aws::private_key(file, &want.name).await?,
        };
        let call = cx
            .ec2
            .import_key_pair()
            .key_name(&want.name)
            .public_key_material(Blob::new(public))
            .tag_specifications(ec2_tags(ResourceType::KeyPair, &want.tags, intent));
        let call = call.customize().config_override(single_shot!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.ec2.delete_key_pair().key_pair_id(&live.id).send().await.gone_is_done()
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let call = cx.ec2.describe_key_pairs().set_filters(Some(filters)).include_public_key(true);
    let answer = call.send().await;
    answer.read(|answer| answer.key_pairs.unwrap_or_default().into_iter().map(live).collect())
}

fn live(pair: KeyPairInfo) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(pair.key_pair_id, "keyPairId")?,
        name: required(pair.key_name, "keyName")?,
        public_key: without_comment(&optional_text(pair.public_key)),
        tags: from_ec2(pair.tags.as_deref()),
    })
}
