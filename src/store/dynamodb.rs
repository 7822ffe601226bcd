//! The lease in DynamoDB. The item is never deleted, so that its fence never falls; it has no time to live.

use super::{LeaseItem, LeaseStore, Taken};
use crate::{
    aws::{Call, Clients},
    model::{Class, Fault, HeldBy, LEASE_KEY as KEY},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::collections::HashMap;

type Item = HashMap<String, AttributeValue>;

/// The lease of one stack.
#[derive(Clone, Debug)]
pub struct DynamoLease {
    clients: Clients,
    table: String,
    stack: String,
}

impl DynamoLease {
    /// The item of `stack` in `table`.
    pub fn new(clients: Clients, table: &str, stack: &str) -> Self {
        DynamoLease { clients, table: table.to_owned(), stack: stack.to_owned() }
    }

    fn key(&self) -> AttributeValue {
        AttributeValue::S(self.stack.clone())
    }
}

#[async_trait]
impl LeaseStore for DynamoLease {
    async fn read(&self) -> Result<LeaseItem, Fault> {
        let call = self
            .clients
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key(KEY, self.key())
            .consistent_read(true);
        Ok(lease_item(&call.send().await.call("dynamodb", "GetItem")?.item.unwrap_or_default()))
    }

    async fn take(&self, holder: &HeldBy, over: Option<&HeldBy>, at_least: u64) -> Result<Taken, Fault> {
        // The fence is one more than what is there. A table that was lost counts from nothing: more, where the state has
        // seen a later one.
        let step = match at_least {
            0 => 1,
            _ => at_least.saturating_sub(self.read().await?.fence).max(1),
        };
        let mut call = self
            .clients
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key(KEY, self.key())
            .update_expression("SET #h = :h, #o = :o, #r = :r, #f = if_not_exists(#f, :zero) + :step")
            .expression_attribute_names("#h", "holder")
            .expression_attribute_names("#o", "owner")
            .expression_attribute_names("#r", "record")
            .expression_attribute_names("#f", "fence")
            .expression_attribute_values(":h", AttributeValue::S(text(holder)?))
            .expression_attribute_values(":o", AttributeValue::S(holder.owner.clone()))
            .expression_attribute_values(":r", AttributeValue::S(holder.record.clone()))
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":step", AttributeValue::N(step.to_string()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        call = match over {
            None => call.condition_expression("attribute_not_exists(#o)"),
            Some(over) => call
                .condition_expression("attribute_not_exists(#o) OR (#o = :oo AND #r = :or)")
                .expression_attribute_values(":oo", AttributeValue::S(over.owner.clone()))
                .expression_attribute_values(":or", AttributeValue::S(over.record.clone())),
        };
        let result = call.send().await;
        if let Err(error) = &result
            && let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
        {
            let there = lease_item(failed.item().unwrap_or(&Item::new()));
            // A call whose answer was lost is repeated, by the SDK or by us; then the condition fails on our own write.
            return Ok(match &there.holder {
                Some(seen) if seen.owner == holder.owner => Taken::Already(there.fence),
                _ => Taken::No(Box::new(there)),
            });
        }
        let item = result.call("dynamodb", "UpdateItem")?.attributes.unwrap_or_default();
        Ok(Taken::Yes(lease_item(&item).fence))
    }

    async fn beat(&self, holder: &HeldBy, record: &str) -> Result<(), Fault> {
        let call = self
            .clients
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key(KEY, self.key())
            .update_expression("SET #r = :r")
            .condition_expression("#o = :o AND #f = :f")
            .expression_attribute_names("#o", "owner")
            .expression_attribute_names("#r", "record")
            .expression_attribute_names("#f", "fence")
            .expression_attribute_values(":o", AttributeValue::S(holder.owner.clone()))
            .expression_attribute_values(":f", AttributeValue::N(holder.fence.to_string()))
            .expression_attribute_values(":r", AttributeValue::S(record.to_owned()));
        call.send().await.call("dynamodb", "UpdateItem").map(drop)
    }

    async fn release(&self, holder: &HeldBy) -> Result<(), Fault> {
        let call = self
            .clients
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key(KEY, self.key())
            .update_expression("REMOVE #o, #h, #r")
            .condition_expression("#o = :o")
            .expression_attribute_names("#o", "owner")
            .expression_attribute_names("#h", "holder")
            .expression_attribute_names("#r", "record")
            .expression_attribute_values(":o", AttributeValue::S(holder.owner.clone()));
        match call.send().await.call("dynamodb", "UpdateItem") {
            Err(fault) if fault.class == Class::Lost => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn text(holder: &HeldBy) -> Result<String, Fault> {
    serde_json::to_string(holder).map_err(|error| Fault::bug(error.to_string()))
}

/// Reads an item. A holder that cannot be read is still a holder: somebody else's program may have written it.
pub fn lease_item(item: &HashMap<String, AttributeValue>) -> LeaseItem {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let fence = item
        .get("fence")
        .and_then(|value| value.as_n().ok())
        .and_then(|n| n.parse().ok())
        .unwrap_or_default();
    let holder = item.get("owner").map(|owner| {
        let owner = owner.as_s().cloned().unwrap_or_default();
        let known: HeldBy =
            text("holder").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        HeldBy { owner, record: text("record").unwrap_or_default(), fence, ..known }
    });
    LeaseItem { holder, fence }
}
