//! The SDK clients, with retries and timeouts pinned against the environment and against SDK changes.

use crate::{
    aws::error::Call,
    model::{Class, Fault},
};
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider},
};
use aws_smithy_types::error::display::DisplayErrorContext;
use std::time::Duration;

/// Where AWS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS, or what `AWS_ENDPOINT_URL` and the profile name, with the caller's own credentials.
    Configured,
    /// The sandbox at this URL. No credential, profile or endpoint of the environment is read.
    Sandbox(String),
}

/// The clients of every service in use.
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
    /// The endpoint that overrides AWS's own, where one does.
    pub endpoint: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
}

/// Who the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account, twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

/// Builds the clients for one region. Makes no call.
pub async fn connect(endpoint: &Endpoint, region: &str) -> Clients {
    // Reads and idempotent calls may be repeated by the SDK; creates switch this off for themselves.
    let retry = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(300))
        .with_max_backoff(Duration::from_secs(5));
    // The SDK has no read or operation timeout of its own.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_secs(100))
        .build();
    let config = match endpoint {
        Endpoint::Sandbox(url) => SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "sandbox",
                "sandbox",
                None,
                None,
                "provisioner sandbox",
            )))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(retry)
            .timeout_config(timeouts)
            .build(),
        Endpoint::Configured => {
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .region(Region::new(region.to_owned()))
                .retry_config(retry)
                .timeout_config(timeouts);
            if let Ok(name) = AppName::new("provisioner") {
                loader = loader.app_name(name);
            }
            loader.load().await
        }
    };
    let url = config.endpoint_url().map(str::to_owned);
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(url.is_some()).build();
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
        endpoint: url,
        credentials: config.credentials_provider(),
    }
}

impl Clients {
    /// The credentials, for what is signed without a call.
    pub async fn credentials(&self) -> Result<Credentials, Fault> {
        let none = |why: String| {
            Fault::new(Class::Credentials, format!("no usable credentials: {why}"))
                .hint("log in (`aws sso login`, or keys in the environment), then run again")
        };
        let provider = self.credentials.as_ref().ok_or_else(|| none("nothing provides any".to_owned()))?;
        provider.provide_credentials().await.map_err(|error| none(DisplayErrorContext(error).to_string()))
    }

    /// Asks who the credentials belong to: the first call of every command.
    pub async fn identity(&self) -> Result<Identity, Fault> {
        let answer = self.sts.get_caller_identity().send().await.call("sts", "GetCallerIdentity").map_err(|fault| {
            let no_answer = fault.class == Class::Ambiguous;
            match (no_answer, &self.endpoint) {
                (true, Some(url)) => {
                    Fault::new(Class::Other, format!("nothing answers at {url}: {}", fault.message))
                        .hint("AWS_ENDPOINT_URL (or the profile's endpoint_url) points there: start what should answer, or unset it")
                }
                (true, None) => fault.hint("AWS cannot be reached: check the network, a proxy, and the region's name"),
                (false, _) => fault,
            }
        })?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Identity { account, arn }),
            _ => Err(Fault::new(Class::Other, "sts:GetCallerIdentity answered without an account")),
        }
    }
}
