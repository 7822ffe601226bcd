//! States of a KMS key that a person can undo.

use super::{Call, Clients, MissingField, required_text};
use crate::model::{CallError, ErrorKind};
use aws_sdk_kms::operation::describe_key::DescribeKeyError;

/// Returns what is wrong with a key in this state and the command that undoes it. None if it can be used, or will be soon.
///
/// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>
pub fn key_suspension(id: &str, state: &str, deleted_at: Option<&str>) -> Option<(String, String)> {
    let enable = format!("aws kms enable-key --key-id {id}");
    match state {
        "Disabled" => {
            Some(("the key is disabled: what it encrypts cannot be read or written".to_owned(), enable))
        }
        "PendingDeletion" | "PendingReplicaDeletion" => {
            let at = deleted_at.map(|at| format!(" for {at}")).unwrap_or_default();
            let why =
                format!("the key's deletion is scheduled{at}: what it encrypts cannot be read or written");
            Some((why, format!("aws kms cancel-key-deletion --key-id {id} && {enable}")))
        }
        _ => None,
    }
}

/// Returns what is wrong with the key of this ARN and the command that undoes it. None also if the caller may not
/// describe it.
pub async fn suspended_key(clients: &Clients, arn: &str) -> Result<Option<(String, String)>, CallError> {
    let answer = match clients.kms.describe_key().key_id(arn).send().await.call() {
        Err(error) if matches!(error.class, ErrorKind::Denied | ErrorKind::Gone | ErrorKind::Unsupported) => {
            return Ok(None);
        }
        answer => answer?,
    };
    let Some(key) = answer.key_metadata else { return Ok(None) };
    let state = required_text(key.key_state(), "KeyState");
    let state = state.map_err(MissingField::in_answer_of::<DescribeKeyError>)?;
    let at = key.deletion_date().map(ToString::to_string);
    Ok(key_suspension(key.key_id(), &state, at.as_deref()))
}
