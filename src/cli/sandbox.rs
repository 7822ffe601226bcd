//! `sandbox`: starts, stops and resets the local AWS sandbox.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{read_stack, sandbox_of},
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
    /// Show whether the sandbox is running, where, and its access key
    Status,
    /// Print the variables for AWS clients, as commands for `eval`
    Env,
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
            let scale = Control::new(&running).time_scale()?;
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
            let text = match sandbox.stop()? {
                true => "the sandbox was stopped and its contents deleted",
                false => "the sandbox is not running",
            };
            ui.tell(text);
        }
        (SandboxCommand::Env, Some(running)) => print_variables(ui, &running, &region(global)),
        (SandboxCommand::Reset, Some(running)) => {
            Control::new(&running).reset()?;
            sandbox.forget()?;
            ui.tell("the sandbox was reset and is empty");
        }
        (SandboxCommand::Reset | SandboxCommand::Env, None) => {
            return Err(SandboxError::NotRunning.into());
        }
    }
    Ok(Exit::Done)
}

fn show(ui: Ui, running: &Running) -> Result<(), SandboxError> {
    let mut status = Control::new(running).status()?;
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
        if let Some(trouble) = status.get("unisolated").and_then(Value::as_str) {
            ui.say(&format!("pods run without isolation: {trouble}"));
        }
        ui.say("any credentials work for the user who started it, and the access key for every user:");
        let key = &running.access_key;
        ui.say(&format!(
            "  access key ID {}, secret access key {}",
            key.access_key_id, key.secret_access_key
        ));
        ui.say("  eval \"$(provisioner sandbox env)\" && aws ec2 describe-vpcs");
    }
    Ok(())
}

/// Region of AWS clients if the stack file and the environment name none.
const DEFAULT_REGION: &str = "eu-central-1";

/// Returns the region of the stack file, else that of the environment.
fn region(global: &Global) -> String {
    let named = read_stack(global).ok().map(|stack| stack.region);
    let named = named.or_else(|| std::env::var("AWS_REGION").ok());
    // It becomes part of a shell command.
    let plain =
        |region: &String| !region.is_empty() && region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    named.filter(plain).unwrap_or_else(|| DEFAULT_REGION.to_owned())
}

/// Prints the variables that point AWS clients at the sandbox, as commands of a shell or as JSON.
fn print_variables(ui: Ui, running: &Running, region: &str) {
    let variables = [
        ("AWS_ENDPOINT_URL", running.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", &running.access_key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &running.access_key.secret_access_key),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
    ];
    if ui.json {
        let object: serde_json::Map<String, Value> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        ui.data(&Value::Object(object).to_string());
        return;
    }
    let set: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // Endpoints of single services would take precedence, and calls would go to AWS.
    let services = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let services = services.filter(|name| name.starts_with("AWS_ENDPOINT_URL_") && is_name(name));
    let mut unset =
        vec!["AWS_SESSION_TOKEN".to_owned(), "AWS_PROFILE".to_owned(), "AWS_DEFAULT_PROFILE".to_owned()];
    unset.extend(["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS".to_owned()]);
    unset.extend(services);
    // Each command ends with a semicolon: an unquoted `$(...)` joins the lines.
    ui.data(&format!("export {};\nunset {};", set.join(" "), unset.join(" ")));
}

/// Returns whether a shell takes this for the name of a variable.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
