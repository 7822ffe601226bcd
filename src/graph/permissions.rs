//! The policy that allows a list of IAM actions to a stack: each on as little as AWS lets it be limited to.

use super::{Backend, cluster::cluster_name, policy::log_group_arn};
use crate::model::Desired as _;
use crate::{
    model::{Graph, partition, tag},
    resources::{ecr_repository, iam_role, log_group, ssm_parameter},
    stack::Stack,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most characters of a managed policy; white space does not count.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const LONGEST_POLICY: usize = 6144;

/// Services that the stack's roles are passed to.
const PASSED_TO: &[&str] = &[
    "eks.amazonaws.com",
    "eks-fargate-pods.amazonaws.com",
    "pods.eks.amazonaws.com",
    "ec2.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
];

/// Services whose own role AWS makes with the first cluster, node group or Spot instance of an account.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/using-service-linked-roles.html>
const OWN_ROLES: &[&str] = &[
    "eks.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks-fargate.amazonaws.com",
    "autoscaling.amazonaws.com",
    "spot.amazonaws.com",
];

/// What a group of actions is allowed on.
struct Scope {
    sid: &'static str,
    resources: Vec<String>,
    condition: Value,
}

impl Scope {
    fn new(sid: &'static str, resources: Vec<String>) -> Self {
        Scope { sid, resources, condition: Value::Null }
    }

    fn anywhere(sid: &'static str) -> Self {
        Scope::new(sid, vec!["*".to_owned()])
    }

    fn when(self, condition: Value) -> Self {
        Scope { condition, ..self }
    }
}

/// Whose policy it is: the stack, where its state is, and the desired resources, whose names it goes by.
pub struct Holder<'a> {
    /// The file.
    pub stack: &'a Stack,
    /// The backend; its account may be `*`.
    pub backend: &'a Backend,
    /// The desired resources.
    pub graph: &'a Graph,
}

impl Holder<'_> {
    /// The statements that allow `actions` to what runs the stack.
    pub fn statements(&self, actions: &BTreeSet<&str>, state_key: &[&str]) -> Vec<Value> {
        let mut groups: BTreeMap<&str, (Scope, BTreeSet<&str>)> = BTreeMap::new();
        let mut add = |scope: Scope, action| {
            groups.entry(scope.sid).or_insert_with(|| (scope, BTreeSet::new())).1.insert(action);
        };
        for action in actions {
            for scope in self.scopes(action) {
                add(scope, *action);
            }
        }
        for action in state_key {
            let backend = equals(&format!("aws:ResourceTag/{}", tag::BACKEND), &self.backend.bucket);
            let key = self.backend.key_arn.clone();
            let scope = Scope::new("StateKey", vec![key.clone().unwrap_or_else(|| self.arn("kms", "key/*"))]);
            add(if key.is_some() { scope } else { scope.when(backend) }, *action);
        }
        written(groups)
    }

    /// The statements that allow `actions` to whoever makes the backend.
    pub fn bootstrap(&self, actions: &BTreeSet<&str>) -> Vec<Value> {
        let mut groups: BTreeMap<&str, (Scope, BTreeSet<&str>)> = BTreeMap::new();
        for action in actions {
            let scopes = match action.split_once(':').unwrap_or_default() {
                ("s3", verb) => vec![self.bucket(verb)],
                ("dynamodb", _) => vec![self.table()],
                ("kms", _) => self.keys(action, tag::BACKEND, &self.backend.bucket, &self.backend.bucket),
                _ => vec![Scope::anywhere("Region").when(self.in_region())],
            };
            for scope in scopes {
                groups.entry(scope.sid).or_insert_with(|| (scope, BTreeSet::new())).1.insert(action);
            }
        }
        written(groups)
    }

    fn scopes(&self, action: &str) -> Vec<Scope> {
        let stack = &self.stack.name;
        let one = match action.split_once(':').unwrap_or_default() {
            ("ec2", verb) if verb.starts_with("Describe") => Scope::anywhere("Ec2Read"),
            // What is taken away must carry the stack's tag.
            ("ec2", verb)
                if verb == "ReleaseAddress" || verb.starts_with("Delete") && verb != "DeleteTags" =>
            {
                let own = format!("aws:ResourceTag/{}", tag::STACK);
                let condition =
                    json!({"StringEquals": {"aws:RequestedRegion": self.stack.region, own: stack}});
                Scope::anywhere("Ec2Own").when(condition)
            }
            ("ec2", _) => Scope::anywhere("Ec2Write").when(self.in_region()),
            ("iam", verb) => self.iam(verb),
            (
                "eks",
                "CreateCluster"
                | "DescribeClusterVersions"
                | "DescribeAddonVersions"
                | "DescribeAddonConfiguration",
            ) => Scope::anywhere("EksRegion").when(self.in_region()),
            ("eks", _) => {
                let cluster = cluster_name(self.stack);
                Scope::new(
                    "Eks",
                    vec![
                        self.arn("eks", &format!("cluster/{cluster}")),
                        self.arn("eks", &format!("*/{cluster}/*")),
                    ],
                )
            }
            ("kms", _) => {
                let mut scopes = self.keys(action, tag::STACK, stack, &format!("provisioner/{stack}"));
                // A key that the file brings carries nobody's tag.
                if let Some(arn) = &self.stack.encryption.key_arn {
                    scopes.push(Scope::new("GivenKey", vec![arn.clone()]));
                }
                return scopes;
            }
            ("logs", "DescribeLogGroups")
            | ("ssm", "DescribeParameters")
            | ("tag" | "sts" | "autoscaling", _) => Scope::anywhere("Region"),
            ("logs", _) => {
                let names = self.names(log_group::Spec::KIND).into_iter();
                let arn = |name: String| log_group_arn(&self.backend.account, &self.stack.region, &name);
                Scope::new("Logs", names.map(arn).flat_map(|arn| [arn.clone(), format!("{arn}:*")]).collect())
            }
            ("ecr", _) => {
                let names = self.names(ecr_repository::Spec::KIND).into_iter();
                Scope::new("Ecr", names.map(|name| self.arn("ecr", &format!("repository/{name}"))).collect())
            }
            ("ssm", verb) => {
                let names = self.names(ssm_parameter::Spec::KIND).into_iter();
                let arn =
                    |name: String| self.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')));
                let own: Vec<String> = names.map(arn).collect();
                let public = format!(
                    "arn:{}:ssm:{}::parameter/aws/service/bottlerocket/*",
                    self.partition(),
                    self.stack.region
                );
                let public = Scope::new("Bottlerocket", vec![public]);
                let own = Scope::new("Parameters", own);
                return match verb {
                    "GetParameters" => vec![own, public],
                    _ => vec![own],
                };
            }
            ("dynamodb", _) => self.table(),
            ("s3", verb) => self.bucket(verb),
            _ => Scope::anywhere("Other"),
        };
        vec![one]
    }

    fn iam(&self, verb: &str) -> Scope {
        let account = &self.backend.account;
        let arn = |path: &str| format!("arn:{}:iam::{account}:{path}", self.partition());
        let roles: Vec<String> =
            self.names(iam_role::Spec::KIND).into_iter().map(|name| arn(&format!("role/{name}"))).collect();
        match verb {
            "GetAccountAuthorizationDetails" => Scope::anywhere("Region"),
            "GetRole" => Scope::new("ReadRoles", vec![arn("role/*")]),
            "PassRole" => Scope::new("PassRoles", roles)
                .when(json!({"StringEquals": {"iam:PassedToService": PASSED_TO}})),
            "CreateServiceLinkedRole" => Scope::new("OwnRoles", vec![arn("role/aws-service-role/*")])
                .when(json!({"StringEquals": {"iam:AWSServiceName": OWN_ROLES}})),
            // No role has one, and a condition on an empty list would allow none.
            "AttachRolePolicy" if self.managed().is_empty() => Scope::new("AttachPolicies", Vec::new()),
            "AttachRolePolicy" => Scope::new("AttachPolicies", roles)
                .when(json!({"ArnEquals": {"iam:PolicyARN": self.managed()}})),
            verb if verb.contains("OpenIDConnectProvider") => {
                Scope::new("Issuer", vec![arn(&format!("oidc-provider/oidc.eks.{}.*", self.stack.region))])
            }
            _ => Scope::new("Roles", roles),
        }
    }

    /// Keys that carry a tag. A key gets its tags in the call that makes it, so they are the request's then; aliases
    /// are resources of their own; and looking is not limited, since a key may have been made by hand.
    fn keys(&self, action: &str, tag: &str, value: &str, alias: &str) -> Vec<Scope> {
        let keys = || vec![self.arn("kms", "key/*")];
        let asked = equals(&format!("aws:RequestTag/{tag}"), value);
        let there = equals(&format!("aws:ResourceTag/{tag}"), value);
        let new = || Scope::anywhere("NewKey").when(asked.clone());
        let own = || Scope::new("Key", keys()).when(there.clone());
        match action {
            "kms:CreateKey" => vec![new()],
            // AWS's services take grants on the caller's behalf; a grant for anybody else is not theirs.
            "kms:CreateGrant" => {
                let ours = json!({"Bool": {"kms:GrantIsForAWSResource": "true"}});
                let condition = with(there, ours);
                vec![Scope::new("KeyGrants", keys()).when(condition)]
            }
            "kms:TagResource" => vec![new(), own()],
            "kms:CreateAlias" | "kms:UpdateAlias" | "kms:DeleteAlias" => {
                vec![Scope::new("KeyAlias", vec![self.arn("kms", &format!("alias/{alias}"))]), own()]
            }
            action
                if action.starts_with("kms:Describe")
                    || action.starts_with("kms:Get")
                    || action.starts_with("kms:List") =>
            {
                vec![Scope::new("KeyRead", keys())]
            }
            _ => vec![own()],
        }
    }

    fn table(&self) -> Scope {
        Scope::new("LockTable", vec![self.arn("dynamodb", &format!("table/{}", self.backend.table))])
    }

    fn bucket(&self, verb: &str) -> Scope {
        let bucket = format!("arn:{}:s3:::{}", self.partition(), self.backend.bucket);
        match verb {
            "GetObject" | "GetObjectVersion" | "PutObject" => Scope::new("State", vec![format!("{bucket}/{}/*", self.stack.name)]),
            verb if verb.contains("ObjectVersion") => Scope::new("StateObjects", vec![format!("{bucket}/*")]),
            _ => Scope::new("StateBucket", vec![bucket]),
        }
    }

    /// The names that the graph gives to the resources of a kind.
    fn names(&self, kind: &str) -> Vec<String> {
        let of_kind = self.graph.nodes.values().filter(|node| node.kind == kind);
        of_kind.filter_map(|node| Some(node.spec.get("name")?.as_str()?.to_owned())).collect()
    }

    /// The managed policies that the stack's roles have.
    fn managed(&self) -> BTreeSet<&str> {
        let roles = self.graph.nodes.values().filter(|node| node.kind == iam_role::Spec::KIND);
        roles
            .filter_map(|node| node.spec.get("managed")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn partition(&self) -> &'static str {
        partition(&self.stack.region)
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition(), self.stack.region, self.backend.account)
    }

    fn in_region(&self) -> Value {
        json!({"StringEquals": {"aws:RequestedRegion": self.stack.region}})
    }
}

/// Statements; what there is nothing to allow on is left out.
fn written(groups: BTreeMap<&str, (Scope, BTreeSet<&str>)>) -> Vec<Value> {
    let groups = groups.into_values().filter(|(scope, _)| !scope.resources.is_empty());
    groups.map(|(scope, actions)| statement(&scope, &actions)).collect()
}

/// A condition that a key has this value; an account that nobody knows stands in it as `*`.
fn equals(key: &str, value: &str) -> Value {
    let operator = if value.contains('*') { "StringLike" } else { "StringEquals" };
    json!({operator: {key: value}})
}

/// Both conditions, of different operators.
fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn statement(scope: &Scope, actions: &BTreeSet<&str>) -> Value {
    let statement =
        json!({"Sid": scope.sid, "Effect": "Allow", "Action": actions, "Resource": scope.resources});
    if scope.condition.is_null() {
        return statement;
    }
    with(statement, json!({"Condition": scope.condition}))
}

/// The statements in as few documents as hold them at `limit` characters each; one that fits nowhere by itself is
/// divided by its actions.
pub fn documents(statements: Vec<Value>, limit: usize) -> Vec<Value> {
    let frame = characters(&super::policy::document(Vec::new()));
    let mut open: Vec<Value> = statements.into_iter().rev().collect();
    let mut documents: Vec<(usize, Vec<Value>)> = Vec::new();
    while let Some(next) = open.pop() {
        let length = characters(&next).saturating_add(1);
        if let Some((used, held)) =
            documents.iter_mut().find(|(used, _)| used.saturating_add(length) <= limit)
        {
            *used = used.saturating_add(length);
            held.push(next);
        } else if frame.saturating_add(length) <= limit {
            documents.push((frame.saturating_add(length), vec![next]));
        } else if let Some((first, second)) = halves(&next) {
            open.extend([second, first]);
        } else {
            // One action on more names than a policy holds: the reader is told by its length.
            documents.push((limit, vec![next]));
        }
    }
    documents.into_iter().map(|(_, statements)| super::policy::document(statements)).collect()
}

fn halves(statement: &Value) -> Option<(Value, Value)> {
    let actions = statement.get("Action")?.as_array()?;
    let (first, second) = actions.split_at_checked(actions.len() / 2)?;
    if first.is_empty() {
        return None;
    }
    let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default();
    let part = |actions: &[Value], mark: &str| {
        with(statement.clone(), json!({"Action": actions, "Sid": format!("{sid}{mark}")}))
    };
    Some((part(first, "A"), part(second, "B")))
}

/// The length of a document as IAM counts it.
pub fn characters(document: &Value) -> usize {
    document.to_string().chars().filter(|character| !character.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_fit_and_hold_everything() {
        let statements: Vec<Value> = (0..40)
            .map(|n| {
                let actions: Vec<String> = (0..n * 3).map(|m| format!("ec2:Action{n}x{m}")).collect();
                json!({"Sid": format!("S{n}"), "Effect": "Allow", "Action": actions, "Resource": "*"})
            })
            .collect();
        let all = |documents: &[Value]| -> BTreeSet<String> {
            let statements =
                documents.iter().filter_map(|document| document["Statement"].as_array().cloned());
            let actions = statements.flatten().filter_map(|one| one["Action"].as_array().cloned());
            actions.flatten().map(|action| action.to_string()).collect()
        };
        let whole = super::super::policy::document(statements.clone());
        for limit in [400, 1000, LONGEST_POLICY] {
            let parts = documents(statements.clone(), limit);
            assert!(parts.iter().all(|part| characters(part) <= limit), "{limit}");
            assert_eq!(all(&parts), all(std::slice::from_ref(&whole)));
        }
    }
}
