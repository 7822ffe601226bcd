//! What is wrong with a pod, and whether waiting resolves it. Pure.

use super::object_status::{condition, number, text};
use serde_json::Value;

/// A problem of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTrouble {
    /// Its reason, the pod and what Kubernetes says, such as `ImagePullBackOff: pod web-1: ...`.
    pub text: String,
    /// Whether waiting does not resolve it.
    pub lasting: bool,
}

/// Reasons of a waiting container that time does not resolve. `ErrImagePull` is the first attempt; the
/// back-off follows.
pub(super) const LASTING_REASONS: &[&str] = &[
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// Returns the first lasting problem of a pod or, without one, the first problem.
pub fn trouble(pods: &[Value], warnings: &[Value]) -> Option<PodTrouble> {
    let all: Vec<PodTrouble> = pods.iter().filter_map(|pod| pod_trouble(pod, warnings)).collect();
    all.iter().find(|trouble| trouble.lasting).or(all.first()).cloned()
}

/// Returns the names of the pod and the container of the first container that crashes repeatedly.
pub fn crashing(pods: &[Value]) -> Option<(String, String)> {
    pods.iter().find_map(|pod| {
        let crashes = |it: &Value| text(it, "/state/waiting/reason") == "CrashLoopBackOff";
        let (_, container) = containers(pod).find(|(_, it)| crashes(it))?;
        Some((text(pod, "/metadata/name").to_owned(), text(container, "/name").to_owned()))
    })
}

/// Returns the states of a pod's containers with what to call them, init containers first.
fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let of = |what: &'static str, path: &str| {
        pod.pointer(path).and_then(Value::as_array).into_iter().flatten().map(move |it| (what, it))
    };
    of("init container", "/status/initContainerStatuses").chain(of("container", "/status/containerStatuses"))
}

/// Returns the problem of a pod, if it has one.
pub fn pod_trouble(pod: &Value, warnings: &[Value]) -> Option<PodTrouble> {
    let name = text(pod, "/metadata/name");
    for (what, container) in containers(pod) {
        let reason = text(container, "/state/waiting/reason");
        if !LASTING_REASONS.contains(&reason) && reason != "ErrImagePull" {
            continue;
        }
        let mut said = vec![text(container, "/state/waiting/message").to_owned()];
        if let Some(end) = container.pointer("/lastState/terminated") {
            let code = number(end, "/exitCode").unwrap_or_default();
            let why = text(end, "/reason");
            said = vec![format!("terminated with exit code {code} ({why}) {}", text(end, "/message"))];
        }
        let place = format!("pod {name}, {what} {}", text(container, "/name"));
        // The exit code does not show that a failed probe stopped the container.
        let probe = |message: &str| {
            ["Liveness probe failed", "Startup probe failed"].iter().any(|it| message.starts_with(it))
        };
        let ended = latest(warnings, name, &|event| probe(text(event, "/message")));
        let ended = ended.filter(|_| reason == "CrashLoopBackOff").map(|event| text(event, "/message"));
        let said = [said.concat().trim(), ended.unwrap_or_default()].join("; ");
        let text = format!("{reason}: {place}: {}", said.trim_end_matches("; "));
        return Some(PodTrouble { text, lasting: LASTING_REASONS.contains(&reason) });
    }
    if let Some(("False", "Unschedulable", message)) = condition(pod, "PodScheduled") {
        return Some(PodTrouble { text: format!("Unschedulable: pod {name}: {message}"), lasting: true });
    }
    // Failed probes and mounts show only in events.
    let last = latest(warnings, name, &|_| true)?;
    let ready = matches!(condition(pod, "Ready"), Some(("True", ..)));
    if let Some(why) = wrong_path(last).filter(|_| !ready) {
        return Some(PodTrouble { text: format!("Unhealthy: pod {name}: {why}"), lasting: true });
    }
    let lasting = is_missing_source(last);
    let text = format!("{}: pod {name}: {}", text(last, "/reason"), text(last, "/message"));
    (!ready).then_some(PodTrouble { text, lasting })
}

/// Returns the latest warning of a pod for which `wanted` holds.
fn latest<'a>(warnings: &'a [Value], pod: &str, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    let mine = warnings.iter().filter(|event| text(event, "/involvedObject/name") == pod && wanted(event));
    mine.max_by_key(|event| {
        [text(event, "/lastTimestamp"), text(event, "/eventTime"), text(event, "/metadata/creationTimestamp")]
            .map(str::to_owned)
    })
}

/// How many failed mounts make a missing volume source a lasting problem: about seven seconds, in which
/// another controller may still create it.
pub(super) const MAX_FAILED_MOUNTS: i64 = 4;

/// Returns whether an event reports a volume whose ConfigMap or Secret does not exist.
fn is_missing_source(event: &Value) -> bool {
    text(event, "/reason") == "FailedMount"
        && text(event, "/message").contains("not found")
        && times(event) >= MAX_FAILED_MOUNTS
}

/// Returns how often an event happened.
fn times(event: &Value) -> i64 {
    number(event, "/count").or(number(event, "/series/count")).unwrap_or(1)
}

/// How often a probe must get the same answer before its path counts as wrong: a server that is still starting may answer
/// 404 as well.
pub(super) const MAX_WRONG_ANSWERS: i64 = 3;

/// Returns what to change if a probe asks for a path that the application does not have, or may not ask for.
fn wrong_path(event: &Value) -> Option<String> {
    let message = text(event, "/message");
    let (probe, rest) = message.split_once(" probe failed: HTTP probe failed with statuscode: ")?;
    let code: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let field = match probe {
        "Startup" => "startup",
        "Liveness" => "live",
        _ => "ready",
    };
    let known = ["400", "401", "403", "404", "405"].contains(&code.as_str());
    (known && times(event) >= MAX_WRONG_ANSWERS).then(|| {
        let same = if field == "startup" { " (`live` and `startup` are the same path by default)" } else { "" };
        format!(
            "{message}: the application runs and answers {code}; set `health.{field}` of the application to a path that \
             it answers with 200 to 399, or to `tcp`{same}"
        )
    })
}
