//! Client of the sandbox's control API.

use super::SandboxError;
use serde_json::Value;
use std::time::Duration;

/// A client of a running sandbox.
#[derive(Clone, Debug)]
pub struct Control {
    endpoint: String,
    agent: ureq::Agent,
}

impl Control {
    /// Returns a client of the sandbox at `endpoint`. Makes no call.
    pub fn new(endpoint: &str) -> Self {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).proxy(None).build();
        Control { endpoint: endpoint.to_owned(), agent: config.into() }
    }

    /// Returns the status: `{"running":true,"version":..,"timeScale":..,"calls":N}`.
    pub fn status(&self) -> Result<Value, SandboxError> {
        let answer = self.agent.get(format!("{}/_ext/status", self.endpoint)).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| SandboxError::Silent(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| SandboxError::Silent(error.to_string()))
    }

    /// Returns how many times faster than AWS the sandbox is.
    pub fn time_scale(&self) -> Result<f64, SandboxError> {
        Ok(self.status()?.get("timeScale").and_then(Value::as_f64).unwrap_or(1.0))
    }

    /// Deletes all resources in the sandbox.
    pub fn reset(&self) -> Result<(), SandboxError> {
        let answer = self.agent.post(format!("{}/_ext/reset", self.endpoint)).send_empty();
        answer.map(drop).map_err(|error| SandboxError::Silent(error.to_string()))
    }
}
