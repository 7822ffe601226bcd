//! The fields of the sections `repositories`, `serviceAccounts`, `parameters`, `controllers` and `app`.

use super::app_settings::{Health, Resources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn default_true() -> bool {
    true
}

/// An ECR repository for container images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// The name of the repository, such as `shop/web`.
    pub name: String,
    /// Whether image tags are immutable. Default: true.
    #[serde(default = "default_true")]
    pub immutable_tags: bool,
    /// Whether ECR scans images for vulnerabilities when they are pushed. Default: true.
    #[serde(default = "default_true")]
    pub scan_on_push: bool,
    /// How many tagged images are kept; untagged images are deleted after 7 days. Default: 30.
    #[serde(default = "default_keep_images")]
    pub keep_images: u16,
}

fn default_keep_images() -> u16 {
    30
}

/// A Kubernetes service account with an IAM role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// The name of the service account.
    pub name: String,
    /// The namespace of the service account.
    pub namespace: String,
    /// Whether pods get their credentials from EKS Pod Identity instead of IRSA (IAM roles for service
    /// accounts). Default: false.
    #[serde(default)]
    pub pod_identity: bool,
    /// The ARN of a role, of this account or another, that EKS Pod Identity assumes after the service account's
    /// own role. Its trust policy must admit that role. It has an effect only with `podIdentity: true`. Default: none.
    pub target_role_arn: Option<String>,
    /// The ARNs of managed policies to attach to the role. Default: none.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// The statements of the role's inline policy. Default: none.
    #[serde(default)]
    pub statements: Vec<Statement>,
}

/// Whether a statement allows or denies its actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatementEffect {
    /// The actions are allowed.
    #[default]
    Allow,
    /// The actions are denied, even if another statement allows them.
    Deny,
}

/// A statement of an inline IAM policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// The actions, such as `sqs:SendMessage`.
    pub actions: Vec<String>,
    /// The ARNs of the resources that the actions apply to.
    pub resources: Vec<String>,
    /// Whether the actions are allowed or denied: `Allow` or `Deny`. Default: `Allow`.
    #[serde(default)]
    pub effect: StatementEffect,
    /// The conditions: operator, then condition key, then value or list of values. Default: none.
    #[serde(default)]
    pub conditions: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// An SSM parameter. Exactly one of `value` and `secret` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// The name of the parameter, which starts with `/`, such as `/shop/message`.
    pub name: String,
    /// A plain value, stored as a String parameter.
    pub value: Option<String>,
    /// The source of a secret value, stored as a SecureString parameter. It is read when `up` runs and never
    /// stored in the state.
    pub secret: Option<Secret>,
}

/// The source of a secret value. Exactly one of `env` and `file` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// The name of an environment variable.
    pub env: Option<String>,
    /// The path of a file, relative to the directory of the stack file.
    pub file: Option<String>,
}

/// Kubernetes controllers that are deployed with the application's manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Controllers {
    /// Whether the Cluster Autoscaler is deployed. Default: false.
    #[serde(default)]
    pub cluster_autoscaler: bool,
    /// Whether the AWS Load Balancer Controller is deployed. Default: true if `app.ingress` is `alb` or
    /// `nlb`.
    pub load_balancer_controller: Option<bool>,
}

/// The tool that builds the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// The built-in builder if it can follow the Dockerfile, else Docker, Podman or Buildah.
    #[default]
    Auto,
    /// The built-in builder for Python applications, which needs no container runtime.
    Python,
    /// Docker, Podman or Buildah, whichever is installed.
    Dockerfile,
}

/// A platform of a container image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Platform {
    /// Intel and AMD.
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// ARM, such as AWS Graviton.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

/// How the application is exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// Through an Application Load Balancer.
    #[default]
    Alb,
    /// Through a Network Load Balancer.
    Nlb,
    /// Only inside the cluster.
    None,
}

/// An application: its image, its Deployment and how it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    /// The name of the application, such as `web`: required in `apps`, and only there.
    pub name: Option<String>,
    /// The directory of the source code, relative to the stack file. Default: `app`.
    #[serde(default = "default_path")]
    pub path: String,
    /// An image that exists already, by digest or by tag, instead of `path`, `builder` and `platforms`. The digest that
    /// a tag has is recorded at the first `up`, and looked up again by `deploy --refresh`. Default: none.
    pub image: Option<String>,
    /// Whether `image` is copied into the application's ECR repository, with everything that its index lists. Default:
    /// false.
    #[serde(default)]
    pub copy: bool,
    /// The name of the ECR repository, which is created if `repositories` does not list it. Default:
    /// `STACK/app`, or `STACK/NAME` in `apps`.
    pub repository: Option<String>,
    /// The tool that builds the image: `auto`, `python` or `dockerfile`. Default: `auto`, which is the built-in
    /// builder if it can follow the Dockerfile, else Docker, Podman or Buildah.
    #[serde(default)]
    pub builder: Builder,
    /// The platforms of the image: `linux/amd64`, `linux/arm64` or both. Default: the platforms of the nodes.
    pub platforms: Option<Vec<Platform>>,
    /// The Kubernetes namespace. Default: `demo-application`.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The name of the Deployment and of the Service. Default: `demo-application`, or the name in `apps`.
    pub release: Option<String>,
    /// The number of pods. Default: 3.
    #[serde(default = "default_replicas")]
    pub replicas: u16,
    /// The maximum number of pods under load, at least `replicas`. Equal to `replicas`: the number is not
    /// adjusted to the load. Default: 3 x `replicas`.
    pub max_replicas: Option<u32>,
    /// The port that the application listens on, 1 to 65535. Default: 8000.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The command that the container runs, such as `[gunicorn, "shop:app"]`. Default: that of the image.
    pub command: Option<Vec<String>>,
    /// The health checks of the pods. Default: the paths of the demo application.
    #[serde(default)]
    pub health: Health,
    /// The CPU and memory of a pod.
    #[serde(default)]
    pub resources: Resources,
    /// The environment variables of the application. Default: none.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Environment variables with the values of parameters of this file, such as `{DB_PASSWORD: /shop/password}`.
    /// The pods get them from a Kubernetes Secret; the values are never stored in the state, a plan or a log.
    /// Default: none.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The name of the SSM parameter that the demo application shows at `/config`; its pods may read it.
    /// Default: none.
    pub parameter: Option<String>,
    /// How the application is exposed: `alb`, `nlb` or `none`. Default: `alb`.
    #[serde(default)]
    pub ingress: Ingress,
    /// The host names that the Application Load Balancer forwards, such as `shop.example.com` or `*.example.com`.
    /// Default: every host.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The ARN of the ACM certificate with which the load balancer serves HTTPS on port 443. An Application Load
    /// Balancer redirects HTTP to it. Default: HTTP only.
    pub certificate_arn: Option<String>,
    /// The directory of the Kubernetes manifests, relative to the stack file. Default: `manifests`.
    #[serde(default = "default_manifests")]
    pub manifests: String,
    /// Whether a failed rollout is rolled back to the previous release. Default: true.
    #[serde(default = "default_true")]
    #[schemars(extend("x-plan-neutral" = true))]
    pub rollback: bool,
    /// Where the application stands in the file: `app`, or `apps[1]`.
    #[serde(skip)]
    pub place: String,
}

/// The default of the namespace, and of the release of an application without a name.
const DEFAULT_NAME: &str = "demo-application";

/// The maximum number of pods under load, as a multiple of `app.replicas`.
const MAX_SCALE_FACTOR: u32 = 3;

impl App {
    /// Returns the name of the Deployment and of the Service.
    pub fn release(&self) -> &str {
        self.release.as_deref().or(self.name.as_deref()).unwrap_or(DEFAULT_NAME)
    }

    /// Returns whether the application has an image in a repository of the stack: one that is built, or a copy.
    pub fn fills_repository(&self) -> bool {
        self.image.is_none() || self.copy
    }

    /// Returns the path of a field in the file, such as `app.port` or `apps[1].port`.
    pub fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    /// Returns the maximum number of pods under load.
    pub fn max_replicas(&self) -> u32 {
        self.max_replicas.unwrap_or_else(|| u32::from(self.replicas).saturating_mul(MAX_SCALE_FACTOR))
    }

    /// Returns whether the number of pods is adjusted to the load. Zero pods cannot be: they have no load.
    pub fn is_autoscaled(&self) -> bool {
        self.replicas > 0 && self.max_replicas() > u32::from(self.replicas)
    }
}

fn default_path() -> String {
    "app".to_owned()
}

fn default_manifests() -> String {
    "manifests".to_owned()
}

fn default_namespace() -> String {
    DEFAULT_NAME.to_owned()
}

fn default_replicas() -> u16 {
    3
}

fn default_port() -> u16 {
    8000
}
