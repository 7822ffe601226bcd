//! An EC2 key pair: a public key given in the file, or one whose private half is made here and stays here.

use super::{Asked, Found, Lifecycle, Lost};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, once, retag_ec2},
    model::{Changes, Desired, Fault, Identity, Intent, Ready, Resource, Snapshot},
};
use aws_sdk_ec2::types::{Filter, KeyPairInfo, ResourceType};
use aws_smithy_types::Blob;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct KeyPair;

/// Where the public key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MaterialSpec {
    /// It is this one, in OpenSSH's form.
    Public(String),
    /// It belongs to the private key in this file, which is made where it is missing.
    Private(String),
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// Where the public key comes from.
    pub material: MaterialSpec,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `key-...`
    pub id: String,
    /// The name.
    pub name: String,
    /// The public key, in OpenSSH's form without its comment.
    pub public_key: String,
    /// Tags.
    pub tags: Tags,
}

impl Spec {
    /// A pair of this public key. An instance keeps the key that it started with, so another key has another name: with
    /// it comes another version of the launch template, and new nodes.
    pub fn public(prefix: &str, key: &str, tags: Tags) -> Self {
        let key = bare(key);
        let mark: String = Snapshot::hash(key.as_bytes()).chars().take(8).collect();
        Spec { name: format!("{prefix}-{mark}"), material: MaterialSpec::Public(key), tags }
    }
}

impl Desired for Spec {
    const KIND: &'static str = KeyPair::KIND;
}

/// Type and key, without the comment, which EC2 replaces by the pair's name.
fn bare(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

impl Resource for KeyPair {
    const KIND: &'static str = "key_pair";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeKeyPairs",
        "ec2:ImportKeyPair",
        "ec2:DeleteKeyPair",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::Name;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default().fixed("name", &want.name, &live.name);
        // The file with a private half may be on another machine: what was imported once counts.
        let changes = match &want.material {
            MaterialSpec::Public(key) => changes.fixed("publicKey", &bare(key), &live.public_key),
            MaterialSpec::Private(_) => changes,
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for KeyPair {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut pairs = list(cx, by_owner(&cx.owner)).await?;
        let mut names: Vec<String> =
            asked.iter().filter_map(|asked| Some(asked.want.as_ref()?.name.clone())).collect();
        names.retain(|name| !pairs.iter().any(|pair| pair.key_name.as_ref() == Some(name)));
        if !names.is_empty() {
            pairs.extend(list(cx, vec![filter("key-name", names)]).await?);
        }
        let found = pairs.into_iter().map(live).filter_map(|live| {
            let named = |asked: &&Asked<Self>| asked.want.as_ref().is_some_and(|want| want.name == live.name);
            let address = asked
                .place(&live.id, &live.tags, |live| &live.id)
                .or_else(|| asked.iter().find(named).map(|asked| asked.address.clone()))?;
            Some(Found { address, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let public = match &want.material {
            MaterialSpec::Public(key) => key.clone(),
            // The file comes first: a pair whose private half was lost on the way would be of no use.
            MaterialSpec::Private(file) => crate::aws::private_key(file, &want.name).await?,
        };
        let call = cx
            .ec2
            .import_key_pair()
            .key_name(&want.name)
            .public_key_material(Blob::new(public))
            .tag_specifications(ec2_tags(ResourceType::KeyPair, &want.tags, intent));
        let call = call.customize().config_override(once!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "ImportKeyPair")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(cx.ec2.delete_key_pair().key_pair_id(&live.id).send().await.call("ec2", "DeleteKeyPair"))
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<KeyPairInfo>, Fault> {
    let call = cx.ec2.describe_key_pairs().set_filters(Some(filters)).include_public_key(true);
    Ok(call.send().await.call("ec2", "DescribeKeyPairs")?.key_pairs.unwrap_or_default())
}

fn live(pair: KeyPairInfo) -> Live {
    Live {
        id: pair.key_pair_id.unwrap_or_default(),
        name: pair.key_name.unwrap_or_default(),
        public_key: bare(pair.public_key.as_deref().unwrap_or_default()),
        tags: from_ec2(pair.tags.as_deref()),
    }
}
