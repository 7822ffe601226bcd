//! What a person can do about an error of AWS.

use crate::model::ErrorKind;

/// Whether AWS refuses a request for the time that it is signed with.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>
fn is_clock(code: &str, message: &str) -> bool {
    let signature = ["Signature expired", "Signature not yet current"];
    ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"].contains(&code)
        || signature.iter().any(|text| message.contains(text))
}

/// Returns what to do about an error of this class and code.
pub fn hint(class: ErrorKind, code: &str, message: &str) -> Option<String> {
    let text = match class {
        ErrorKind::Credentials if is_clock(code, message) => {
            "check this machine's clock, for example with `timedatectl`: AWS rejects a request whose time is minutes off, or that was sent late because the machine slept; then run again"
        }
        ErrorKind::Denied => {
            "grant the named action to the caller (`provisioner policy` prints all actions that the stack needs), then run again"
        }
        ErrorKind::Credentials => {
            "log in again with `aws sso login` or set new keys in the environment, then run again"
        }
        ErrorKind::Quota => {
            "request a higher quota in the Service Quotas console, or delete unused resources"
        }
        ErrorKind::Throttled => {
            "run again later, or with a smaller `--parallelism`: the account is at its API rate limit"
        }
        ErrorKind::Unsupported => {
            "use AWS itself, or report it if this is the sandbox: the target does not implement the call"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_refused_for_its_time_leads_to_the_clock() {
        let said =
            |code: &str, message: &str| hint(ErrorKind::Credentials, code, message).unwrap_or_default();
        for (code, message) in [
            (
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            ("RequestExpired", "Request has expired."),
            (
                "SignatureDoesNotMatch",
                "Signature expired: 20261129T100000Z is now earlier than 20261129T101500Z",
            ),
            (
                "InvalidSignatureException",
                "Signature not yet current: 20261129T110000Z is still later than ...",
            ),
        ] {
            assert!(said(code, message).contains("clock"), "{code}");
        }
        assert!(
            said("ExpiredToken", "The security token included in the request is expired").contains("log in")
        );
    }
}
