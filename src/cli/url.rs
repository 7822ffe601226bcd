//! `url`: where the application answers.

use super::{
    args::Global,
    exit::{Exit, Failure},
    lock::Scene,
    session::Session,
};
use crate::{
    aws::reach,
    engine::{Awaited, until},
    graph::{cluster_name, entrance, faces_internet},
    kube::{Cluster, Place},
    model::{Class, Event, Fault},
    stack::delivery::Ingress,
    ui::Ui,
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a load balancer takes, with its name in the DNS.
const LONGEST: Duration = Duration::from_mins(15);

/// Prints it once it answers.
pub async fn run(global: &Global, ui: Ui) -> Result<Exit, Failure> {
    let session = Session::open(global, ui).await?;
    let Some(app) = &session.stack.app else {
        return Err(Failure::refused("the file has no `app`, so there is no address", "add `app: {}`"));
    };
    if app.ingress == Ingress::None {
        let message = format!(
            "`app.ingress` is none: the application answers inside the cluster only, at http://{}.{}.svc",
            app.release, app.namespace
        );
        return Err(Failure::refused(message, "`app.ingress: alb` or `nlb` gives it a load balancer"));
    }
    if app.replicas == 0 {
        let hint = "`app.replicas` says how many pods there are";
        return Err(Failure::refused("`app.replicas` is 0: no pod can answer", hint));
    }
    let scene = Scene::open(ui, global.timeout)?;
    let result = after(&session, &scene).await;
    scene.close().await;
    result
}

/// Waits until the application answers, and prints its address. Nothing, where it has none.
pub async fn after(session: &Session, scene: &Scene) -> Result<Exit, Failure> {
    // Without a pod nothing can answer.
    let idle = session.stack.app.as_ref().is_none_or(|app| app.replicas == 0);
    let Some(place) = balanced(session).filter(|_| !idle) else { return Ok(Exit::Done) };
    let name = cluster_name(&session.stack);
    let Some(there) = reach(&session.target.clients, &name).await? else {
        return Err(Failure::refused(
            format!("there is no cluster `{name}` yet"),
            "`provisioner up` makes it",
        ));
    };
    let cluster = Cluster::new(&session.target.clients, &there, &name, &session.stack.region)?;
    let told = std::cell::RefCell::new(String::new());
    // Whoever is outside cannot tell whether it answers inside.
    let inside = !faces_internet(&session.stack) && session.target.sandbox.is_none();
    let look = async || {
        let url = match address(&cluster, &place).await? {
            None => Err(match trouble(&cluster, &place).await {
                Some(trouble) => format!("its load balancer has no name yet; {trouble}"),
                None => "its load balancer has no name yet".to_owned(),
            }),
            Some(url) if inside || answers(&url).await => Ok(url),
            Some(_) => Err("its load balancer does not answer yet".to_owned()),
        };
        if let Err(why) = &url
            && told.replace(why.clone()) != *why
        {
            // Nobody may be listening.
            let _ = scene.events.send(Event::Notice(format!("waiting for the application's address: {why}")));
        }
        Ok(url.ok())
    };
    let awaited = Awaited { longest: session.target.pace.of(LONGEST), pace: session.target.pace };
    let Some(url) = until(awaited, &scene.halt, look).await? else {
        let fault =
            Fault::new(Class::Deadline, format!("the application is rolled out, but {}", told.borrow()));
        let hint = "`provisioner url` goes on waiting; `kubectl describe` of its Ingress or Service says what holds the load balancer up";
        session.ui.problem(&fault.hint(hint).into());
        return Ok(Exit::Partial);
    };
    if inside {
        session.ui.tell("the address is one of the VPC's: it was not asked whether it answers there");
    }
    match session.ui.json {
        true => session.ui.line(json!({"type": "url", "url": url})),
        false => session.ui.data(&url),
    }
    Ok(Exit::Done)
}

/// The object whose load balancer leads to the application.
fn balanced(session: &Session) -> Option<Place> {
    let app = session.stack.app.as_ref()?;
    entrance(&session.stack)?;
    let (api_version, kind) = match app.ingress {
        Ingress::Alb => ("networking.k8s.io/v1", "Ingress"),
        Ingress::Nlb | Ingress::None => ("v1", "Service"),
    };
    Some(Place {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(app.namespace.clone()),
        name: app.release.clone(),
    })
}

async fn address(cluster: &Cluster, place: &Place) -> Result<Option<String>, Fault> {
    let Some(object) = cluster.get(place).await? else { return Ok(None) };
    let text = |name: &str| {
        let path = format!("/status/loadBalancer/ingress/0/{name}");
        object.pointer(&path).and_then(Value::as_str).map(str::to_owned)
    };
    // AWS names no ports there; a balancer that cannot have port 80 does.
    let port = object.pointer("/status/loadBalancer/ingress/0/ports/0/port").and_then(Value::as_u64);
    let port = port.filter(|port| *port != 80).map_or_else(String::new, |port| format!(":{port}"));
    Ok(text("hostname").or(text("ip")).map(|host| format!("http://{host}{port}")))
}

/// What the controller of the load balancer said last of what holds it up.
async fn trouble(cluster: &Cluster, place: &Place) -> Option<String> {
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

/// Whether anything but a load balancer without targets answers there: whatever the application says, it is the application.
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
