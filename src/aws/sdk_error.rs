//! SDK errors, classified by service, operation and code, and by message only if AWS gives nothing better.

use super::{
    call_hints::hint, classes::specific, progress_sink::report_accepted, required::MissingField, unreadable,
};
use crate::model::{CallError, ErrorKind, shortened};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use std::error::Error;

/// Converts the result of one SDK call into one with a classified error, which names service and operation.
pub trait Call<T>: Sized {
    /// Classifies the error, if any.
    fn call(self) -> Result<T, CallError>;

    /// Reduces the answer to what is needed of it. A missing field becomes an error of the call.
    fn read<U>(self, read: impl FnOnce(T) -> Result<U, MissingField>) -> Result<U, CallError>;

    /// The same for a call about one resource; `None` if it does not exist.
    fn read_if_found<U>(
        self,
        read: impl FnOnce(T) -> Result<U, MissingField>,
    ) -> Result<Option<U>, CallError> {
        if_found(self.read(read))
    }

    /// Treats "not found" as success, for deletes.
    fn gone_is_done(self) -> Result<(), CallError> {
        if_found(self.call()).map(drop)
    }
}

impl<T, E> Call<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn call(self) -> Result<T, CallError> {
        let (service, operation) = operation_of::<E>();
        let answer = self.map_err(|error| failure(service, operation, &error));
        if answer.is_ok() && writes(operation) {
            report_accepted();
        }
        answer
    }

    fn read<U>(self, read: impl FnOnce(T) -> Result<U, MissingField>) -> Result<U, CallError> {
        read(self.call()?).map_err(MissingField::in_answer_of::<E>)
    }
}

impl MissingField {
    /// Returns the error of the operation that has `E` as its error type.
    pub fn in_answer_of<E>(self) -> CallError {
        let (service, operation) = operation_of::<E>();
        let message = format!("the answer has no `{}`, which AWS documents as always present", self.0);
        CallError {
            service: service.to_owned(),
            operation: operation.to_owned(),
            ..CallError::new(ErrorKind::Other, message)
        }
    }
}

/// Returns service and operation of a call, as IAM names them (`ec2`, `CreateVpc`), by the operation's error type.
///
/// The SDK keeps the names in the bag of the request, which neither an answer nor an error carries. The error type is named
/// after both: `aws_sdk_ec2::operation::create_vpc::CreateVpcError`.
pub fn operation_of<E>() -> (&'static str, &'static str) {
    let path = std::any::type_name::<E>();
    let (krate, name) = (path.split("::").next(), path.rsplit("::").next());
    let service = match krate.unwrap_or_default().trim_start_matches("aws_sdk_") {
        "cloudwatchlogs" => "logs",
        "resourcegroupstagging" => "tag",
        service => service,
    };
    let name = name.unwrap_or_default();
    (service, name.strip_suffix("Error").unwrap_or(name))
}

/// Returns the error of an item that a call, which succeeded as a whole, could not do. `E` is the error type of the call.
pub fn item_error<E>(code: Option<&str>, message: Option<&str>) -> CallError {
    let (service, operation) = operation_of::<E>();
    let (code, message) = (code.unwrap_or_default(), message.unwrap_or("no reason given"));
    CallError {
        service: service.to_owned(),
        operation: operation.to_owned(),
        code: code.to_owned(),
        ..CallError::new(classify(service, operation, code, Some(400), message), shortened(message, 2000))
    }
}

/// Returns `None` if AWS does not have what it was asked for.
pub fn if_found<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Err(error) if error.class == ErrorKind::Gone => Ok(None),
        answer => answer.map(Some),
    }
}

/// Returns whether a call with this name changes something.
fn writes(operation: &str) -> bool {
    const READS: &[&str] =
        &["BatchCheck", "BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan", "Search", "Simulate"];
    !READS.iter().any(|start| operation.starts_with(start))
}

fn failure<E>(service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let (class, message) = match error {
        // The SDK reports an answer that it cannot parse as an unknown error of the service.
        SdkError::ServiceError(failure) if unreadable::is_unreadable(operation, code, failure.raw()) => {
            (ErrorKind::Ambiguous, unreadable::describe(failure.raw(), innermost(failure.err())))
        }
        SdkError::ServiceError(_) => {
            let message = error.message().unwrap_or_default();
            (classify(service, operation, code, status, message), message.to_owned())
        }
        SdkError::ConstructionFailure(_) => (ErrorKind::Bug, chain(error)),
        SdkError::DispatchFailure(failure) if failure.is_user() => (ErrorKind::Bug, chain(error)),
        _ if chain(error).contains("credential") => {
            let text = chain(error);
            let cause = text.rsplit("loading credentials: ").next().unwrap_or(&text);
            (ErrorKind::Credentials, format!("no usable credentials: {cause}"))
        }
        // Timeouts, broken connections and unreadable answers: the request may have arrived.
        SdkError::ResponseError(failure) => {
            (ErrorKind::Ambiguous, unreadable::describe(failure.raw(), innermost(error)))
        }
        _ => (ErrorKind::Ambiguous, chain(error)),
    };
    let message = match (message.is_empty(), status) {
        (true, Some(status)) => format!("HTTP status {status}"),
        _ => message,
    };
    CallError {
        class,
        service: service.to_owned(),
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: shortened(&message, 2000).into_owned(),
        request_id: error.request_id().map(str::to_owned),
        hint: hint(class, code, &message),
    }
}

/// Returns the innermost cause of an error.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let mut innermost = error.source()?;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    Some(innermost)
}

/// Joins an error and its causes: the innermost say what happened ("connection refused"), the outer ones only
/// that something failed.
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

/// The codes that AWS services use for throttling.
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
    "InvalidSignatureException",
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    "InvalidAccessKeyId",
    "MissingAuthenticationToken",
];

/// Classifies an error by what to do about it. `status` is the HTTP status; `None` if there was no answer.
pub fn classify(service: &str, operation: &str, code: &str, status: Option<u16>, message: &str) -> ErrorKind {
    if THROTTLE.contains(&code) {
        return ErrorKind::Throttled;
    }
    if DENIED.contains(&code) {
        return ErrorKind::Denied;
    }
    if CREDENTIALS.contains(&code) {
        return ErrorKind::Credentials;
    }
    if let Some(class) = specific(service, operation, code, message) {
        return class;
    }
    let quota = code.ends_with("LimitExceeded")
        || code.ends_with("LimitExceededException")
        || code == "LimitExceeded";
    match (code, status) {
        ("NotImplementedByTarget", _) | (_, Some(501)) => ErrorKind::Unsupported,
        _ if quota => ErrorKind::Quota,
        // The answer to a HEAD request has no body, and so no code.
        ("" | "Forbidden", Some(403)) => ErrorKind::Denied,
        ("PermanentRedirect", _) | (_, Some(301)) => ErrorKind::Refused,
        (code, _) if code.ends_with(".NotFound") || code.ends_with("NotFound") => ErrorKind::Gone,
        ("ResourceNotFoundException" | "NoSuchEntity" | "NotFoundException", _) => ErrorKind::Gone,
        (
            "DependencyViolation" | "ResourceInUseException" | "ConcurrentModification" | "OperationAborted",
            _,
        ) => ErrorKind::Conflict,
        (_, Some(500 | 502 | 503 | 504)) => ErrorKind::Ambiguous,
        // Without a code only the answer to a HEAD request says that something is not found: any other comes from a
        // proxy or a wrong endpoint.
        ("", Some(404)) if !operation.starts_with("Head") => ErrorKind::Ambiguous,
        (_, Some(404)) => ErrorKind::Gone,
        (_, Some(400..=499)) => ErrorKind::Invalid,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::required;
    use aws_sdk_cloudwatchlogs::operation::create_log_group::CreateLogGroupError;
    use aws_sdk_ec2::operation::{create_vpc::CreateVpcError, describe_subnets::DescribeSubnetsError};
    use aws_sdk_iam::operation::add_client_id_to_open_id_connect_provider::AddClientIDToOpenIDConnectProviderError;
    use aws_sdk_resourcegroupstagging::operation::get_resources::GetResourcesError;

    #[test]
    fn a_call_is_named_after_its_error_type() {
        assert_eq!(operation_of::<CreateVpcError>(), ("ec2", "CreateVpc"));
        assert_eq!(operation_of::<CreateLogGroupError>(), ("logs", "CreateLogGroup"));
        assert_eq!(operation_of::<GetResourcesError>(), ("tag", "GetResources"));
        let openid = operation_of::<AddClientIDToOpenIDConnectProviderError>();
        assert_eq!(openid, ("iam", "AddClientIDToOpenIDConnectProvider"));
    }

    #[test]
    fn an_answer_without_an_id_names_service_operation_and_field() {
        let answer: Result<Option<&str>, SdkError<DescribeSubnetsError, HttpResponse>> = Ok(None);
        let error = answer.read(|id| required(id, "subnetId")).unwrap_err();
        assert_eq!(error.class, ErrorKind::Other);
        assert!(
            error.to_string().starts_with("ec2:DescribeSubnets: the answer has no `subnetId`"),
            "{error}"
        );
    }

    #[test]
    fn codes_are_classified_by_service_and_call() {
        let cases: &[(&str, &str, &str, u16, &str, ErrorKind)] = &[
            ("ec2", "CreateVpc", "RequestLimitExceeded", 503, "", ErrorKind::Throttled),
            ("ec2", "CreateVpc", "VpcLimitExceeded", 400, "", ErrorKind::Quota),
            ("ec2", "CreateVpc", "UnauthorizedOperation", 403, "", ErrorKind::Denied),
            ("ec2", "CreateVpc", "InternalError", 500, "", ErrorKind::Ambiguous),
            ("ec2", "CreateSubnet", "InvalidVpcID.NotFound", 400, "", ErrorKind::Eventual),
            ("ec2", "DeleteSubnet", "InvalidSubnetID.NotFound", 400, "", ErrorKind::Gone),
            ("ec2", "DescribeVpcs", "InvalidVpcID.NotFound", 400, "", ErrorKind::Gone),
            ("ec2", "DeleteVpc", "DependencyViolation", 400, "", ErrorKind::Conflict),
            ("ec2", "CreateRoute", "InvalidNatGatewayID.NotFound", 400, "", ErrorKind::Eventual),
            ("ec2", "CreateVpc", "InvalidVpc.Range", 400, "", ErrorKind::Invalid),
            ("iam", "GetRole", "NoSuchEntity", 404, "", ErrorKind::Gone),
            (
                "iam",
                "CreateRole",
                "MalformedPolicyDocument",
                400,
                "Invalid principal in policy",
                ErrorKind::Eventual,
            ),
            (
                "iam",
                "CreateRole",
                "MalformedPolicyDocument",
                400,
                "Syntax errors in policy",
                ErrorKind::Invalid,
            ),
            ("s3", "PutObject", "PreconditionFailed", 412, "", ErrorKind::Lost),
            ("s3", "PutObject", "SlowDown", 503, "", ErrorKind::Throttled),
            ("s3", "HeadBucket", "NotFound", 404, "", ErrorKind::Gone),
            ("s3", "HeadBucket", "", 404, "", ErrorKind::Gone),
            ("s3", "GetBucketVersioning", "", 404, "", ErrorKind::Ambiguous),
            ("s3", "GetBucketPolicy", "NoSuchBucketPolicy", 404, "", ErrorKind::Gone),
            ("s3", "HeadBucket", "", 403, "", ErrorKind::Denied),
            ("s3", "HeadBucket", "", 301, "", ErrorKind::Refused),
            ("s3", "GetObject", "RequestTimeTooSkewed", 403, "", ErrorKind::Credentials),
            (
                "dynamodb",
                "GetItem",
                "InvalidSignatureException",
                400,
                "Signature expired",
                ErrorKind::Credentials,
            ),
            ("dynamodb", "DescribeContinuousBackups", "TableNotFoundException", 400, "", ErrorKind::Gone),
            ("ec2", "CreateVpc", "RequestExpired", 400, "", ErrorKind::Credentials),
            ("eks", "CreateAddon", "NotImplementedByTarget", 501, "", ErrorKind::Unsupported),
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
