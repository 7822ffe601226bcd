//! The fields of what runs on the cluster, and of what it may reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn yes() -> bool {
    true
}

/// An ECR repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Whether a tag, once given, stays with its image.
    #[serde(default = "yes")]
    pub immutable_tags: bool,
    /// Whether images are scanned when they come.
    #[serde(default = "yes")]
    pub scan_on_push: bool,
    /// How many tagged images are kept; untagged ones go after seven days.
    #[serde(default = "thirty")]
    pub keep_images: u16,
}

fn thirty() -> u16 {
    30
}

/// A Kubernetes service account with AWS permissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// EKS Pod Identity instead of IAM roles for service accounts.
    #[serde(default)]
    pub pod_identity: bool,
    /// Managed policies, by their ARNs.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// Statements of an inline policy.
    #[serde(default)]
    pub statements: Vec<Statement>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatementEffect {
    /// It allows.
    #[default]
    Allow,
    /// It denies.
    Deny,
}

/// A statement of an IAM policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// Actions, such as sqs:SendMessage.
    pub actions: Vec<String>,
    /// Resources, by their ARNs.
    pub resources: Vec<String>,
    /// What it does.
    #[serde(default)]
    pub effect: StatementEffect,
    /// When: operator, key, value.
    #[serde(default)]
    pub conditions: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// An SSM parameter; exactly one of `value` and `secret`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Its name, beginning with `/`.
    pub name: String,
    /// A plain value.
    pub value: Option<String>,
    /// Where a secret value is read from when `up` runs.
    pub secret: Option<Secret>,
}

/// Where a secret is read from; exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// An environment variable.
    pub env: Option<String>,
    /// A file, as seen from the stack file's folder.
    pub file: Option<String>,
}

/// Controllers deployed from the manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Controllers {
    /// The cluster autoscaler.
    #[serde(default)]
    pub cluster_autoscaler: bool,
    /// The AWS Load Balancer Controller; on when the application's ingress is alb or nlb.
    pub load_balancer_controller: Option<bool>,
}

/// Who builds the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// This program, for a Python application, without a daemon.
    #[default]
    Python,
    /// docker, podman or buildah, whichever is there.
    Dockerfile,
}

/// A platform that an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Platform {
    /// Intel and AMD.
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// Graviton.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

/// How the application is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// By an application load balancer.
    #[default]
    Alb,
    /// By a network load balancer.
    Nlb,
    /// From inside the cluster only.
    None,
}

/// The application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    /// The source folder.
    #[serde(default = "app")]
    pub path: String,
    /// The ECR repository; NAME/app where none is given.
    pub repository: Option<String>,
    /// Who builds the image.
    #[serde(default)]
    pub builder: Builder,
    /// The image's platforms; those of the node groups where none are given.
    pub platforms: Option<Vec<Platform>>,
    /// The Kubernetes namespace.
    #[serde(default = "demo")]
    pub namespace: String,
    /// The Deployment's and the Service's name.
    #[serde(default = "demo")]
    pub release: String,
    /// How many pods.
    #[serde(default = "three")]
    pub replicas: u16,
    /// The port that the application listens on.
    #[serde(default = "port")]
    pub port: u16,
    /// Its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The SSM parameter that /config shows.
    pub parameter: Option<String>,
    /// How it is reached.
    #[serde(default)]
    pub ingress: Ingress,
    /// The folder of Kubernetes manifests.
    #[serde(default = "manifests")]
    pub manifests: String,
    /// Whether a rollout that fails is undone.
    #[serde(default = "yes")]
    #[schemars(extend("x-plan-neutral" = true))]
    pub rollback: bool,
}

fn app() -> String {
    "app".to_owned()
}

fn manifests() -> String {
    "manifests".to_owned()
}

fn demo() -> String {
    "demo-application".to_owned()
}

fn three() -> u16 {
    3
}

fn port() -> u16 {
    8000
}
