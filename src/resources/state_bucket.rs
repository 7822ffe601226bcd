//! The bucket that holds the state of every stack of an account and region.
//!
//! Its policy makes everybody, even an old program, write by compare-and-swap: an unconditional `PutObject` is denied.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html>

use super::prelude::*;
use crate::{
    aws::{normal, parse, s3_list},
    model::partition,
};
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus,
    CreateBucketConfiguration, Delete, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, ObjectIdentifier, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tagging, VersioningConfiguration,
};
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
    /// The ARN of the key that encrypts it. None: not decided yet, and left as it is.
    pub key: Option<In<String>>,
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
    /// Which old versions are never deleted; none if all are kept.
    #[serde(default)]
    pub kept: Option<Kept>,
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

/// Old versions of an object that are kept: S3 deletes those that are both older and not among the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How long each is kept, in days after it was replaced.
    pub days: i32,
    /// How many of the newest are kept for longer. S3 allows up to 100. None: not answered, and not compared.
    pub versions: Option<i32>,
}

impl Kept {
    fn is_as_wanted(self) -> bool {
        self.days == KEPT.days && self.versions.is_none_or(|versions| Some(versions) == KEPT.versions)
    }
}

/// Which old versions of the states are kept. A run writes dozens, and `state rollback` needs the last good one.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>
pub const KEPT_DAYS: i32 = 90;
/// See [`KEPT_DAYS`].
pub const KEPT_VERSIONS: i32 = 100;

const KEPT: Kept = Kept { days: KEPT_DAYS, versions: Some(KEPT_VERSIONS) };

/// The id of the lifecycle rule that says so. The bucket's other rules are not the program's.
const RULE: &str = "provisioner-old-versions";

/// All objects of the bucket, in every version.
const OBJECTS: IamScope =
    IamScope { sid: "StateObjects", resources: &["arn:{partition}:s3:::{bucket}/*"], conditions: &[] };

impl Desired for Spec {
    const KIND: &'static str = StateBucket::KIND;
}

impl Resource for StateBucket {
    const INFO: KindInfo = KindInfo {
        name: "state_bucket",
        identity: Identity::Name,
        holds: Some("the state of every stack"),
        setting: Some("state.bucket"),
        iam: &[
            (
                IamScope::STATE_BUCKET,
                &[
                    "s3:ListBucket",
                    "s3:CreateBucket",
                    "s3:DeleteBucket",
                    "s3:GetBucketVersioning",
                    "s3:PutBucketVersioning",
                    "s3:GetLifecycleConfiguration",
                    "s3:PutLifecycleConfiguration",
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
                ],
            ),
            (OBJECTS, &["s3:DeleteObjectVersion"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default().fixed("name", &want.name, &live.name);
        let changes = match &want.key {
            Some(key) => changes.mutable("key", key, &live.key),
            None => changes,
        };
        changes
            .mutable("versioned", &true, &live.versioned)
            .mutable("kept", &KEPT, &live.kept.map(|kept| if kept.is_as_wanted() { KEPT } else { kept }))
            .mutable("private", &true, &live.private)
            .mutable("ownerEnforced", &true, &live.owner_enforced)
            .mutable("policy", &normal(&policy(want)), &live.policy)
            .mutable("tags", &want.tags, &live.tags)
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
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let name = |asked: &TypedLookup<Self>| asked.key(|last| last.name.clone(), |want| want.name.clone());
        describe_each(asked, name, async |name| if_found(Box::pin(describe(cx, &name)).await)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let tags = s3_list(&tagged(&want.tags, intent))?;
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
        call.customize().config_override(single_shot!(aws_sdk_s3, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let (s3, name, owner) = (&cx.s3, &want.name, &cx.account);
        if !live.private {
            let all = PublicAccessBlockConfiguration::builder()
                .block_public_acls(true)
                .block_public_policy(true)
                .ignore_public_acls(true)
                .restrict_public_buckets(true);
            let call = s3.put_public_access_block().bucket(name).expected_bucket_owner(owner);
            call.public_access_block_configuration(all.build()).send().await.call()?;
        }
        if !live.owner_enforced {
            let rule = OwnershipControlsRule::builder()
                .object_ownership(ObjectOwnership::BucketOwnerEnforced)
                .build();
            let controls = OwnershipControls::builder().rules(built(rule)?).build();
            let call = s3.put_bucket_ownership_controls().bucket(name).expected_bucket_owner(owner);
            call.ownership_controls(built(controls)?).send().await.call()?;
        }
        if !live.versioned {
            let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let call = s3.put_bucket_versioning().bucket(name).expected_bucket_owner(owner);
            call.versioning_configuration(on).send().await.call()?;
        }
        if live.kept.is_none_or(|kept| !kept.is_as_wanted()) {
            let mut rules = lifecycle_rules(cx, name).await?;
            rules.retain(|rule| rule.id() != Some(RULE));
            rules.push(rule(KEPT)?);
            let all = built(BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build())?;
            let call = s3.put_bucket_lifecycle_configuration().bucket(name).expected_bucket_owner(owner);
            call.lifecycle_configuration(all).send().await.call()?;
        }
        let key = if_resolved(want.key.as_ref(), "key")?;
        if let Some(key) = key.filter(|key| live.key.as_ref() != Some(key)) {
            let by_default = ServerSideEncryptionByDefault::builder()
                .sse_algorithm(ServerSideEncryption::AwsKms)
                .kms_master_key_id(key)
                .build();
            let rule = ServerSideEncryptionRule::builder()
                .apply_server_side_encryption_by_default(built(by_default)?)
                .bucket_key_enabled(true);
            let rules = ServerSideEncryptionConfiguration::builder().rules(rule.build()).build();
            let call = s3.put_bucket_encryption().bucket(name).expected_bucket_owner(owner);
            call.server_side_encryption_configuration(built(rules)?).send().await.call()?;
        }
        let policy = policy(want);
        if normal(&policy) != live.policy {
            let call =
                s3.put_bucket_policy().bucket(name).expected_bucket_owner(owner).policy(policy.to_string());
            call.send().await.call()?;
        }
        if want.tags != live.tags {
            // The call replaces the whole set, so what others put there goes along.
            let mut all = read_tags(cx, name).await?;
            all.retain(|key, _| want.tags.contains_key(key) || !live.tags.contains_key(key));
            all.extend(want.tags.clone());
            let tagging = built(Tagging::builder().set_tag_set(Some(s3_list(&all)?)).build())?;
            let call = s3.put_bucket_tagging().bucket(name).expected_bucket_owner(owner).tagging(tagging);
            call.send().await.call()?;
        }
        Ok(None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let (name, owner) = (&live.name, &cx.account);
        let call = cx.s3.list_object_versions().bucket(name).expected_bucket_owner(owner);
        let Some(page) = if_found(call.send().await.call())? else { return Ok(()) };
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
            call.send().await.call()?;
        }
        let call = cx.s3.delete_bucket().bucket(name).expected_bucket_owner(owner);
        match call.send().await.gone_is_done() {
            // More than one page of versions: the engine comes back.
            Err(error) if error.code == "BucketNotEmpty" => Err(error.class(ErrorKind::Conflict)),
            other => other,
        }
    }
}

async fn describe(cx: &Cx, name: &str) -> Result<Live, CallError> {
    let (s3, owner) = (&cx.s3, &cx.account);
    let head = s3.head_bucket().bucket(name).expected_bucket_owner(owner).send().await.call();
    head.map_err(|error| not_ours(name, error))?;
    let (versioning, lifecycle, encryption, block, ownership, policy, tags) = futures_util::try_join!(
        async { s3.get_bucket_versioning().bucket(name).send().await.call() },
        lifecycle_rules(cx, name),
        unless_set(async { s3.get_bucket_encryption().bucket(name).send().await.call() }),
        unless_set(async { s3.get_public_access_block().bucket(name).send().await.call() }),
        unless_set(async { s3.get_bucket_ownership_controls().bucket(name).send().await.call() }),
        unless_set(async { s3.get_bucket_policy().bucket(name).send().await.call() }),
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
        kept: lifecycle.iter().find_map(kept),
        key,
        private: block.is_some_and(blocked),
        owner_enforced: ownership
            .iter()
            .any(|rule| rule.object_ownership == ObjectOwnership::BucketOwnerEnforced),
        policy: policy.and_then(|policy| policy.policy).as_deref().map(parse).unwrap_or_default(),
        tags,
    })
}

/// Explains a refused `HeadBucket`, whose answer has no body: only its status tells what is wrong.
fn not_ours(name: &str, mut error: CallError) -> CallError {
    match error.class {
        ErrorKind::Denied => {
            error.message = format!("s3://{name} belongs to another account, or this caller may not use it");
            error.hint(
                "set another name as `state.bucket` (bucket names are unique across all accounts), or allow \
                 this caller s3:ListBucket on it",
            )
        }
        ErrorKind::Refused => {
            error.message = format!("s3://{name} is in another region");
            error.hint("set another name as `state.bucket`, or the `region` of that bucket")
        }
        _ => error,
    }
}

/// S3 answers 404 for a setting that was never made.
async fn unless_set<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<Option<T>, CallError> {
    match call.await {
        Err(error) if error.class == ErrorKind::Gone && error.code != "NoSuchBucket" => Ok(None),
        answer => answer.map(Some),
    }
}

/// The lifecycle rule by which S3 keeps these.
fn rule(kept: Kept) -> Result<LifecycleRule, CallError> {
    let expiration = NoncurrentVersionExpiration::builder()
        .noncurrent_days(kept.days)
        .set_newer_noncurrent_versions(kept.versions);
    let rule = LifecycleRule::builder()
        .id(RULE)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .noncurrent_version_expiration(expiration.build());
    built(rule.build())
}

/// What the program's lifecycle rule keeps; none of another rule, of one that is off, or that does more or less.
fn kept(found: &LifecycleRule) -> Option<Kept> {
    let expiration = found.noncurrent_version_expiration()?;
    let kept = Kept { days: expiration.noncurrent_days()?, versions: expiration.newer_noncurrent_versions() };
    let mut asked = rule(kept).ok()?;
    // S3 may answer a prefix that is empty as none.
    if found.filter().is_none_or(|filter| *filter == LifecycleRuleFilter::builder().build()) {
        asked.filter.clone_from(&found.filter);
    }
    (asked == *found).then_some(kept)
}

async fn lifecycle_rules(cx: &Cx, name: &str) -> Result<Vec<LifecycleRule>, CallError> {
    let call = cx.s3.get_bucket_lifecycle_configuration().bucket(name).expected_bucket_owner(&cx.account);
    let answer = unless_set(async { call.send().await.call() }).await?;
    Ok(answer.and_then(|answer| answer.rules).unwrap_or_default())
}

async fn read_tags(cx: &Cx, name: &str) -> Result<Tags, CallError> {
    let answer = unless_set(async { cx.s3.get_bucket_tagging().bucket(name).send().await.call() });
    let set = answer.await?.map(|answer| answer.tag_set).unwrap_or_default();
    Ok(tag_map(set.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
}
