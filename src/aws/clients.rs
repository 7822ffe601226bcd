//! The SDK clients, with retries and timeouts pinned against the environment and against SDK changes.

use super::{
    bounded_client::{bounded_http, bounded_https},
    endpoints::{EndpointOverrides, is_aws},
    sdk_error::Call,
};
use crate::model::{AccessKey, CallError, ErrorKind};
use aws_config::{
    AppName, BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sdk_sts::{error::ProvideErrorMetadata as _, operation::assume_role::AssumeRoleError};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_types::error::display::DisplayErrorContext;
use std::{error::Error as _, time::Duration};

/// The target that the clients call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceEndpoint {
    /// AWS, or the endpoint that `AWS_ENDPOINT_URL` or the profile names, with the caller's own credentials.
    Configured,
    /// A sandbox. Credentials, profiles and endpoints of the environment are ignored.
    Sandbox {
        /// URL of the sandbox.
        url: String,
        /// Access key of the sandbox.
        access_key: AccessKey,
    },
}

/// A role that all calls are made in, assumed with the configured credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// Its ARN.
    pub arn: String,
    /// What the role's trust policy may ask for beside the caller: `sts:ExternalId`.
    pub external_id: Option<String>,
    /// The name of the session, which CloudTrail shows: 2 to 64 letters, digits and `+=,.@_-`.
    pub session: String,
}

/// The SDK clients of all services that the program calls, for one region.
#[derive(Clone, Debug)]
pub struct Clients {
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// EKS.
    pub eks: aws_sdk_eks::Client,
    /// EC2 Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// ECR.
    pub ecr: aws_sdk_ecr::Client,
    /// Systems Manager.
    pub ssm: aws_sdk_ssm::Client,
    /// Service Quotas.
    pub quotas: aws_sdk_servicequotas::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// KMS.
    pub kms: aws_sdk_kms::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    /// Resource Groups Tagging.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    /// The addresses that replace AWS's own.
    pub overrides: EndpointOverrides,
    role: Option<AssumedRole>,
    credentials: Option<SharedCredentialsProvider>,
}

/// The identity behind the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account id, twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

/// Builds the clients for one region; with a role, all calls are made in it. Makes no AWS call.
pub async fn connect(endpoint: &ServiceEndpoint, region: &str, role: Option<AssumedRole>) -> Clients {
    // The SDK may retry reads and idempotent calls; creates without a client token disable this
    // (`single_shot!`).
    let retry = retries();
    // The SDK sets no read or operation timeout by default.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_secs(100))
        .build();
    let config = match endpoint {
        ServiceEndpoint::Sandbox { url, access_key } => SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .time_source(SystemTimeSource::new())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                &access_key.access_key_id,
                &access_key.secret_access_key,
                None,
                None,
                "provisioner sandbox",
            )))
            .http_client(bounded_http())
            .retry_config(retry)
            .timeout_config(timeouts)
            .build(),
        ServiceEndpoint::Configured => {
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .region(Region::new(region.to_owned()))
                .http_client(bounded_https())
                .retry_config(retry)
                .timeout_config(timeouts);
            if let Ok(name) = AppName::new("provisioner") {
                loader = loader.app_name(name);
            }
            loader.load().await
        }
    };
    let config = match &role {
        Some(role) => assuming(config, role).await,
        None => config,
    };
    let overrides = EndpointOverrides::of(&config);
    // Elsewhere the bucket's name is no host.
    let path_style = overrides.url("S3").is_some_and(|url| !is_aws(url));
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
    Clients {
        ec2: aws_sdk_ec2::Client::new(&config),
        eks: aws_sdk_eks::Client::new(&config),
        autoscaling: aws_sdk_autoscaling::Client::new(&config),
        ecr: aws_sdk_ecr::Client::new(&config),
        ssm: aws_sdk_ssm::Client::new(&config),
        quotas: aws_sdk_servicequotas::Client::new(&config),
        iam: aws_sdk_iam::Client::new(&config),
        kms: aws_sdk_kms::Client::new(&config),
        logs: aws_sdk_cloudwatchlogs::Client::new(&config),
        s3: aws_sdk_s3::Client::from_conf(s3),
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sts: aws_sdk_sts::Client::new(&config),
        tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
        overrides,
        role,
        credentials: config.credentials_provider(),
    }
}

/// Returns why STS did not let the caller assume a role, if that is the error's cause.
fn not_assumed(error: &CredentialsError) -> Option<String> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<AssumeRoleError>() {
            let code = refused.code().unwrap_or("no code");
            return Some(format!("sts:AssumeRole: {code}: {}", refused.message().unwrap_or_default()));
        }
        source = cause.source();
    }
    None
}

/// Returns how calls are repeated by the SDK.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(300))
        .with_max_backoff(Duration::from_secs(5))
}

/// Returns the configuration with the credentials of a role, which those of `config` assume.
async fn assuming(config: SdkConfig, role: &AssumedRole) -> SdkConfig {
    let provider = AssumeRoleProvider::builder(&role.arn).session_name(&role.session).configure(&config);
    let provider = match &role.external_id {
        Some(id) => provider.external_id(id),
        None => provider,
    };
    let credentials = SharedCredentialsProvider::new(provider.build().await);
    // One cache for all clients: otherwise each of them would assume the role.
    let cache = IdentityCache::lazy().load_timeout(Duration::from_secs(30)).build();
    config.into_builder().credentials_provider(credentials).identity_cache(cache).build()
}

/// How often each of many queries is sent that are made together, and are made again together if one fails.
const PERSISTENT_ATTEMPTS: u32 = 8;

impl Clients {
    /// Returns the clients with more attempts for each call to EC2 and IAM, for many queries that are made together: at an API
    /// rate limit, all of them hardly ever succeed at once otherwise.
    pub fn persistent(&self) -> Clients {
        let retry = retries().with_max_attempts(PERSISTENT_ATTEMPTS);
        let ec2 = self.ec2.config().to_builder().retry_config(retry.clone()).build();
        let iam = self.iam.config().to_builder().retry_config(retry).build();
        Clients {
            ec2: aws_sdk_ec2::Client::from_conf(ec2),
            iam: aws_sdk_iam::Client::from_conf(iam),
            ..self.clone()
        }
    }

    /// Returns the credentials, for signatures made outside the SDK's calls.
    pub async fn credentials(&self) -> Result<Credentials, CallError> {
        let none = |why: String| {
            self.explain(CallError::new(ErrorKind::Credentials, format!("no usable credentials: {why}")))
        };
        let provider = self
            .credentials
            .as_ref()
            .ok_or_else(|| none("no credentials provider is configured".to_owned()))?;
        provider.provide_credentials().await.map_err(|error| {
            none(not_assumed(&error).unwrap_or_else(|| DisplayErrorContext(error).to_string()))
        })
    }

    /// Adds what to do to an error about credentials.
    fn explain(&self, error: CallError) -> CallError {
        match &self.role {
            Some(role) => error.hint(format!(
                "`roleArn` is {}: check that the role exists, that its trust policy admits the caller (`aws sts \
                 get-caller-identity`), and `externalId`",
                role.arn
            )),
            None => error.hint(
                "log in with `aws login` or `aws sso login`, whichever the profile uses, or set keys in the environment",
            ),
        }
    }

    /// Returns the identity behind the credentials: the first call of every command.
    pub async fn identity(&self) -> Result<CallerIdentity, CallError> {
        let asked = self.sts.get_caller_identity().send().await.call();
        if let (Some(_), Err(error)) = (&self.role, &asked)
            && error.class == ErrorKind::Credentials
        {
            // The role is assumed inside the call, whose error hides why it could not be.
            self.credentials().await?;
        }
        let answer = asked.map_err(|error| {
            let no_answer = error.class == ErrorKind::Ambiguous;
            match (no_answer, self.overrides.url("STS")) {
                (true, Some(url)) => {
                    CallError::new(ErrorKind::Other, format!("no answer from {url}: {}", error.message))
                        .hint("start the service at that URL, or unset `AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_STS` (or the profile's `endpoint_url`)")
                }
                (true, None) => error.hint("check the network, the proxy and the region's name: AWS cannot be reached"),
                (false, _) if error.class == ErrorKind::Credentials => self.explain(error),
                (false, _) => error,
            }
        })?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(CallerIdentity { account, arn }),
            _ => Err(CallError::new(ErrorKind::Other, "sts:GetCallerIdentity returned no account")),
        }
    }
}
