//! What the API server says, classed.

use crate::model::{Class, Fault};
use std::error::Error;

/// The service of faults of the API server.
pub const SERVICE: &str = "kubernetes";

/// A call that nobody answered.
pub fn unreachable(what: &str, endpoint: &str, why: &str) -> Fault {
    Fault {
        service: SERVICE.to_owned(),
        operation: what.to_owned(),
        ..Fault::new(Class::Ambiguous, format!("the cluster's API server at {endpoint} does not answer: {why}"))
    }
    .hint(
        "is this machine's address in cluster.endpoint.publicCidrs (`myip`), or, with `public: false`, inside the VPC? \
         `provisioner doctor` tells",
    )
}

/// The fault behind `error`, met when doing `what`.
pub fn fault(what: &str, endpoint: &str, error: &kube::Error) -> Fault {
    let kube::Error::Api(status) = error else { return unreachable(what, endpoint, &chain(error)) };
    let (class, hint) = classify(status.code, &status.reason, &status.message);
    Fault {
        class,
        service: SERVICE.to_owned(),
        operation: what.to_owned(),
        code: status.reason.clone(),
        message: said(status),
        request_id: None,
        hint: hint.map(str::to_owned),
    }
}

/// The server's message; where it lists causes, these, each with its field.
fn said(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .filter(|cause| !cause.message.is_empty())
        .map(|cause| match cause.field.is_empty() {
            true => cause.message.clone(),
            false => format!("{}: {}", cause.field.trim_start_matches('.'), cause.message),
        })
        .collect();
    let text = if causes.is_empty() { status.message.clone() } else { causes.join("; ") };
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(2000).collect()
}

/// Source of the reasons: `metav1.StatusReason`,
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason>
fn classify(code: u16, reason: &str, message: &str) -> (Class, Option<&'static str>) {
    let webhook = message.contains("failed calling webhook");
    match (code, reason) {
        (401, _) => (
            // An access entry is known to the API server only some seconds after it was made.
            Class::Eventual,
            Some("the cluster does not know the caller: `cluster.access` or `adminCaller` lets it in"),
        ),
        (403, _) if message.contains("exceeded quota") => {
            (Class::Quota, Some("raise the namespace's ResourceQuota, or ask for less"))
        }
        (403, _) if message.contains("because it is being terminated") => (Class::Conflict, None),
        (403, _) => (
            Class::Denied,
            Some(
                "give the caller the right in the cluster: `cluster.access`, or an RBAC binding; then run again",
            ),
        ),
        (404, _) => (Class::Gone, None),
        (409, "AlreadyExists") => (Class::Exists, None),
        (409, "Conflict") if message.contains("conflict") && message.contains("with ") => (
            Class::Refused,
            Some(
                "take the field out of the manifest, or let go of it there (`kubectl apply --server-side --field-manager`)",
            ),
        ),
        (409, _) => (Class::Conflict, None),
        (429, _) => (Class::Throttled, None),
        // A field that the kind does not have, in an apply.
        (500, _) if message.contains("failed to create typed patch object") => {
            (Class::Invalid, Some("mend the manifest, then run again"))
        }
        (500, _) if webhook => {
            (Class::Eventual, Some("the webhook's pods do not answer: `kubectl get pods -A` shows them"))
        }
        (410, _) => (Class::Gone, None),
        (400..=499, _) => (Class::Invalid, Some("mend the manifest, then run again")),
        _ => (Class::Ambiguous, None),
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
    fn reasons_are_classed() {
        for (code, reason, message, class) in [
            (401, "Unauthorized", "Unauthorized", Class::Eventual),
            (403, "Forbidden", "User \"x\" cannot patch resource", Class::Denied),
            (403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: q", Class::Quota),
            (
                403,
                "Forbidden",
                "cannot create: unable to create new content in namespace a because it is being terminated",
                Class::Conflict,
            ),
            (404, "NotFound", "", Class::Gone),
            (
                409,
                "Conflict",
                "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas",
                Class::Refused,
            ),
            (409, "Conflict", "the object has been modified", Class::Conflict),
            (422, "Invalid", "field is immutable", Class::Invalid),
            (429, "TooManyRequests", "", Class::Throttled),
            (500, "InternalError", "Internal error occurred: failed calling webhook \"x\"", Class::Eventual),
            (
                500,
                "",
                "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.x",
                Class::Invalid,
            ),
            (500, "InternalError", "", Class::Ambiguous),
            (504, "Timeout", "", Class::Ambiguous),
        ] {
            assert_eq!(classify(code, reason, message).0, class, "{code} {reason} {message}");
        }
    }

    #[test]
    fn a_conflict_names_field_and_owner() {
        let status: kube::core::Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".spec.replicas"}]},
        }))
        .unwrap();
        let fault = fault("apply Deployment a/b", "https://x", &kube::Error::Api(Box::new(status)));
        assert_eq!(fault.class, Class::Refused);
        assert_eq!(fault.message, "spec.replicas: conflict with \"kubectl\"");
    }
}
