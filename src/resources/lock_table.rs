//! The DynamoDB table that holds the leases of every stack of an account and region.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, once, tag_map, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, LEASE_KEY as KEY, Ready, Resource},
};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    PointInTimeRecoveryStatus, ScalarAttributeType, SseSpecification, SseType, Tag,
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct LockTable;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
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
    /// The ARN.
    pub arn: String,
    /// `CREATING`, `ACTIVE`, ...
    pub status: String,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
    /// Whether it can be restored to any second of the last weeks.
    pub recoverable: bool,
    /// Whether its deletion is refused.
    pub protected: bool,
    /// Whether it is paid by request.
    pub on_demand: bool,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = LockTable::KIND;
}

impl Resource for LockTable {
    const KIND: &'static str = "lock_table";
    const IAM: &'static [&'static str] = &[
        "dynamodb:DescribeTable",
        "dynamodb:DescribeContinuousBackups",
        "dynamodb:ListTagsOfResource",
        "dynamodb:CreateTable",
        "dynamodb:UpdateTable",
        "dynamodb:UpdateContinuousBackups",
        "dynamodb:TagResource",
        "dynamodb:UntagResource",
        "dynamodb:DeleteTable",
        "kms:CreateGrant",
        "kms:DescribeKey",
    ];
    const IDENTITY: Identity = Identity::Name;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .mutable("key", &want.key, &live.key)
            .mutable("recoverable", &true, &live.recoverable)
            .mutable("protected", &true, &live.protected)
            .mutable("onDemand", &true, &live.on_demand)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.status.as_str() {
            "ACTIVE" => Ready::Yes,
            "INACCESSIBLE_ENCRYPTION_CREDENTIALS" => Ready::Failed("its key is gone or disabled".to_owned()),
            status => Ready::Wait(status.to_owned()),
        }
    }
}

impl Lifecycle for LockTable {
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
        let tags = tagged(&want.tags, intent).into_iter().map(|(key, value)| tag(&key, &value));
        let attribute =
            AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build();
        let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build();
        let call = cx
            .dynamodb
            .create_table()
            .table_name(&want.name)
            .attribute_definitions(built(attribute)?)
            .key_schema(built(key)?)
            .billing_mode(BillingMode::PayPerRequest)
            .deletion_protection_enabled(true)
            .sse_specification(encryption(given(&want.key, "key")?))
            .set_tags(Some(tags.collect::<Result<_, _>>()?));
        call.customize()
            .config_override(once!(aws_sdk_dynamodb, intent))
            .send()
            .await
            .call("dynamodb", "CreateTable")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let (dynamodb, key) = (&cx.dynamodb, given(&want.key, "key")?);
        if !live.recoverable {
            let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
            let call = dynamodb.update_continuous_backups().table_name(&live.name);
            let call = call.point_in_time_recovery_specification(built(on)?);
            call.send().await.call("dynamodb", "UpdateContinuousBackups")?;
        }
        // A table takes one kind of update at a time; the engine looks again and comes back for the rest.
        if live.key.as_ref() != Some(key) {
            let call = dynamodb.update_table().table_name(&live.name).sse_specification(encryption(key));
            call.send().await.call("dynamodb", "UpdateTable")?;
        } else if !live.protected || !live.on_demand {
            let call = dynamodb
                .update_table()
                .table_name(&live.name)
                .deletion_protection_enabled(true)
                .set_billing_mode((!live.on_demand).then_some(BillingMode::PayPerRequest));
            call.send().await.call("dynamodb", "UpdateTable")?;
        }
        let new: Vec<Tag> = want
            .tags
            .iter()
            .filter(|(key, value)| live.tags.get(*key) != Some(value))
            .map(|(key, value)| tag(key, value))
            .collect::<Result<_, _>>()?;
        if !new.is_empty() {
            let call = dynamodb.tag_resource().resource_arn(&live.arn).set_tags(Some(new));
            call.send().await.call("dynamodb", "TagResource")?;
        }
        let old: Vec<String> =
            live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
        if !old.is_empty() {
            let call = dynamodb.untag_resource().resource_arn(&live.arn).set_tag_keys(Some(old));
            call.send().await.call("dynamodb", "UntagResource")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.status == "DELETING" {
            return Ok(());
        }
        if live.protected {
            let call = cx.dynamodb.update_table().table_name(&live.name).deletion_protection_enabled(false);
            gone_is_done(call.send().await.call("dynamodb", "UpdateTable"))?;
        }
        gone_is_done(
            cx.dynamodb.delete_table().table_name(&live.name).send().await.call("dynamodb", "DeleteTable"),
        )
    }
}

async fn look(cx: &Cx, name: &str) -> Result<Live, Fault> {
    let answer =
        cx.dynamodb.describe_table().table_name(name).send().await.call("dynamodb", "DescribeTable")?;
    let table = answer.table.ok_or_else(|| Fault::new(Class::Gone, "the answer holds no table"))?;
    let arn = table.table_arn.unwrap_or_default();
    let (backups, tags) = futures_util::try_join!(
        async {
            let call = cx.dynamodb.describe_continuous_backups().table_name(name);
            call.send().await.call("dynamodb", "DescribeContinuousBackups")
        },
        async {
            let call = cx.dynamodb.list_tags_of_resource().resource_arn(&arn);
            call.send().await.call("dynamodb", "ListTagsOfResource")
        }
    )?;
    let recovery =
        backups.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(Live {
        name: name.to_owned(),
        status: table.table_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        key: table.sse_description.and_then(|sse| sse.kms_master_key_arn),
        recoverable: status == Some(PointInTimeRecoveryStatus::Enabled),
        protected: table.deletion_protection_enabled.unwrap_or_default(),
        on_demand: table.billing_mode_summary.and_then(|b| b.billing_mode)
            == Some(BillingMode::PayPerRequest),
        tags: tag_map(tags.tags.unwrap_or_default().iter().map(|tag| (Some(tag.key()), Some(tag.value())))),
        arn,
    })
}

fn encryption(key: &str) -> SseSpecification {
    SseSpecification::builder().enabled(true).sse_type(SseType::Kms).kms_master_key_id(key).build()
}

fn tag(key: &str, value: &str) -> Result<Tag, Fault> {
    built(Tag::builder().key(key).value(value).build())
}

/// The SDK's builders check required members, which are all given here.
fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, Fault> {
    result.map_err(|error| Fault::bug(error.to_string()))
}
