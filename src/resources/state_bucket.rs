//! The bucket that holds the state of every stack of an account and region.
//!
//! Its policy makes everybody, even an old program, write by compare-and-swap: an unconditional `PutObject` is denied.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html>

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, normal, once, parse, tag_map, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, partition},
};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, Delete, ObjectIdentifier,
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, Tag, Tagging, VersioningConfiguration,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind.
pub struct StateBucket;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The name, unique in the world.
    pub name: String,
    /// The region.
    pub region: String,
    /// The ARN of the key that encrypts it.
    pub key: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The name.
    pub name: String,
    /// Whether old versions are kept.
    pub versioned: bool,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
    /// Whether all four blocks on public access are on.
    pub private: bool,
    /// Whether access lists are off.
    pub owner_enforced: bool,
    /// The bucket policy in its normal form.
    pub policy: Value,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = StateBucket::KIND;
}

impl Resource for StateBucket {
    const KIND: &'static str = "state_bucket";
    const IAM: &'static [&'static str] = &[
        "s3:ListBucket",
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:GetBucketVersioning",
        "s3:PutBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:PutEncryptionConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        "s3:GetBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:GetBucketTagging",
        "s3:PutBucketTagging",
        "s3:TagResource",
        "s3:ListBucketVersions",
        "s3:DeleteObjectVersion",
    ];
    const IDENTITY: Identity = Identity::Name;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .mutable("key", &want.key, &live.key)
            .mutable("versioned", &true, &live.versioned)
            .mutable("private", &true, &live.private)
            .mutable("ownerEnforced", &true, &live.owner_enforced)
            .mutable("policy", &normal(&policy(want)), &live.policy)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

/// Who may not do what with the bucket. It grants nothing: that is for the callers' own policies.
fn policy(want: &Spec) -> Value {
    let bucket = format!("arn:{}:s3:::{}", partition(&want.region), want.name);
    let objects = format!("{bucket}/*");
    let deny = |sid: &str, action: &str, resources: Value, condition: Value| json!({"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources, "Condition": condition});
    json!({
        "Version": "2012-10-17",
        "Statement": [
            deny("TlsOnly", "s3:*", json!([bucket, objects]), json!({"Bool": {"aws:SecureTransport": "false"}})),
            deny("Tls12", "s3:*", json!([bucket, objects]), json!({"NumericLessThan": {"s3:TlsVersion": "1.2"}})),
            deny(
                "ConditionalWritesOnly",
                "s3:PutObject",
                json!(objects),
                json!({"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}}),
            ),
        ],
    })
}

impl Lifecycle for StateBucket {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut found = Vec::new();
        for asked in asked {
            let recorded = asked.last.as_ref().map(|last| &last.name);
            let Some(name) = recorded.or(asked.want.as_ref().map(|want| &want.name)) else { continue };
            match look(cx, name).await {
                Err(fault) if fault.class == Class::Gone => {}
                live => found.push(Found { address: asked.address.clone(), live: live? }),
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = tags(&tagged(&want.tags, intent))?;
        // us-east-1 has no location constraint of its own.
        let place =
            (want.region != "us-east-1").then(|| BucketLocationConstraint::from(want.region.as_str()));
        let configuration =
            CreateBucketConfiguration::builder().set_location_constraint(place).set_tags(Some(tags)).build();
        let call = cx
            .s3
            .create_bucket()
            .bucket(&want.name)
            .object_ownership(ObjectOwnership::BucketOwnerEnforced)
            .create_bucket_configuration(configuration);
        call.customize()
            .config_override(once!(aws_sdk_s3, intent))
            .send()
            .await
            .call("s3", "CreateBucket")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let (s3, name, owner) = (&cx.s3, &want.name, &cx.account);
        if !live.private {
            let all = PublicAccessBlockConfiguration::builder()
                .block_public_acls(true)
                .block_public_policy(true)
                .ignore_public_acls(true)
                .restrict_public_buckets(true);
            let call = s3.put_public_access_block().bucket(name).expected_bucket_owner(owner);
            call.public_access_block_configuration(all.build())
                .send()
                .await
                .call("s3", "PutPublicAccessBlock")?;
        }
        if !live.owner_enforced {
            let rule = OwnershipControlsRule::builder()
                .object_ownership(ObjectOwnership::BucketOwnerEnforced)
                .build();
            let controls = OwnershipControls::builder().rules(built(rule)?).build();
            let call = s3.put_bucket_ownership_controls().bucket(name).expected_bucket_owner(owner);
            call.ownership_controls(built(controls)?)
                .send()
                .await
                .call("s3", "PutBucketOwnershipControls")?;
        }
        if !live.versioned {
            let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let call = s3.put_bucket_versioning().bucket(name).expected_bucket_owner(owner);
            call.versioning_configuration(on).send().await.call("s3", "PutBucketVersioning")?;
        }
        let key = given(&want.key, "key")?;
        if live.key.as_ref() != Some(key) {
            let by_default = ServerSideEncryptionByDefault::builder()
                .sse_algorithm(ServerSideEncryption::AwsKms)
                .kms_master_key_id(key)
                .build();
            let rule = ServerSideEncryptionRule::builder()
                .apply_server_side_encryption_by_default(built(by_default)?)
                .bucket_key_enabled(true);
            let rules = ServerSideEncryptionConfiguration::builder().rules(rule.build()).build();
            let call = s3.put_bucket_encryption().bucket(name).expected_bucket_owner(owner);
            call.server_side_encryption_configuration(built(rules)?)
                .send()
                .await
                .call("s3", "PutBucketEncryption")?;
        }
        let policy = policy(want);
        if normal(&policy) != live.policy {
            let call =
                s3.put_bucket_policy().bucket(name).expected_bucket_owner(owner).policy(policy.to_string());
            call.send().await.call("s3", "PutBucketPolicy")?;
        }
        if want.tags != live.tags {
            // The call replaces the whole set, so what others put there goes along.
            let mut all = read_tags(cx, name).await?;
            all.retain(|key, _| want.tags.contains_key(key) || !live.tags.contains_key(key));
            all.extend(want.tags.clone());
            let tagging = built(Tagging::builder().set_tag_set(Some(tags(&all)?)).build())?;
            let call = s3.put_bucket_tagging().bucket(name).expected_bucket_owner(owner).tagging(tagging);
            call.send().await.call("s3", "PutBucketTagging")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let (name, owner) = (&live.name, &cx.account);
        let call = cx.s3.list_object_versions().bucket(name).expected_bucket_owner(owner);
        let page = match call.send().await.call("s3", "ListObjectVersions") {
            Err(fault) if fault.class == Class::Gone => return Ok(()),
            page => page?,
        };
        let versions = page.versions.unwrap_or_default().into_iter().map(|v| (v.key, v.version_id));
        let markers = page.delete_markers.unwrap_or_default().into_iter().map(|m| (m.key, m.version_id));
        let objects: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                Some(ObjectIdentifier::builder().key(key?).set_version_id(version).build())
            })
            .map(built)
            .collect::<Result<_, _>>()?;
        if !objects.is_empty() {
            let delete = built(Delete::builder().set_objects(Some(objects)).quiet(true).build())?;
            let call = cx.s3.delete_objects().bucket(name).expected_bucket_owner(owner).delete(delete);
            call.send().await.call("s3", "DeleteObjects")?;
        }
        let call = cx.s3.delete_bucket().bucket(name).expected_bucket_owner(owner);
        match gone_is_done(call.send().await.call("s3", "DeleteBucket")) {
            // More than one page of versions: the engine comes back.
            Err(fault) if fault.code == "BucketNotEmpty" => Err(fault.class(Class::Conflict)),
            other => other,
        }
    }
}

async fn look(cx: &Cx, name: &str) -> Result<Live, Fault> {
    let (s3, owner) = (&cx.s3, &cx.account);
    let head =
        s3.head_bucket().bucket(name).expected_bucket_owner(owner).send().await.call("s3", "HeadBucket");
    head.map_err(|fault| {
        let hint = "bucket names are unique in the world: set another name as `state.bucket`, or get s3:ListBucket on it";
        match fault.code.as_str() {
            "Forbidden" | "403" | "AccessDenied" => fault.class(Class::Denied).hint(hint),
            _ => fault,
        }
    })?;
    let (versioning, encryption, block, ownership, policy, tags) = futures_util::try_join!(
        async { s3.get_bucket_versioning().bucket(name).send().await.call("s3", "GetBucketVersioning") },
        unless_set(async {
            s3.get_bucket_encryption().bucket(name).send().await.call("s3", "GetBucketEncryption")
        }),
        unless_set(async {
            s3.get_public_access_block().bucket(name).send().await.call("s3", "GetPublicAccessBlock")
        }),
        unless_set(async {
            s3.get_bucket_ownership_controls()
                .bucket(name)
                .send()
                .await
                .call("s3", "GetBucketOwnershipControls")
        }),
        unless_set(async { s3.get_bucket_policy().bucket(name).send().await.call("s3", "GetBucketPolicy") }),
        read_tags(cx, name),
    )?;
    let rules =
        encryption.and_then(|e| e.server_side_encryption_configuration).map(|e| e.rules).unwrap_or_default();
    let key =
        rules.into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default?.kms_master_key_id);
    let block = block.and_then(|block| block.public_access_block_configuration);
    let blocked = |block: PublicAccessBlockConfiguration| {
        [
            block.block_public_acls,
            block.block_public_policy,
            block.ignore_public_acls,
            block.restrict_public_buckets,
        ]
        .into_iter()
        .all(|flag| flag == Some(true))
    };
    let ownership =
        ownership.and_then(|o| o.ownership_controls).map(|controls| controls.rules).unwrap_or_default();
    Ok(Live {
        name: name.to_owned(),
        versioned: versioning.status == Some(BucketVersioningStatus::Enabled),
        key,
        private: block.is_some_and(blocked),
        owner_enforced: ownership
            .iter()
            .any(|rule| rule.object_ownership == ObjectOwnership::BucketOwnerEnforced),
        policy: policy.and_then(|policy| policy.policy).as_deref().map(parse).unwrap_or_default(),
        tags,
    })
}

/// S3 answers 404 for a setting that nobody made.
async fn unless_set<T>(call: impl Future<Output = Result<T, Fault>>) -> Result<Option<T>, Fault> {
    match call.await {
        Err(fault) if fault.class == Class::Gone && fault.code != "NoSuchBucket" => Ok(None),
        answer => answer.map(Some),
    }
}

async fn read_tags(cx: &Cx, name: &str) -> Result<Tags, Fault> {
    let answer = unless_set(async {
        cx.s3.get_bucket_tagging().bucket(name).send().await.call("s3", "GetBucketTagging")
    });
    let set = answer.await?.map(|answer| answer.tag_set).unwrap_or_default();
    Ok(tag_map(set.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
}

fn tags(tags: &Tags) -> Result<Vec<Tag>, Fault> {
    tags.iter().map(|(key, value)| built(Tag::builder().key(key).value(value).build())).collect()
}

/// The SDK's builders check required members, which are all given here.
fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, Fault> {
    result.map_err(|error| Fault::bug(error.to_string()))
}
