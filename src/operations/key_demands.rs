//! What the policy of a given key has to allow for what a plan encrypts with it: what the policy of a key that the stack
//! creates allows.

use crate::{
    aws::{CallerIdentity, KeyUser, Verdict, verdict},
    graph::{autoscaling_role, key_admin, key_for_disks, key_for_logs, log_group_arn, logs_service},
    model::{Action, Address, Desired as _, Graph, Plan, PlannedChange, partition},
    resources::{ecr_repository, eks_cluster, launch_template, log_group, node_group, ssm_parameter},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What CloudWatch Logs does with the key of a log group.
const LOGS: &[&str] = &["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"];

/// What Auto Scaling and EC2 do with the key of a node's disks.
/// Source: <https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>
const DISKS: &[&str] = &[
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];

/// What services do with the key of a secret, a repository or a parameter in the name of the caller.
/// Sources: <https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html>,
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html>,
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html>
const BY_CALLER: &[(&str, &str, &[&str])] = &[
    (eks_cluster::Spec::KIND, "eks", &["kms:DescribeKey", "kms:CreateGrant"]),
    (ecr_repository::Spec::KIND, "ecr", &["kms:DescribeKey", "kms:CreateGrant", "kms:RetireGrant"]),
    (ssm_parameter::Spec::KIND, "ssm", &["kms:Encrypt", "kms:Decrypt"]),
];

/// One principal that must be allowed to use the key.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The first resource that is encrypted.
    pub address: Address,
    /// What the actions are for, with the principal.
    who: String,
    /// What happens without them.
    pub otherwise: &'static str,
    /// The principal, once for each way in which it uses the key.
    users: Vec<KeyUser>,
    actions: &'static [&'static str],
    /// The principal that a grant can allow the actions, too.
    pub grantee: Option<String>,
    /// Statements of a policy that allow them.
    pub statements: Vec<Value>,
}

impl Demand {
    /// Returns the actions that the policy of the key certainly does not allow.
    pub fn missing(&self, policy: &Value, key: &str) -> Vec<&'static str> {
        let refused =
            |action: &&&str| self.users.iter().any(|user| verdict(policy, key, user, action) == Verdict::No);
        self.actions.iter().filter(refused).copied().collect()
    }

    /// Returns what the key's policy does not allow.
    pub fn text(&self, missing: &[&str]) -> String {
        format!("the policy of `encryption.keyArn` does not allow {} {}", self.who, missing.join(", "))
    }
}

/// Returns whether the operation of a grant is this action.
pub fn fits(operation: &str, action: &str) -> bool {
    action.strip_prefix("kms:") == Some(operation)
}

/// Returns whether the plan encrypts something new at this address with the key.
fn encrypts(change: &PlannedChange) -> bool {
    match change.action {
        Action::Create | Action::Replace => true,
        Action::Update => change.fields.0.iter().any(|field| field.path == "key"),
        Action::Adopt | Action::Delete => false,
    }
}

fn context(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_ascii_lowercase(), (*value).to_owned())).collect()
}

/// Returns what the policy of the key `arn` has to allow for the plan.
pub fn demands(graph: &Graph, plan: &Plan, arn: &str, region: &str, caller: &CallerIdentity) -> Vec<Demand> {
    let account = &caller.account;
    let changes: Vec<&PlannedChange> = plan.changes.iter().filter(|change| encrypts(change)).collect();
    let spec = |change: &PlannedChange, field: &str| {
        graph.get(&change.address)?.spec.get(field).and_then(Value::as_str).map(str::to_owned)
    };
    let keyed = |kind: &str| -> Vec<&PlannedChange> {
        let of_kind = changes.iter().filter(|change| change.kind == kind);
        of_kind.filter(|change| spec(change, "key").as_deref() == Some(arn)).copied().collect()
    };
    let mut demands = Vec::new();
    let groups = keyed(log_group::Spec::KIND);
    let names: Vec<String> = groups.iter().filter_map(|change| spec(change, "name")).collect();
    if let Some(first) = groups.first() {
        let service = logs_service(region);
        let user = |name: &String| {
            let group = log_group_arn(account, region, name);
            KeyUser {
                arns: Vec::new(),
                service: Some(service.clone()),
                context: context(&[
                    ("kms:EncryptionContext:aws:logs:arn", &group),
                    ("aws:SourceArn", &group),
                    ("aws:SourceAccount", account),
                    // Requests of services have none.
                    // Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
                    ("aws:PrincipalArn", ""),
                ]),
            }
        };
        demands.push(Demand {
            address: first.address.clone(),
            who: format!("{service}, which encrypts {},", names.join(" and ")),
            otherwise: "CloudWatch Logs refuses the key",
            users: names.iter().map(user).collect(),
            actions: LOGS,
            grantee: None,
            statements: vec![key_for_logs(account, region, &names)],
        });
    }
    let disks = keyed(launch_template::Spec::KIND);
    let nodes = changes.iter().find(|change| change.kind == node_group::Spec::KIND);
    if let Some(first) = disks.first().copied().or(nodes.copied()) {
        let role = autoscaling_role(account, region);
        let user = KeyUser {
            arns: vec![role.clone()],
            service: None,
            context: context(&[
                ("kms:CallerAccount", account),
                ("aws:PrincipalAccount", account),
                ("aws:PrincipalArn", &role),
                ("kms:GrantIsForAWSResource", "true"),
                ("kms:ViaService", &format!("ec2.{region}.amazonaws.com")),
            ]),
        };
        demands.push(Demand {
            address: first.address.clone(),
            who: format!("{role}, which starts the nodes,"),
            otherwise: "no node starts",
            users: vec![user],
            actions: DISKS,
            grantee: Some(role),
            statements: key_for_disks(account, region),
        });
    }
    for (kind, service, actions) in BY_CALLER {
        let Some(first) = keyed(kind).first().copied() else { continue };
        demands.push(Demand {
            address: first.address.clone(),
            who: format!("{}, or the account with IAM,", caller.arn),
            otherwise: "AWS refuses the key",
            users: vec![caller_through(service, region, caller)],
            actions,
            grantee: None,
            statements: vec![key_admin(account, region)],
        });
    }
    demands
}

/// Returns the caller that uses a key through a service. The account stands for the caller's IAM policies, which are not
/// examined here.
fn caller_through(service: &str, region: &str, caller: &CallerIdentity) -> KeyUser {
    let account = &caller.account;
    let iam = format!("arn:{}:iam::{account}", partition(region));
    let mut arns = vec![caller.arn.clone(), account.clone(), format!("{iam}:root")];
    // The ARN of a session does not show the path of its role.
    if let Some(role) =
        caller.arn.split_once(":assumed-role/").and_then(|(_, session)| session.split('/').next())
    {
        arns.extend([format!("{iam}:role/{role}"), format!("{iam}:role/*/{role}")]);
    }
    KeyUser {
        arns,
        service: None,
        context: context(&[
            ("kms:CallerAccount", account),
            ("aws:PrincipalAccount", account),
            ("kms:GrantIsForAWSResource", "true"),
            ("kms:ViaService", &format!("{service}.{region}.amazonaws.com")),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Changes, Node, Origin, Stage};
    use serde_json::json;
    use std::collections::BTreeSet;

    const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/k";

    fn caller() -> CallerIdentity {
        CallerIdentity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:sts::123456789012:assumed-role/Deploy/jane".to_owned(),
        }
    }

    /// What the policy of the key has to allow for these kinds, all with the same change.
    fn asked(kinds: &[&str], action: Action, fields: &Changes) -> Vec<Demand> {
        let address = |kind: &str| Address::new(format!("a/{kind}"));
        let node = |kind: &&str| Node {
            address: address(kind),
            kind: (*kind).to_owned(),
            stage: Stage::Cluster,
            spec: json!({"name": format!("/{kind}"), "key": KEY}),
            after: BTreeSet::new(),
            follows: BTreeSet::new(),
        };
        let change = |kind: &&str| PlannedChange {
            address: address(kind),
            kind: (*kind).to_owned(),
            stage: Stage::Cluster,
            action,
            origin: Origin::File,
            fields: fields.clone(),
            note: None,
            loses: None,
        };
        let nodes = kinds.iter().map(node).map(|node| (node.address.clone(), node)).collect();
        let plan = Plan { changes: kinds.iter().map(change).collect(), ..Plan::default() };
        demands(&Graph { nodes }, &plan, KEY, "eu-central-1", &caller())
    }

    const ALL: &[&str] =
        &["log_group", "launch_template", "node_group", "eks_cluster", "ecr_repository", "ssm_parameter"];

    #[test]
    fn only_what_is_newly_encrypted_asks_for_the_policy() {
        let none = Changes::default();
        assert_eq!(asked(ALL, Action::Create, &none).len(), 5);
        assert_eq!(asked(ALL, Action::Delete, &none).len(), 0);
        assert_eq!(asked(ALL, Action::Update, &none).len(), 0);
        let key = Changes(vec![Change {
            path: "key".to_owned(),
            old: json!("other"),
            new: json!(KEY),
            forces_replace: false,
        }]);
        assert_eq!(asked(&["log_group", "vpc"], Action::Update, &key).len(), 1);
        assert_eq!(asked(&["node_group"], Action::Replace, &none).len(), 1);
        assert_eq!(asked(&["vpc"], Action::Create, &none).len(), 0);
    }

    #[test]
    fn the_statements_of_a_key_of_the_stack_are_enough_and_each_is_needed() {
        let demands = asked(ALL, Action::Create, &Changes::default());
        let lacking = |statements: &[Value]| -> Vec<&str> {
            let policy = json!({"Statement": statements});
            let missing = demands.iter().filter(|demand| !demand.missing(&policy, KEY).is_empty());
            missing.map(|demand| demand.address.as_str()).collect()
        };
        let (disks, logs) = ("a/launch_template", "a/log_group");
        assert_eq!(lacking(&[]).len(), 5);
        let account = key_admin("123456789012", "eu-central-1");
        assert_eq!(lacking(std::slice::from_ref(&account)), [logs, disks]);
        let own: Vec<Value> = demands.iter().flat_map(|demand| demand.statements.clone()).collect();
        assert_eq!(lacking(&own), [""; 0]);
        let without = |sid: &str| -> Vec<Value> {
            own.iter().filter(|statement| statement["Sid"] != sid).cloned().collect()
        };
        assert_eq!(lacking(&without("Logs")), [logs]);
        assert_eq!(lacking(&without("NodeDisks")), [disks]);
        assert_eq!(lacking(&without("NodeDiskGrants")), [disks]);
        // Whether a session's role is the one that the disks' statements name is unknown, and what they may allow is not
        // refused. They do not allow `kms:RetireGrant`.
        assert_eq!(lacking(&without("Account")), ["a/ecr_repository"]);
        // The caller's role can be named, with the path that a session's ARN does not show.
        for role in ["role/Deploy", "role/teams/Deploy"] {
            let named = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*",
                "Principal": {"AWS": format!("arn:aws:iam::123456789012:{role}")}});
            assert_eq!(lacking(&[named]), [logs, disks], "{role}");
        }
        let other = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": {"AWS": "arn:aws:iam::123456789012:role/NotDeploy"}});
        assert_eq!(lacking(&[other]).len(), 5);
    }

    #[test]
    fn logs_must_be_allowed_every_group() {
        let [demand] = &asked(&["log_group"], Action::Create, &Changes::default())[..] else { panic!() };
        let policy =
            json!({"Statement": [key_for_logs("123456789012", "eu-central-1", &["/other".to_owned()])]});
        assert_eq!(demand.missing(&policy, KEY).len(), LOGS.len());
        let all = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "logs.eu-central-1.amazonaws.com"},
            "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:GenerateDataKey*", "kms:Describe*"], "Resource": "*",
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-central-1:123456789012:*"}}}]});
        assert_eq!(demand.missing(&all, KEY), [""; 0]);
    }
}
