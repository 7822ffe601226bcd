//! SDK errors, classed by service, operation and code; by message only where AWS gives nothing better.

use super::classes::specific;
use crate::model::{Class, Fault};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use std::error::Error;

/// Turns the answer of one SDK call into a classed one.
pub trait Call<T> {
    /// `service` and `operation` as in IAM actions: `ec2`, `CreateVpc`.
    fn call(self, service: &str, operation: &str) -> Result<T, Fault>;
}

impl<T, E> Call<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn call(self, service: &str, operation: &str) -> Result<T, Fault> {
        self.map_err(|error| fault(service, operation, &error))
    }
}

fn fault<E>(service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let (class, message) = match error {
        SdkError::ServiceError(_) => {
            let message = error.message().unwrap_or_default();
            (classify(service, operation, code, status, message), message.to_owned())
        }
        SdkError::ConstructionFailure(_) => (Class::Bug, chain(error)),
        SdkError::DispatchFailure(failure) if failure.is_user() => (Class::Bug, chain(error)),
        _ if chain(error).contains("credential") => {
            let text = chain(error);
            let cause = text.rsplit("loading credentials: ").next().unwrap_or(&text);
            (Class::Credentials, format!("no usable credentials: {cause}"))
        }
        // Timeouts, broken connections and unreadable answers: the request may have arrived.
        _ => (Class::Ambiguous, chain(error)),
    };
    let message = match (message.is_empty(), status) {
        (true, Some(status)) => format!("HTTP status {status}"),
        _ => message,
    };
    Fault {
        class,
        service: service.to_owned(),
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: printable(&message),
        request_id: error.request_id().map(str::to_owned),
        hint: hint(class),
    }
}

/// The innermost causes say what happened ("connection refused"); the outer ones only that something did.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        source = cause.source();
    }
    parts.join(": ")
}

/// Text from outside must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(2000).collect()
}

fn hint(class: Class) -> Option<String> {
    let text = match class {
        Class::Denied => {
            "the caller lacks this permission: grant the action that is named (`provisioner policy` prints all that the stack needs), then run again"
        }
        Class::Credentials => {
            "log in again (`aws sso login`, or new keys in the environment), then run again"
        }
        Class::Quota => "ask for a higher quota in the Service Quotas console, or remove what nobody needs",
        Class::Throttled => {
            "the account is at its API limit: run again later, or with a smaller --parallelism"
        }
        Class::Unsupported => {
            "this target does not know the call: use AWS itself, or report it if this is the sandbox"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Codes that AWS uses for throttling, over all services.
/// Source: the retryable codes of the SDK's own classifier, without `LimitExceededException`, which is a quota.
const THROTTLE: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

const DENIED: &[&str] = &[
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "OptInRequired",
];

const CREDENTIALS: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
];

/// What an error asks for. `status` is the HTTP status, where there was an answer.
pub fn classify(service: &str, operation: &str, code: &str, status: Option<u16>, message: &str) -> Class {
    if THROTTLE.contains(&code) {
        return Class::Throttled;
    }
    if DENIED.contains(&code) {
        return Class::Denied;
    }
    if CREDENTIALS.contains(&code) {
        return Class::Credentials;
    }
    if let Some(class) = specific(service, operation, code, message) {
        return class;
    }
    let quota = code.ends_with("LimitExceeded")
        || code.ends_with("LimitExceededException")
        || code == "LimitExceeded";
    match (code, status) {
        ("NotImplementedByTarget", _) | (_, Some(501)) => Class::Unsupported,
        _ if quota => Class::Quota,
        (code, _) if code.ends_with(".NotFound") || code.ends_with("NotFound") => Class::Gone,
        ("ResourceNotFoundException" | "NoSuchEntity" | "NotFoundException", _) => Class::Gone,
        (
            "DependencyViolation" | "ResourceInUseException" | "ConcurrentModification" | "OperationAborted",
            _,
        ) => Class::Conflict,
        (_, Some(500 | 502 | 503 | 504)) => Class::Ambiguous,
        (_, Some(404)) => Class::Gone,
        (_, Some(400..=499)) => Class::Invalid,
        _ => Class::Other,
    }
}

/// For deletes: what is not there is deleted.
pub fn gone_is_done<T>(result: Result<T, Fault>) -> Result<(), Fault> {
    match result {
        Err(fault) if fault.class != Class::Gone => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_classed_by_service_and_call() {
        let cases: &[(&str, &str, &str, u16, &str, Class)] = &[
            ("ec2", "CreateVpc", "RequestLimitExceeded", 503, "", Class::Throttled),
            ("ec2", "CreateVpc", "VpcLimitExceeded", 400, "", Class::Quota),
            ("ec2", "CreateVpc", "UnauthorizedOperation", 403, "", Class::Denied),
            ("ec2", "CreateVpc", "InternalError", 500, "", Class::Ambiguous),
            ("ec2", "CreateSubnet", "InvalidVpcID.NotFound", 400, "", Class::Eventual),
            ("ec2", "DeleteSubnet", "InvalidSubnetID.NotFound", 400, "", Class::Gone),
            ("ec2", "DescribeVpcs", "InvalidVpcID.NotFound", 400, "", Class::Gone),
            ("ec2", "DeleteVpc", "DependencyViolation", 400, "", Class::Conflict),
            ("ec2", "CreateRoute", "InvalidNatGatewayID.NotFound", 400, "", Class::Eventual),
            ("ec2", "CreateVpc", "InvalidVpc.Range", 400, "", Class::Invalid),
            ("iam", "GetRole", "NoSuchEntity", 404, "", Class::Gone),
            (
                "iam",
                "CreateRole",
                "MalformedPolicyDocument",
                400,
                "Invalid principal in policy",
                Class::Eventual,
            ),
            ("iam", "CreateRole", "MalformedPolicyDocument", 400, "Syntax errors in policy", Class::Invalid),
            ("s3", "PutObject", "PreconditionFailed", 412, "", Class::Lost),
            ("s3", "PutObject", "SlowDown", 503, "", Class::Throttled),
            ("s3", "HeadBucket", "NotFound", 404, "", Class::Gone),
            ("dynamodb", "DescribeContinuousBackups", "TableNotFoundException", 400, "", Class::Gone),
            ("ec2", "CreateVpc", "RequestExpired", 400, "", Class::Credentials),
            ("eks", "CreateAddon", "NotImplementedByTarget", 501, "", Class::Unsupported),
        ];
        for (service, operation, code, status, message, class) in cases {
            assert_eq!(
                classify(service, operation, code, Some(*status), message),
                *class,
                "{operation} {code}"
            );
        }
    }
}
