//! The URL of the application.

use super::{OperationError, RunControl, Workspace};
use crate::{
    aws::cluster_endpoint,
    engine::{WaitOptions, wait_for},
    graph::{cluster_name, entrance, faces_internet},
    kube::{KubeClient, ObjectRef},
    model::{CallError, ErrorKind, Event, StepError},
    stack::{Stack, delivery::Ingress},
};
use serde_json::Value;
use std::time::Duration;

/// How long to wait for a load balancer and its DNS name.
const ADDRESS_TIMEOUT: Duration = Duration::from_mins(15);

/// Whether the application responds, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationUrl {
    /// The stack has no application that could respond at a URL.
    None,
    /// The application responds at this URL.
    Responds(String),
    /// The application has this URL, which is internal to the VPC and was not tested.
    Internal(String),
    /// The application did not respond in time.
    Late(StepError),
}

/// Checks that the stack has an application with a URL.
///
/// # Errors
/// Refuses, saying which field of the file to change.
pub fn check_has_url(stack: &Stack) -> Result<(), OperationError> {
    let Some(app) = &stack.app else {
        return Err(OperationError::refused(
            "the stack file has no `app`, so it has no URL",
            "add `app: {}` to the stack file",
        ));
    };
    if app.ingress == Ingress::None {
        let message = format!(
            "`app.ingress` is `none`: the application is reachable only inside the cluster, at http://{}.{}.svc",
            app.release, app.namespace
        );
        return Err(OperationError::refused(
            message,
            "set `app.ingress` to `alb` or `nlb` to create a load balancer",
        ));
    }
    if app.replicas == 0 {
        let hint = "set `app.replicas` to at least 1";
        return Err(OperationError::refused("`app.replicas` is 0, so no pod can respond", hint));
    }
    Ok(())
}

/// Waits until the application responds, and returns its URL.
pub async fn application_url(
    workspace: &Workspace,
    control: &RunControl,
) -> Result<ApplicationUrl, OperationError> {
    let (stack, clients, pace) = (&workspace.stack, &workspace.target.clients, workspace.target.pace);
    // Without a pod nothing can respond.
    let idle = stack.app.as_ref().is_none_or(|app| app.replicas == 0);
    let Some(place) = balanced(stack).filter(|_| !idle) else { return Ok(ApplicationUrl::None) };
    let name = cluster_name(stack);
    let Some(there) = cluster_endpoint(clients, &name).await? else {
        return Err(OperationError::refused(
            format!("cluster `{name}` does not exist yet"),
            "run `provisioner up` to create it",
        ));
    };
    let cluster = KubeClient::new(clients, &there, &name, &stack.region)?;
    let told = std::cell::RefCell::new(String::new());
    // From outside the VPC, an internal address cannot be tested.
    let inside = !faces_internet(stack) && !workspace.target.is_sandbox();
    let look = async || {
        let url = match address(&cluster, &place).await? {
            None => Err(match trouble(&cluster, &place).await {
                Some(trouble) => format!("its load balancer has no DNS name yet; {trouble}"),
                None => "its load balancer has no DNS name yet".to_owned(),
            }),
            Some(url) if inside || answers(&url).await => Ok(url),
            Some(_) => Err("its load balancer does not respond yet".to_owned()),
        };
        if let Err(why) = &url
            && told.replace(why.clone()) != *why
        {
            // The receiver may have ended.
            let _ = control.events.send(Event::Notice(format!("waiting for the application's URL: {why}")));
        }
        Ok(url.ok())
    };
    let options = WaitOptions { timeout: pace.of(ADDRESS_TIMEOUT), pace };
    let Some(url) = wait_for(options, &control.shutdown, look).await? else {
        let error = CallError::new(
            ErrorKind::Deadline,
            format!("the application is rolled out, but {}", told.borrow()),
        );
        let hint = "run `provisioner url` to keep waiting, or `kubectl describe` on its Ingress or Service to see what \
                    delays the load balancer";
        return Ok(ApplicationUrl::Late(error.hint(hint).into()));
    };
    Ok(if inside { ApplicationUrl::Internal(url) } else { ApplicationUrl::Responds(url) })
}

/// Returns the object whose load balancer serves the application.
fn balanced(stack: &Stack) -> Option<ObjectRef> {
    let app = stack.app.as_ref()?;
    entrance(stack)?;
    let (api_version, kind) = match app.ingress {
        Ingress::Alb => ("networking.k8s.io/v1", "Ingress"),
        Ingress::Nlb | Ingress::None => ("v1", "Service"),
    };
    Some(ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(app.namespace.clone()),
        name: app.release.clone(),
    })
}

async fn address(cluster: &KubeClient, place: &ObjectRef) -> Result<Option<String>, CallError> {
    let Some(object) = cluster.get(place).await? else { return Ok(None) };
    let text = |name: &str| {
        let path = format!("/status/loadBalancer/ingress/0/{name}");
        object.pointer(&path).and_then(Value::as_str).map(str::to_owned)
    };
    // AWS lists no ports there; a load balancer that cannot listen on port 80 does.
    let port = object.pointer("/status/loadBalancer/ingress/0/ports/0/port").and_then(Value::as_u64);
    let port = port.filter(|port| *port != 80).map_or_else(String::new, |port| format!(":{port}"));
    Ok(text("hostname").or(text("ip")).map(|host| format!("http://{host}{port}")))
}

/// Returns the last warning of the load balancer's controller, which says what delays it.
async fn trouble(cluster: &KubeClient, place: &ObjectRef) -> Option<String> {
    let warnings = cluster.warnings(place.namespace.as_deref()?).await.ok()?;
    let text = |event: &Value, path: &str| {
        event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mine = warnings.iter().filter(|event| {
        text(event, "/involvedObject/kind") == place.kind && text(event, "/involvedObject/name") == place.name
    });
    let last = mine.max_by_key(|event| text(event, "/lastTimestamp"))?;
    Some(format!("{}: {}", text(last, "/reason"), text(last, "/message")))
}

/// Returns whether the application responds at `url`. Any status counts but those of a load balancer without
/// healthy targets (502 to 504).
async fn answers(url: &str) -> bool {
    let url = format!("{url}/");
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .build();
        let answer = ureq::Agent::new_with_config(config).get(&url).call();
        answer.is_ok_and(|answer| !matches!(answer.status().as_u16(), 502..=504))
    });
    asked.await.unwrap_or(false)
}
