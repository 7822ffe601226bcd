//! Sorts the errors of the API server into kinds, with a hint for each.

use crate::model::{CallError, ErrorKind, shortened};
use serde_json::Value;
use std::error::Error;

/// Name of the service in errors of the API server.
pub const SERVICE: &str = "kubernetes";

/// Code of the error of an apply that would change fields of other managers. The server reports it as the reason of
/// each cause, and `Conflict` as the reason of the whole, as for other conflicts.
/// Source: `metav1.CauseTypeFieldManagerConflict`,
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#CauseType>
pub const FIELD_CONFLICT: &str = "FieldManagerConflict";

/// Code of the error of an eviction that a PodDisruptionBudget forbids for now. The server reports it as the reason of
/// the cause, and `TooManyRequests` as the reason of the whole.
/// Source: `policyv1.DisruptionBudgetCause`, <https://pkg.go.dev/k8s.io/api/policy/v1#pkg-constants>
pub const DISRUPTION_BUDGET: &str = "DisruptionBudget";

/// Returns the error for a call that got no answer.
pub fn unreachable(what: &str, endpoint: &str, why: &str) -> CallError {
    CallError {
        service: SERVICE.to_owned(),
        operation: what.to_owned(),
        ..CallError::new(ErrorKind::Ambiguous, format!("API server {endpoint} does not answer: {why}"))
    }
    .hint(
        "add this machine's address to `cluster.endpoint.publicCidrs` (`myip`) or, with `public: false`, \
        run inside the VPC; check the connection with `provisioner doctor`",
    )
}

/// Returns the id of an object, which every object of an API server has.
///
/// # Errors
/// If the answer does not have it.
pub fn uid(object: &Value) -> Result<String, CallError> {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    uid.map(str::to_owned).ok_or_else(|| CallError {
        service: SERVICE.to_owned(),
        operation: "get".to_owned(),
        ..CallError::new(ErrorKind::Other, "the answer has no `metadata.uid`, which every object has")
    })
}

/// Returns the error of the operation `what`, with its kind and hint.
pub fn call_error(what: &str, endpoint: &str, error: &kube::Error) -> CallError {
    let kube::Error::Api(status) = error else { return unreachable(what, endpoint, &chain(error)) };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let known = |reason: &&str| [FIELD_CONFLICT, DISRUPTION_BUDGET].contains(reason);
    let reason = causes.map(|cause| cause.reason.as_str()).find(known).unwrap_or(&status.reason);
    let (class, hint) = classify(status.code, reason, &status.message);
    CallError {
        class,
        service: SERVICE.to_owned(),
        operation: what.to_owned(),
        code: reason.to_owned(),
        message: server_message(status),
        request_id: None,
        hint: hint.map(str::to_owned),
    }
}

/// Returns the message of the server or, if it lists causes, these with their fields.
fn server_message(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .filter(|cause| !cause.message.is_empty())
        .map(|cause| match cause.field.is_empty() {
            true => without_value(&cause.message),
            false => format!("{}: {}", cause.field.trim_start_matches('.'), without_value(&cause.message)),
        })
        .collect();
    let text = if causes.is_empty() { status.message.clone() } else { causes.join("; ") };
    shortened(&text, 2000).into_owned()
}

/// Maximum length of the value in a message such as `Invalid value: {...}: field is immutable`, in bytes.
const MAX_VALUE: usize = 200;

/// Returns a message without its value, if that is long, such as a whole pod template: the reason comes after it.
fn without_value(message: &str) -> String {
    let Some((what, rest)) = message.split_once(": ").filter(|_| message.len() > MAX_VALUE) else {
        return message.to_owned();
    };
    let reason = rest.rsplit_once(": ").map(|(_, reason)| reason).filter(|it| it.len() <= MAX_VALUE);
    reason.map_or_else(|| message.to_owned(), |reason| format!("{what}: {reason}"))
}

/// Returns the kind of an error of the API server, and the hint for it.
/// Source of the reasons: `metav1.StatusReason`,
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason>
fn classify(code: u16, reason: &str, message: &str) -> (ErrorKind, Option<&'static str>) {
    let webhook = message.contains("failed calling webhook");
    match (code, reason) {
        (401, _) => (
            // The API server knows an access entry only some seconds after it was created.
            ErrorKind::Eventual,
            Some("grant the caller access to the cluster with `cluster.access` or `adminCaller`"),
        ),
        (403, _) if message.contains("exceeded quota") => {
            (ErrorKind::Quota, Some("raise the ResourceQuota of the namespace, or request less"))
        }
        (403, _) if message.contains("because it is being terminated") => (ErrorKind::Conflict, None),
        (403, _) => (
            ErrorKind::Denied,
            Some("grant the caller the permission with `cluster.access` or an RBAC binding, then run again"),
        ),
        (404, _) => (ErrorKind::Gone, None),
        (409, "AlreadyExists") => (ErrorKind::Exists, None),
        (409, FIELD_CONFLICT) => (
            ErrorKind::Refused,
            Some(
                "set the field to the manifest's value with `provisioner up --take-fields ADDRESS`, \
                or remove it from the manifest",
            ),
        ),
        (409, _) => (ErrorKind::Conflict, None),
        (429, DISRUPTION_BUDGET) => (ErrorKind::Conflict, None),
        (429, _) => (ErrorKind::Throttled, None),
        // An apply with a field that the kind does not have.
        (500, _) if message.contains("failed to create typed patch object") => {
            (ErrorKind::Invalid, Some("fix the manifest, then run again"))
        }
        (500, _) if webhook => {
            (ErrorKind::Eventual, Some("check the pods of the webhook with `kubectl get pods -A`"))
        }
        (410, _) => (ErrorKind::Gone, None),
        (400..=499, _) => (ErrorKind::Invalid, Some("fix the manifest, then run again")),
        _ => (ErrorKind::Ambiguous, None),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.to_string();
        if !text.contains(&inner) {
            text = inner;
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_map_to_kinds_of_errors() {
        for (code, reason, message, class) in [
            (401, "Unauthorized", "Unauthorized", ErrorKind::Eventual),
            (403, "Forbidden", "User \"x\" cannot patch resource", ErrorKind::Denied),
            (403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: q", ErrorKind::Quota),
            (
                403,
                "Forbidden",
                "cannot create: unable to create new content in namespace a because it is being terminated",
                ErrorKind::Conflict,
            ),
            (404, "NotFound", "", ErrorKind::Gone),
            (409, FIELD_CONFLICT, "Apply failed with 1 conflict", ErrorKind::Refused),
            (
                409,
                "Conflict",
                "Operation cannot be fulfilled: a conflict with the object",
                ErrorKind::Conflict,
            ),
            (409, "Conflict", "the object has been modified", ErrorKind::Conflict),
            (422, "Invalid", "field is immutable", ErrorKind::Invalid),
            (429, "TooManyRequests", "", ErrorKind::Throttled),
            (429, DISRUPTION_BUDGET, "", ErrorKind::Conflict),
            (
                500,
                "InternalError",
                "Internal error occurred: failed calling webhook \"x\"",
                ErrorKind::Eventual,
            ),
            (
                500,
                "",
                "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.x",
                ErrorKind::Invalid,
            ),
            (500, "InternalError", "", ErrorKind::Ambiguous),
            (504, "Timeout", "", ErrorKind::Ambiguous),
        ] {
            assert_eq!(classify(code, reason, message).0, class, "{code} {reason} {message}");
        }
    }

    #[test]
    fn a_conflict_names_the_field_and_its_owner() {
        let status: kube::core::Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".spec.replicas"}]},
        }))
        .unwrap();
        let error = call_error("apply Deployment a/b", "https://x", &kube::Error::Api(Box::new(status)));
        assert_eq!((error.class, error.code.as_str()), (ErrorKind::Refused, FIELD_CONFLICT));
        assert_eq!(error.message, "spec.replicas: conflict with \"kubectl\"");
    }

    #[test]
    fn a_long_value_does_not_hide_the_reason() {
        let template = format!("{{\"labels\": {{\"a\": \"{}\"}}}}", "x".repeat(3000));
        let message = format!("Invalid value: {template}: field is immutable");
        assert_eq!(without_value(&message), "Invalid value: field is immutable");
        assert_eq!(without_value("Invalid value: 3: must be 1"), "Invalid value: 3: must be 1");
        let odd = "x".repeat(3000);
        assert_eq!(without_value(&odd), odd);
    }
}
