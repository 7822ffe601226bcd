//! The URLs of the applications.

use super::{OperationError, RunControl, Workspace};
use crate::{
    aws::cluster_endpoint,
    engine::{WaitOptions, wait_for},
    graph::{cluster_name, entrance, faces_internet},
    kube::{KubeClient, ObjectRef},
    model::{CallError, ErrorKind, Event, StepError},
    stack::{
        Stack,
        delivery::{App, Ingress},
        nearest,
    },
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
    Responds(Location),
    /// The application has this URL, which is internal to the VPC and was not tested.
    Internal(Location),
    /// The application did not respond in time.
    Late(StepError),
}

/// A URL, and the load balancer that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The URL, without a path.
    pub url: String,
    /// DNS name of the load balancer.
    pub balancer: String,
    /// What must be true for the URL to work, if it is not that of the load balancer.
    pub note: Option<String>,
}

/// Returns the applications of these names; all of them if there are none.
///
/// # Errors
/// Refuses a name that is not in the file, and a file without an application.
pub fn applications<'a>(stack: &'a Stack, names: &[String]) -> Result<Vec<&'a App>, OperationError> {
    if stack.apps.is_empty() {
        return Err(OperationError::refused(
            "the stack file has no `app`",
            "add `app: {}` to the stack file",
        ));
    }
    if names.is_empty() {
        return Ok(stack.apps.iter().collect());
    }
    let known: Vec<&str> = stack.apps.iter().filter_map(|app| app.name.as_deref()).collect();
    let find = |name: &String| {
        stack.app(Some(name)).ok_or_else(|| {
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    "omit the name: the file has one application without a name".to_owned()
                }
                None => format!("expected one of: {}", known.join(", ")),
            };
            OperationError::refused(format!("the stack file has no application `{name}`"), &hint)
        })
    };
    names.iter().map(find).collect()
}

/// Checks that an application has a URL.
///
/// # Errors
/// Refuses, saying which field of the file to change.
pub fn check_has_url(app: &App) -> Result<(), OperationError> {
    if app.ingress == Ingress::None {
        let field = app.field("ingress");
        let message = format!(
            "`{field}` is `none`: the application is reachable only inside the cluster, at http://{}.{}.svc",
            app.release(),
            app.namespace
        );
        let hint = format!("set `{field}` to `alb` or `nlb` to create a load balancer");
        return Err(OperationError::refused(message, &hint));
    }
    if app.replicas == 0 {
        let field = app.field("replicas");
        let hint = format!("set `{field}` to at least 1");
        return Err(OperationError::refused(format!("`{field}` is 0, so no pod can respond"), &hint));
    }
    Ok(())
}

/// Waits until an application responds, and returns its URL.
pub async fn application_url(
    workspace: &Workspace,
    app: &App,
    control: &RunControl,
) -> Result<ApplicationUrl, OperationError> {
    let (stack, clients, pace) = (&workspace.stack, &workspace.target.clients, workspace.target.pace);
    // Without a pod nothing can respond.
    let Some(place) = balanced(app).filter(|_| app.replicas > 0) else { return Ok(ApplicationUrl::None) };
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
        let found = match address(app, &cluster, &place).await? {
            None => Err(match trouble(&cluster, &place).await {
                Some(trouble) => format!("its load balancer has no DNS name yet; {trouble}"),
                None => "its load balancer has no DNS name yet".to_owned(),
            }),
            Some(found) if inside || found.answers().await => Ok(found.location),
            Some(_) => Err("its load balancer does not respond yet".to_owned()),
        };
        if let Err(why) = &found
            && told.replace(why.clone()) != *why
        {
            // The receiver may have ended.
            let _ = control.events.send(Event::Notice(format!("waiting for the application's URL: {why}")));
        }
        Ok(found.ok())
    };
    let options = WaitOptions { timeout: pace.of(ADDRESS_TIMEOUT), pace };
    let Some(location) = wait_for(options, &control.shutdown, look).await? else {
        let error = CallError::new(
            ErrorKind::Deadline,
            format!("the application is rolled out, but {}", told.borrow()),
        );
        let hint = "run `provisioner url` to keep waiting, or `kubectl describe` on its Ingress or Service to see what \
                    delays the load balancer";
        return Ok(ApplicationUrl::Late(error.hint(hint).into()));
    };
    Ok(if inside { ApplicationUrl::Internal(location) } else { ApplicationUrl::Responds(location) })
}

/// Returns the object whose load balancer serves an application.
fn balanced(app: &App) -> Option<ObjectRef> {
    entrance(app)?;
    let (api_version, kind) = match app.ingress {
        Ingress::Alb => ("networking.k8s.io/v1", "Ingress"),
        Ingress::Nlb | Ingress::None => ("v1", "Service"),
    };
    Some(ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(app.namespace.clone()),
        name: app.release().to_owned(),
    })
}

/// What is known of a load balancer that has its DNS name.
struct Reachable {
    location: Location,
    /// URL of the load balancer itself, and the host that it is asked for.
    direct: String,
    host: String,
}

async fn address(app: &App, cluster: &KubeClient, place: &ObjectRef) -> Result<Option<Reachable>, CallError> {
    let Some(object) = cluster.get(place).await? else { return Ok(None) };
    Ok(reachable(app, &object))
}

/// Returns what the status of an Ingress or Service tells, or `None` without a load balancer.
fn reachable(app: &App, object: &Value) -> Option<Reachable> {
    let text = |name: &str| {
        let path = format!("/status/loadBalancer/ingress/0/{name}");
        object.pointer(&path).and_then(Value::as_str).map(str::to_owned)
    };
    let tls = app.certificate_arn.is_some();
    let (scheme, usual) = if tls { ("https", 443) } else { ("http", 80) };
    // AWS lists no ports there; a load balancer that cannot listen on its usual ports does, in their order.
    let ports = object.pointer("/status/loadBalancer/ingress/0/ports").and_then(Value::as_array);
    let port = ports.and_then(|ports| if tls { ports.last() } else { ports.first() });
    let port = port.and_then(|port| port.get("port")?.as_u64()).filter(|port| *port != usual);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let balancer = text("hostname").or(text("ip"))?;
    let direct = format!("{scheme}://{balancer}{port}");
    let exact = app.hosts.iter().find(|host| !host.starts_with("*."));
    // Every name below a wildcard is forwarded.
    let host = exact.cloned().or_else(|| app.hosts.first().map(|host| host.replacen('*', "www", 1)));
    let (url, note) = match &host {
        Some(host) => (
            format!("{scheme}://{host}{port}"),
            Some(format!("the DNS name {host} must point to the load balancer {balancer}")),
        ),
        None if tls => (
            direct.clone(),
            Some(format!(
                "clients accept the certificate only under its own names: point one to the load balancer {balancer}"
            )),
        ),
        None => (direct.clone(), None),
    };
    let host = host.unwrap_or_else(|| balancer.clone());
    Some(Reachable { location: Location { url, balancer, note }, direct, host })
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

impl Reachable {
    /// Returns whether the application responds behind the load balancer, whatever DNS says of its host. Any status counts
    /// but those of a load balancer without healthy targets (502 to 504).
    async fn answers(&self) -> bool {
        // Nothing secret is sent, and the load balancer has a certificate for other names than its own.
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .danger_accept_invalid_certs(true)
            .no_proxy()
            .build();
        let Ok(client) = client else { return false };
        let answer = client.get(format!("{}/", self.direct)).header("Host", &self.host).send().await;
        answer.is_ok_and(|answer| !matches!(answer.status().as_u16(), 502..=504))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(app: &str, status: &Value) -> Option<(String, String, String)> {
        let text = format!("name: shop\nregion: eu-central-1\napp: {app}\n");
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        let object = json!({"status": {"loadBalancer": {"ingress": [status]}}});
        let found = reachable(&stack.apps[0], &object)?;
        Some((found.location.url, found.direct, found.host))
    }

    #[test]
    fn the_url_is_that_of_the_first_host() {
        let arn = "certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1'";
        let aws = json!({"hostname": "lb.aws"});
        let low = json!({"hostname": "127.0.0.9", "ports": [{"port": 8080}, {"port": 8443}]});
        for (app, status, url, direct, host) in [
            ("{}".to_owned(), &aws, "http://lb.aws", "http://lb.aws", "lb.aws"),
            ("{}".to_owned(), &low, "http://127.0.0.9:8080", "http://127.0.0.9:8080", "127.0.0.9"),
            (format!("{{{arn}}}"), &aws, "https://lb.aws", "https://lb.aws", "lb.aws"),
            ("{hosts: ['*.a.b', c.d]}".to_owned(), &aws, "http://c.d", "http://lb.aws", "c.d"),
            ("{hosts: ['*.a.b']}".to_owned(), &aws, "http://www.a.b", "http://lb.aws", "www.a.b"),
            (format!("{{hosts: [c.d], {arn}}}"), &aws, "https://c.d", "https://lb.aws", "c.d"),
            (format!("{{hosts: [c.d], {arn}}}"), &low, "https://c.d:8443", "https://127.0.0.9:8443", "c.d"),
        ] {
            let wanted = (url.to_owned(), direct.to_owned(), host.to_owned());
            assert_eq!(found(&app, status), Some(wanted), "{app}");
        }
        assert_eq!(found("{}", &json!({})), None);
    }
}
