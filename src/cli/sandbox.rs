//! `sandbox`: the AWS on loopback, by hand.

use super::{
    args::{Global, Sandbox as Command},
    exit::{Exit, Failure},
    target::sandbox_of,
};
use crate::{
    sandbox::{Control, Running, SandboxError, Wish},
    ui::Ui,
};
use serde_json::{Value, json};

/// Starts, stops, shows or empties it.
pub fn run(global: &Global, command: &Command, ui: Ui) -> Result<Exit, Failure> {
    let sandbox = sandbox_of(global);
    let running = sandbox.running();
    match (command, running) {
        (Command::Start { port, time_scale, kubernetes }, None) => {
            let wish = Wish { port: *port, time_scale: *time_scale, kubernetes: *kubernetes };
            let running = sandbox.ensure(wish, &|text| ui.tell(&ui.paint("2", text)))?;
            show(ui, &running)?;
        }
        (Command::Start { port, time_scale, kubernetes }, Some(running)) => {
            let scale = Control::new(&running.endpoint).time_scale()?;
            let others = [
                port.ne(&0).then_some(*port).filter(|port| *port != running.port).map(|_| "at another port"),
                time_scale.filter(|wanted| (scale - wanted).abs() > f64::EPSILON).map(|_| "at another speed"),
                kubernetes
                    .filter(|wanted| *wanted != sandbox.kubernetes())
                    .map(|_| "with another Kubernetes"),
            ];
            let others: Vec<&str> = others.into_iter().flatten().collect();
            if !others.is_empty() {
                let message =
                    format!("the sandbox already runs at {}, {}", running.endpoint, others.join(" and "));
                return Err(Failure::refused(
                    message,
                    "`provisioner sandbox stop`, then start it again; what is in it is lost",
                ));
            }
            show(ui, &running)?;
        }
        (Command::Status, Some(running)) => show(ui, &running)?,
        (Command::Status, None) if ui.json => ui.data(&json!({"running": false}).to_string()),
        (Command::Status | Command::Stop, None) => ui.tell("the sandbox is not running"),
        (Command::Stop, Some(_)) => {
            sandbox.stop()?;
            ui.tell("the sandbox is stopped; what was in it is gone");
        }
        (Command::Reset, Some(running)) => {
            Control::new(&running.endpoint).reset()?;
            sandbox.forget()?;
            ui.tell("the sandbox is empty");
        }
        (Command::Reset, None) => {
            return Err(SandboxError::Silent("it is not running".to_owned()).into());
        }
    }
    Ok(Exit::Done)
}

fn show(ui: Ui, running: &Running) -> Result<(), SandboxError> {
    let mut status = Control::new(&running.endpoint).status()?;
    if let (Some(map), Value::Object(known)) = (status.as_object_mut(), json!(running)) {
        map.extend(known);
        map.insert("running".to_owned(), json!(true));
    }
    if ui.json {
        ui.data(&status.to_string());
    } else {
        let scale = status.get("timeScale").cloned().unwrap_or_default();
        ui.say(&format!(
            "the sandbox runs at {} (pid {}), {scale} times as fast as AWS",
            running.endpoint, running.pid
        ));
        match status.get("kubernetes").and_then(Value::as_str) {
            None | Some("stand-in") => ui.say("clusters are served by a stand-in for Kubernetes"),
            Some(version) => ui.say(&format!("clusters are served by Kubernetes {version}")),
        }
        ui.say(&format!("  aws --endpoint-url {} ec2 describe-vpcs", running.endpoint));
    }
    Ok(())
}
