//! The stack files that `init` writes, one for each kind of stack.

/// A kind of stack that `init` writes a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StarterKind {
    /// A VPC with its subnets and a NAT gateway, without a cluster
    Network,
    /// A cluster with one node group
    Cluster,
    /// A cluster with one node group, and an application behind a load balancer
    Service,
    /// A cluster without EC2 instances: all pods run on Fargate
    Fargate,
    /// A cluster in EKS Auto Mode, which starts nodes for the pods that need them
    AutoMode,
    /// A cluster whose nodes cannot reach the internet, with VPC endpoints instead
    Private,
}

/// The schema's file, which the first line of every file names for editors.
pub const SCHEMA_FILE: &str = ".provisioner-schema.json";

/// The first lines of every file.
/// Source: <https://github.com/redhat-developer/yaml-language-server#using-inlined-schema>
const HEAD: &str = "\
# yaml-language-server: $schema=.provisioner-schema.json
# With the schema, editors complete and check this file: `provisioner schema > .provisioner-schema.json` writes it.
";

/// The fields that every stack has.
const NAMES: &str = "
name: NAME              # of the stack and its cluster; another name is another stack
region: REGION
# account: \"123456789012\"   # refuse every other account

# tags:                 # for every resource
#   team: platform
";

const NETWORK: &str = "
network:
  cidr: 10.0.0.0/16     # /16 to /22
  zones: 3              # or names: [REGIONa, REGIONb]
  nat: single           # none | single | per-zone | regional
";

const DEFAULT_NETWORK: &str = "
# network:              # these are the defaults
#   cidr: 10.0.0.0/16   # /16 to /22
#   zones: 3            # or names: [REGIONa, REGIONb]
#   nat: single         # none | single | per-zone | regional
";

const CLUSTER: &str = "
cluster: {}             # the newest Kubernetes version; the API server is open to your address only
# cluster:
#   version: \"1.35\"
#   endpoint:
#     publicCidrs: [myip, 203.0.113.0/24]
";

const NODES: &str = "
nodeGroups:             # Bottlerocket
  - name: default
    instanceTypes: [t3.large]
    min: 2
    max: 4
    # arch: arm64       # with instance types such as t4g.large
    # capacity: spot
";

const APPLICATION: &str = "
app:                    # built from this folder, pushed to ECR and rolled out
  path: app             # holds the Dockerfile
  port: 8000
  replicas: 2
  ingress: alb          # alb | nlb | none
  # env: {GREETING: hello}
  # hosts: [www.example.com]
  # certificateArn: arn:aws:acm:REGION:123456789012:certificate/...
";

const FARGATE: &str = "
fargateOnly: true       # profiles for kube-system and the application are added

fargateProfiles:        # which other pods run on Fargate
  - name: default
    selectors:
      - namespace: default
";

const AUTO_MODE: &str = "
cluster:
  autoMode: true        # EKS chooses, starts and updates the nodes
";

const PRIVATE: &str = "
network:
  nat: none             # no way to the internet; what the nodes need of AWS is reached by VPC endpoints
  zones: 3

cluster:
  endpoint:
    public: true        # false: run provisioner from a machine inside the VPC
    publicCidrs: [myip]
";

impl StarterKind {
    /// Returns what the kind is, for people.
    pub fn title(self) -> &'static str {
        match self {
            StarterKind::Network => "a network",
            StarterKind::Cluster => "a cluster with one node group",
            StarterKind::Service => "a cluster and an application",
            StarterKind::Fargate => "a cluster on Fargate",
            StarterKind::AutoMode => "a cluster in EKS Auto Mode",
            StarterKind::Private => "a cluster without internet access",
        }
    }

    /// Returns the text of the stack file.
    pub fn text(self, name: &str, region: &str) -> String {
        let parts: &[&str] = match self {
            StarterKind::Network => &[NETWORK],
            StarterKind::Cluster => &[DEFAULT_NETWORK, CLUSTER, NODES],
            StarterKind::Service => &[DEFAULT_NETWORK, CLUSTER, NODES, APPLICATION],
            StarterKind::Fargate => &[DEFAULT_NETWORK, CLUSTER, FARGATE],
            StarterKind::AutoMode => &[DEFAULT_NETWORK, AUTO_MODE],
            StarterKind::Private => &[PRIVATE, NODES],
        };
        let what = format!(
            "#\n# This stack is {}. What the file leaves out has production defaults: `provisioner plan -v` shows them.\n",
            self.title()
        );
        let body = format!("{NAMES}{}", parts.concat());
        let body = body.replace("REGION", region).replace("NAME", &format!("{name:<4}"));
        HEAD.to_owned() + &what + &trimmed(&body)
    }
}

/// Returns a text without spaces at the ends of its lines.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn the_fields_in_comments_are_valid() {
        for kind in StarterKind::value_variants() {
            let text = kind.text("shop", "eu-central-1");
            let (_, body) = text.split_once("\nname:").unwrap();
            let fields: String = body
                .lines()
                .filter(|line| !line.starts_with("cluster: {}"))
                .map(|line| match line.trim_start().starts_with("# ") {
                    true => format!("{}\n", line.replacen("# ", "", 1)),
                    false => format!("{line}\n"),
                })
                .collect();
            let fields =
                fields.replace("t3.large", "t4g.large").replace("certificate/...", "certificate/1-2");
            // What is not a field stands behind one.
            let fields: String =
                fields.lines().map(|line| format!("{}\n", line.split("  # ").next().unwrap())).collect();
            let loaded = crate::stack::load("stack.yaml", format!("name:{fields}").as_bytes(), &|_| None);
            loaded.unwrap_or_else(|error| panic!("{kind:?}: {error}\nname:{fields}"));
        }
    }

    #[test]
    fn each_kind_is_a_valid_file() {
        let mut all = String::new();
        for kind in StarterKind::value_variants() {
            let text = kind.text("shop", "eu-central-1");
            let loaded = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None);
            let stack = loaded.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            assert_eq!((stack.name.as_str(), stack.region.as_str()), ("shop", "eu-central-1"));
            all.push_str(&format!("--- {kind:?}\n{text}"));
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn the_first_line_names_the_schema_for_editors() {
        let text = StarterKind::Network.text("shop", "eu-central-1");
        let line = text.lines().next().unwrap();
        assert_eq!(line, format!("# yaml-language-server: $schema={SCHEMA_FILE}"));
    }
}
