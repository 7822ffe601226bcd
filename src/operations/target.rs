//! The AWS, or the sandbox, that an operation works on.

use super::{Message, OperationError, Operator, patience::patiently};
use crate::{
    aws::{AssumedRole, CallerIdentity, Clients, ServiceEndpoint, connect},
    engine::Pace,
    model::AccessKey,
    stack::Stack,
};

/// The variable that allows a run whose state is at AWS and whose lock is not.
const MIXED: &str = "PROVISIONER_MIXED_ENDPOINTS";

/// Where the services are.
#[derive(Clone, Debug)]
pub enum TargetEndpoint {
    /// The AWS of the configured credentials.
    Aws,
    /// A sandbox.
    Sandbox {
        /// Its URL.
        url: String,
        /// Its access key.
        access_key: AccessKey,
        /// How many times faster than in AWS time passes there.
        time_scale: f64,
    },
}

impl TargetEndpoint {
    /// Returns the clients for a region, and warns if they are not of AWS although no sandbox was asked for.
    ///
    /// # Errors
    /// If the state would be at AWS and its lock elsewhere, or the other way round: a variable that another tool needed is
    /// still set.
    pub async fn connect(
        &self,
        region: &str,
        role: Option<AssumedRole>,
        operator: &dyn Operator,
    ) -> Result<Clients, OperationError> {
        let clients = self.clients(region, role).await;
        if matches!(self, TargetEndpoint::Sandbox { .. }) {
            return Ok(clients);
        }
        if let Some(text) = clients.overrides.text() {
            operator.tell(Message::Warning(&format!("not using AWS: the endpoint is set to {text}")));
        }
        match clients.overrides.mixed() {
            Some(why) if std::env::var_os(MIXED).is_none_or(|value| value != "true") => {
                let hint = format!(
                    "unset `AWS_ENDPOINT_URL_...` (or the profile's `endpoint_url`), or set it for all services; `{MIXED}=true` allows this"
                );
                Err(OperationError::refused(why, hint))
            }
            _ => Ok(clients),
        }
    }

    /// Returns the clients for a region, in a role if there is one. Makes no call.
    pub async fn clients(&self, region: &str, role: Option<AssumedRole>) -> Clients {
        match self {
            TargetEndpoint::Aws => connect(&ServiceEndpoint::Configured, region, role).await,
            TargetEndpoint::Sandbox { url, access_key, .. } => {
                let endpoint = ServiceEndpoint::Sandbox { url: url.clone(), access_key: access_key.clone() };
                connect(&endpoint, region, role).await
            }
        }
    }
}

/// Returns the role that a stack's calls are made in. Its session is named after the stack.
pub fn role_of(stack: &Stack) -> Option<AssumedRole> {
    Some(AssumedRole {
        arn: stack.role_arn.clone()?,
        external_id: stack.external_id.clone(),
        session: format!("provisioner-{}", stack.name),
    })
}

/// One account and region, with the clients of all services.
#[derive(Clone)]
pub struct Target {
    /// The clients of all services.
    pub clients: Clients,
    /// The account and the ARN of the caller.
    pub identity: CallerIdentity,
    /// Where the services are.
    pub endpoint: TargetEndpoint,
    /// How fast time passes there, compared with AWS.
    pub pace: Pace,
}

impl Target {
    /// Connects to the region of a stack, in the stack's role if it names one, and asks who calls.
    pub async fn connect(
        endpoint: TargetEndpoint,
        stack: &Stack,
        operator: &dyn Operator,
    ) -> Result<Self, OperationError> {
        let clients = endpoint.connect(&stack.region, role_of(stack), operator).await?;
        let identity = patiently(operator, async || Ok(clients.identity().await?)).await?;
        let pace = match &endpoint {
            TargetEndpoint::Aws => Pace::default(),
            TargetEndpoint::Sandbox { time_scale, .. } => Pace(*time_scale),
        };
        Ok(Target { clients, identity, endpoint, pace })
    }

    /// Returns whether the target is a sandbox.
    pub fn is_sandbox(&self) -> bool {
        matches!(self.endpoint, TargetEndpoint::Sandbox { .. })
    }
}
