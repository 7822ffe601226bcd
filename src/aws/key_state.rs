//! What makes a KMS key unusable, and what a person can do about it.

use super::{Call, Clients, MissingField, required_text};
use crate::model::{CallError, ErrorKind};
use aws_sdk_kms::{
    operation::describe_key::DescribeKeyError,
    types::{KeySpec, KeyUsageType},
};

/// What is wrong with a key, and what to do about it: an imperative, with the command if there is one.
pub type KeyFault = (String, String);

/// Returns what is wrong with a key in this state and the command that undoes it. None if it can be used, or will be soon.
///
/// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>
pub fn key_suspension(id: &str, state: &str, deleted_at: Option<&str>) -> Option<KeyFault> {
    let enable = format!("aws kms enable-key --key-id {id}");
    let lost = "what it encrypts cannot be read or written";
    match state {
        "Disabled" => Some((format!("the key is disabled: {lost}"), enable)),
        "PendingDeletion" | "PendingReplicaDeletion" => {
            let at = deleted_at.map(|at| format!(" for {at}")).unwrap_or_default();
            let why = format!("the key's deletion is scheduled{at}: {lost}");
            Some((why, format!("aws kms cancel-key-deletion --key-id {id} && {enable}")))
        }
        "PendingImport" => Some((
            format!("the key has no key material: {lost}"),
            format!(
                "aws kms import-key-material --key-id {id} --import-token FILE --encrypted-key-material FILE"
            ),
        )),
        "Unavailable" => Some((
            format!("the key's custom key store is not connected: {lost}"),
            "aws kms connect-custom-key-store --custom-key-store-id ID".to_owned(),
        )),
        _ => None,
    }
}

/// A key as KMS describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key id, a UUID.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// `Enabled`, `Disabled`, ...
    pub state: String,
    /// When it is deleted, RFC 3339, if that is scheduled.
    pub deletion_date: Option<String>,
    /// `SYMMETRIC_DEFAULT`, `RSA_2048`, ...
    pub spec: String,
    /// `ENCRYPT_DECRYPT`, `SIGN_VERIFY`, ...
    pub usage: String,
}

impl KeyFacts {
    /// Returns what is wrong with the key's state and the command that undoes it.
    pub fn suspension(&self) -> Option<KeyFault> {
        key_suspension(&self.id, &self.state, self.deletion_date.as_deref())
    }

    /// Returns why the key cannot encrypt resources of AWS services, and what to do about it.
    ///
    /// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html>
    pub fn fault(&self) -> Option<KeyFault> {
        let (spec, usage) = (KeySpec::SymmetricDefault.as_str(), KeyUsageType::EncryptDecrypt.as_str());
        if self.spec != spec || self.usage != usage {
            let why = format!(
                "AWS services encrypt only with keys for {spec} and {usage} (this one is for {} and {})",
                self.spec, self.usage
            );
            return Some((why, "use another key; `aws kms create-key` creates one of this form".to_owned()));
        }
        self.suspension().map(|(why, remedy)| (why, format!("`{remedy}`")))
    }
}

/// Returns the key of an ARN, an id or an alias; `None` if it does not exist.
pub async fn described_key(clients: &Clients, id: &str) -> Result<Option<KeyFacts>, CallError> {
    let answer = match clients.kms.describe_key().key_id(id).send().await.call() {
        Err(error) if error.class == ErrorKind::Gone => return Ok(None),
        answer => answer?,
    };
    let Some(key) = answer.key_metadata else { return Ok(None) };
    let state = required_text(key.key_state(), "KeyState");
    let state = state.map_err(MissingField::in_answer_of::<DescribeKeyError>)?;
    // A target that is not AWS may leave the form out, and has no other then.
    let text = |value: Option<&str>, usual: &str| value.unwrap_or(usual).to_owned();
    Ok(Some(KeyFacts {
        id: key.key_id().to_owned(),
        arn: text(key.arn(), id),
        state,
        deletion_date: key.deletion_date().map(ToString::to_string),
        spec: text(key.key_spec().map(KeySpec::as_str), KeySpec::SymmetricDefault.as_str()),
        usage: text(key.key_usage().map(KeyUsageType::as_str), KeyUsageType::EncryptDecrypt.as_str()),
    }))
}

/// Returns the policy of a key as it is written.
pub async fn policy_of_key(clients: &Clients, id: &str) -> Result<String, CallError> {
    let answer = clients.kms.get_key_policy().key_id(id).policy_name("default").send().await.call()?;
    Ok(answer.policy.unwrap_or_default())
}

/// Returns the operations (`Decrypt`) that grants of a key allow a principal.
pub async fn granted_operations(
    clients: &Clients,
    key: &str,
    principal: &str,
) -> Result<Vec<String>, CallError> {
    let pages = clients.kms.list_grants().key_id(key).grantee_principal(principal).into_paginator();
    let grants: Result<Vec<_>, _> = pages.items().send().try_collect().await;
    let grants = grants.call()?.into_iter().filter(|grant| grant.grantee_principal() == Some(principal));
    let operations = grants.flat_map(|grant| grant.operations.unwrap_or_default());
    Ok(operations.map(|operation| operation.as_str().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(state: &str, spec: &str, usage: &str) -> KeyFacts {
        KeyFacts {
            id: "k".to_owned(),
            state: state.to_owned(),
            spec: spec.to_owned(),
            usage: usage.to_owned(),
            ..KeyFacts::default()
        }
    }

    #[test]
    fn a_key_is_usable_by_its_form_and_its_state() {
        let usual = |state: &str| key(state, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").fault();
        assert_eq!(usual("Enabled"), None);
        assert_eq!(usual("Creating"), None);
        for (state, why, remedy) in [
            ("Disabled", "is disabled", "`aws kms enable-key --key-id k`"),
            ("PendingDeletion", "deletion is scheduled", "`aws kms cancel-key-deletion --key-id k && "),
            ("PendingImport", "no key material", "import-key-material --key-id k"),
            ("Unavailable", "custom key store", "connect-custom-key-store"),
        ] {
            let (said, hint) = usual(state).unwrap();
            assert!(said.contains(why) && hint.contains(remedy), "{said}: {hint}");
        }
        let (why, _) = key("Enabled", "RSA_2048", "ENCRYPT_DECRYPT").fault().unwrap();
        assert!(why.contains("RSA_2048"), "{why}");
        let (why, _) = key("Enabled", "HMAC_256", "GENERATE_VERIFY_MAC").fault().unwrap();
        assert!(why.contains("GENERATE_VERIFY_MAC"), "{why}");
    }
}
