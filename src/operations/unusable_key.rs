//! Errors of the state's bucket and table whose cause is a key that cannot be used: their own words name neither the state of
//! the key nor the way back.

use super::{OperationError, Workspace, backend::KEY};
use crate::{
    aws::described_key,
    model::{Address, CallError, StepError},
};

/// Returns whether an error of S3 or DynamoDB says that KMS refuses a key.
///
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html>
fn refuses_key(error: &CallError) -> bool {
    match error.service.as_str() {
        "s3" => error.code.starts_with("KMS."),
        "dynamodb" => error.message.contains("KMS"),
        _ => false,
    }
}

/// Returns the ARN of the key that an error names.
fn named_key(message: &str) -> Option<&str> {
    let start = message.find("arn:aws").filter(|start| message[*start..].contains(":kms:"))?;
    let rest = message.get(start..)?;
    let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_'));
    rest.split(ends).next().filter(|arn| arn.contains(":kms:") && arn.contains(":key/"))
}

/// Returns the error, or, if the cause is a key in a state that a person can undo, the refusal that names the key, its state
/// and the command that undoes it.
pub async fn explained(workspace: &Workspace, error: OperationError) -> OperationError {
    let OperationError::Step(problem) = &error else { return error };
    if !refuses_key(&problem.error) {
        return error;
    }
    let backend = &workspace.state.backend;
    let usual = backend.key_arn.clone().unwrap_or_else(|| format!("alias/{}", backend.bucket));
    let id = named_key(&problem.error.message).unwrap_or(&usual);
    let Ok(Some(key)) = described_key(&workspace.target.clients, id).await else { return error };
    let Some((why, remedy)) = key.suspension() else { return error };
    let message = format!("{why}, the state of every stack included ({})", key.arn);
    OperationError::Step(StepError::refused(&Address::from(KEY), message, format!("`{remedy}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    const ARN: &str = "arn:aws:kms:eu-central-1:123456789012:key/0d1e-22";

    fn error(service: &str, code: &str, message: &str) -> CallError {
        CallError {
            service: service.to_owned(),
            code: code.to_owned(),
            ..CallError::new(ErrorKind::Invalid, message)
        }
    }

    #[test]
    fn the_key_is_read_from_the_words_of_each_service() {
        let of_kms = format!(
            "KMS key disabled error: com.amazonaws.services.kms.model.DisabledException: {ARN} is disabled. \
             (Service: AWSKMS; Status Code: 400)"
        );
        for error in [
            error("s3", "KMS.DisabledException", &format!("{ARN} is disabled.")),
            error("s3", "KMS.KMSInvalidStateException", &format!("{ARN} is pending deletion.")),
            error("dynamodb", "ValidationException", &of_kms),
        ] {
            assert!(refuses_key(&error), "{error}");
            assert_eq!(named_key(&error.message), Some(ARN), "{error}");
        }
        for error in [
            error("s3", "AccessDenied", "Access Denied"),
            error("dynamodb", "ValidationException", "The provided key element does not match the schema"),
            error("kms", "DisabledException", &format!("{ARN} is disabled.")),
        ] {
            assert!(!refuses_key(&error), "{error}");
        }
        assert_eq!(named_key("role arn:aws:iam::1:role/x is not allowed"), None);
        assert_eq!(named_key("Key 'arn:aws:kms:r:1:key/k' does not exist"), Some("arn:aws:kms:r:1:key/k"));
    }
}
