//! Client of the sandbox's control API.

use super::{SandboxError, endpoint_record::Running};
use serde_json::Value;
use std::time::Duration;

/// Header that holds the secret of the sandbox's start.
const SECRET_HEADER: &str = "X-Provisioner-Secret";

/// A client of a running sandbox.
#[derive(Clone, Debug)]
pub struct Control {
    running: Running,
    agent: ureq::Agent,
}

impl Control {
    /// Returns a client of a sandbox. Makes no call.
    pub fn new(running: &Running) -> Self {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).proxy(None).build();
        Control { running: running.clone(), agent: config.into() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/_ext/{path}", self.running.endpoint)
    }

    fn secret(&self) -> &str {
        &self.running.access_key.secret_access_key
    }

    /// Returns the status: `{"running":true,"pid":..,"version":..,"timeScale":..,"calls":N}`.
    pub fn status(&self) -> Result<Value, SandboxError> {
        let answer = self.agent.get(self.url("status")).header(SECRET_HEADER, self.secret()).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| SandboxError::Silent(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| SandboxError::Silent(error.to_string()))
    }

    /// Returns whether the recorded process answers.
    pub fn answers(&self) -> bool {
        let pid = self.status().ok().and_then(|status| status.get("pid").and_then(Value::as_i64));
        pid == Some(i64::from(self.running.pid))
    }

    /// Returns how many times faster than AWS the sandbox is.
    pub fn time_scale(&self) -> Result<f64, SandboxError> {
        Ok(self.status()?.get("timeScale").and_then(Value::as_f64).unwrap_or(1.0))
    }

    /// Deletes all resources in the sandbox.
    pub fn reset(&self) -> Result<(), SandboxError> {
        let answer = self.agent.post(self.url("reset")).header(SECRET_HEADER, self.secret()).send_empty();
        answer.map(drop).map_err(|error| SandboxError::Silent(error.to_string()))
    }
}
