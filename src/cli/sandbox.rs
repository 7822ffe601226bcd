//! `sandbox`: starts, stops and resets the local AWS sandbox.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::sandbox_of,
};
use crate::{
    sandbox::{Control, Kubernetes, Running, SandboxError, StartOptions},
    ui::Ui,
};
use serde_json::{Value, json};

/// Manage the local AWS sandbox
#[derive(Debug, clap::Subcommand)]
pub enum SandboxCommand {
    /// Start the sandbox
    Start {
        /// Port to listen on; 0 chooses a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// How many times faster than AWS the sandbox runs
        #[arg(long, value_name = "N", value_parser = positive)]
        time_scale: Option<f64>,
        /// Which Kubernetes serves the clusters, kept for later starts [default: as before, without a value: real]
        #[arg(long, value_name = "WHO", value_enum, num_args = 0..=1, default_missing_value = "real", require_equals = true)]
        kubernetes: Option<Kubernetes>,
    },
    /// Stop the sandbox; its contents are lost
    Stop,
    /// Show whether the sandbox is running, and where
    Status,
    /// Delete everything in the sandbox
    Reset,
}

/// Parses a number greater than 0.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number greater than 0".to_owned()),
    }
}

/// Starts, stops, resets or shows the sandbox.
pub fn run(global: &Global, command: &SandboxCommand, ui: Ui) -> Result<Exit, CommandError> {
    let sandbox = sandbox_of(global)?;
    let running = sandbox.running();
    match (command, running) {
        (SandboxCommand::Start { port, time_scale, kubernetes }, None) => {
            let options = StartOptions { port: *port, time_scale: *time_scale, kubernetes: *kubernetes };
            let running = sandbox.ensure(options, &|text| ui.tell(&ui.paint("2", text)))?;
            show(ui, &running)?;
        }
        (SandboxCommand::Start { port, time_scale, kubernetes }, Some(running)) => {
            let scale = Control::new(&running.endpoint).time_scale()?;
            let others = [
                port.ne(&0)
                    .then_some(*port)
                    .filter(|port| *port != running.port)
                    .map(|_| "on a different port"),
                time_scale
                    .filter(|wanted| (scale - wanted).abs() > f64::EPSILON)
                    .map(|_| "at a different speed"),
                kubernetes
                    .filter(|wanted| *wanted != sandbox.kubernetes())
                    .map(|_| "with a different Kubernetes"),
            ];
            let others: Vec<&str> = others.into_iter().flatten().collect();
            if !others.is_empty() {
                let message = format!(
                    "the sandbox is already running at {}, {}",
                    running.endpoint,
                    others.join(" and ")
                );
                return Err(CommandError::refused(
                    message,
                    "run `provisioner sandbox stop`, then start it again; its contents are lost",
                ));
            }
            show(ui, &running)?;
        }
        (SandboxCommand::Status, Some(running)) => show(ui, &running)?,
        (SandboxCommand::Status, None) if ui.json => ui.document(&json!({"running": false}).to_string()),
        (SandboxCommand::Status | SandboxCommand::Stop, None) => ui.tell("the sandbox is not running"),
        (SandboxCommand::Stop, Some(_)) => {
            sandbox.stop()?;
            ui.tell("the sandbox was stopped and its contents deleted");
        }
        (SandboxCommand::Reset, Some(running)) => {
            Control::new(&running.endpoint).reset()?;
            sandbox.forget()?;
            ui.tell("the sandbox was reset and is empty");
        }
        (SandboxCommand::Reset, None) => {
            return Err(SandboxError::Silent("not running".to_owned()).into());
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
        ui.document(&status.to_string());
    } else {
        let scale = status.get("timeScale").cloned().unwrap_or_default();
        ui.say(&format!(
            "the sandbox is running at {} (pid {}), {scale} times as fast as AWS",
            running.endpoint, running.pid
        ));
        match status.get("kubernetes").and_then(Value::as_str) {
            None | Some("stand-in") => ui.say("clusters are served by the built-in stand-in for Kubernetes"),
            Some(version) => ui.say(&format!("clusters are served by Kubernetes {version}")),
        }
        ui.say(&format!("  aws --endpoint-url {} ec2 describe-vpcs", running.endpoint));
    }
    Ok(())
}
