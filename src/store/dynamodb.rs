//! The lease in DynamoDB. The item is never deleted and never expires, so that its fence never decreases.

use super::{LeaseItem, LeaseStore, Taken};
use crate::{
    aws::{Call, Clients},
    model::{CallError, ErrorKind, LEASE_KEY as KEY, LeaseHolder},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::collections::HashMap;

type Item = HashMap<String, AttributeValue>;

/// The lease of one stack: one item, keyed by the stack's name.
#[derive(Clone, Debug)]
pub struct DynamoLease {
    clients: Clients,
    table: String,
    stack: String,
}

impl DynamoLease {
    /// Returns the lease of `stack` in `table`. Makes no call.
    pub fn new(clients: Clients, table: &str, stack: &str) -> Self {
        DynamoLease { clients, table: table.to_owned(), stack: stack.to_owned() }
    }

    fn key(&self) -> AttributeValue {
        AttributeValue::S(self.stack.clone())
    }
}

#[async_trait]
impl LeaseStore for DynamoLease {
    async fn read(&self) -> Result<LeaseItem, CallError> {
        let call = self
            .clients
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key(KEY, self.key())
            .consistent_read(true);
        Ok(lease_item(&call.send().await.call()?.item.unwrap_or_default()))
    }

    async fn take(
        &self,
        holder: &LeaseHolder,
        over: Option<&LeaseHolder>,
        at_least: u64,
    ) -> Result<Taken, CallError> {
        // The new fence is the stored one plus one. A table that was lost and created again starts at zero, so
        // the fence is raised further if the state has seen a later one.
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
            // A call whose answer was lost is retried, by the SDK or here; the condition then fails on our own
            // write.
            return Ok(match &there.holder {
                Some(seen) if seen.owner == holder.owner => Taken::Already(there.fence),
                _ => Taken::No(Box::new(there)),
            });
        }
        let item = result.call()?.attributes.unwrap_or_default();
        Ok(Taken::Yes(lease_item(&item).fence))
    }

    async fn heartbeat(&self, holder: &LeaseHolder, record: &str) -> Result<(), CallError> {
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
        call.send().await.call().map(drop)
    }

    async fn release(&self, holder: &LeaseHolder) -> Result<(), CallError> {
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
        match call.send().await.call() {
            Err(error) if error.class == ErrorKind::Lost => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn text(holder: &LeaseHolder) -> Result<String, CallError> {
    serde_json::to_string(holder).map_err(|error| CallError::bug(error.to_string()))
}

/// Parses a lease item. A holder that cannot be parsed is still a holder: another program may have written it.
pub fn lease_item(item: &HashMap<String, AttributeValue>) -> LeaseItem {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let fence = item
        .get("fence")
        .and_then(|value| value.as_n().ok())
        .and_then(|n| n.parse().ok())
        .unwrap_or_default();
    let holder = item.get("owner").map(|owner| {
        let owner = owner.as_s().cloned().unwrap_or_default();
        let known: LeaseHolder =
            text("holder").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        LeaseHolder { owner, record: text("record").unwrap_or_default(), fence, ..known }
    });
    LeaseItem { holder, fence }
}
