//! The DynamoDB table that holds the leases of every stack of an account and region.

use super::prelude::*;
use crate::{aws::dynamodb_list, model::LEASE_KEY as KEY};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    PointInTimeRecoveryStatus, ScalarAttributeType, SseSpecification, SseType,
};

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
    const INFO: KindInfo = KindInfo {
        name: "lock_table",
        identity: Identity::Name,
        ready_within: minutes(15),
        typical: Duration::from_secs(15),
        holds: Some("the locks of every stack"),
        setting: Some("state.table"),
        iam: &[
            (
                IamScope::LOCK_TABLE,
                &[
                    "dynamodb:DescribeTable",
                    "dynamodb:DescribeContinuousBackups",
                    "dynamodb:ListTagsOfResource",
                    "dynamodb:CreateTable",
                    "dynamodb:UpdateTable",
                    "dynamodb:UpdateContinuousBackups",
                    "dynamodb:TagResource",
                    "dynamodb:UntagResource",
                    "dynamodb:DeleteTable",
                ],
            ),
            (IamScope::KEY_GRANTS, &["kms:CreateGrant"]),
            (IamScope::KEY_READ, &["kms:DescribeKey"]),
        ],
        ..KindInfo::DEFAULT
    };
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

    fn ready(live: &Live) -> Readiness {
        match live.status.as_str() {
            "ACTIVE" => Readiness::Ready,
            "INACCESSIBLE_ENCRYPTION_CREDENTIALS" => Readiness::Suspended {
                why: "the key that encrypts the table cannot be used".to_owned(),
                remedy: format!("aws kms enable-key --key-id {}", live.key.as_deref().unwrap_or("KEY")),
            },
            status => Readiness::Waiting(status.to_owned()),
        }
    }
}

impl Lifecycle for LockTable {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let name = |asked: &TypedLookup<Self>| asked.key(|last| last.name.clone(), |want| want.name.clone());
        describe_each(asked, name, async |name| if_found(describe(cx, name).await)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
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
            .sse_specification(encryption(resolved(&want.key, "key")?))
            .set_tags(Some(dynamodb_list(&tagged(&want.tags, intent))?));
        call.customize().config_override(single_shot!(aws_sdk_dynamodb, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let (dynamodb, key) = (&cx.dynamodb, resolved(&want.key, "key")?);
        if !live.recoverable {
            let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
            let call = dynamodb.update_continuous_backups().table_name(&live.name);
            let call = call.point_in_time_recovery_specification(built(on)?);
            call.send().await.call()?;
        }
        // A table takes one kind of update at a time; the engine looks again and comes back for the rest.
        if live.key.as_ref() != Some(key) {
            let call = dynamodb.update_table().table_name(&live.name).sse_specification(encryption(key));
            call.send().await.call()?;
        } else if !live.protected || !live.on_demand {
            let call = dynamodb
                .update_table()
                .table_name(&live.name)
                .deletion_protection_enabled(true)
                .set_billing_mode((!live.on_demand).then_some(BillingMode::PayPerRequest));
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Table(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.status == "DELETING" {
            return Ok(());
        }
        if live.protected {
            let call = cx.dynamodb.update_table().table_name(&live.name).deletion_protection_enabled(false);
            call.send().await.gone_is_done()?;
        }
        cx.dynamodb.delete_table().table_name(&live.name).send().await.gone_is_done()
    }
}

async fn describe(cx: &Cx, name: String) -> Result<Live, CallError> {
    let answer = cx.dynamodb.describe_table().table_name(&name).send().await;
    let (table, arn, status) = answer.read(|answer| {
        let mut table = required(answer.table, "Table")?;
        let arn = required(table.table_arn.take(), "TableArn")?;
        let status = required_text(table.table_status.take(), "TableStatus")?;
        Ok((table, arn, status))
    })?;
    let (backups, tags) = futures_util::try_join!(
        async {
            let call = cx.dynamodb.describe_continuous_backups().table_name(&name);
            call.send().await.call()
        },
        async {
            let call = cx.dynamodb.list_tags_of_resource().resource_arn(&arn);
            call.send().await.call()
        }
    )?;
    let recovery =
        backups.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let recovery = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(Live {
        name,
        status,
        key: table.sse_description.and_then(|sse| sse.kms_master_key_arn),
        recoverable: recovery == Some(PointInTimeRecoveryStatus::Enabled),
        protected: table.deletion_protection_enabled == Some(true),
        on_demand: table.billing_mode_summary.and_then(|b| b.billing_mode)
            == Some(BillingMode::PayPerRequest),
        tags: tag_map(tags.tags.unwrap_or_default().iter().map(|tag| (Some(tag.key()), Some(tag.value())))),
        arn,
    })
}

fn encryption(key: &str) -> SseSpecification {
    SseSpecification::builder().enabled(true).sse_type(SseType::Kms).kms_master_key_id(key).build()
}
