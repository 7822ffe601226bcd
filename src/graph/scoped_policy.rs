//! Generates a least-privilege policy for running a stack: each IAM action is allowed on the narrowest
//! resources and conditions that AWS supports for it.

use super::{addresses::cluster_name, backend_graph::Backend};
use crate::{
    model::{EcrHome, Graph, IamScope, ImageReference, partition, tag},
    stack::Stack,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum length of a managed policy, in characters without white space.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const MAX_POLICY_LENGTH: usize = 6144;

/// The stack that a policy is generated for. The scopes are filled in with the names of its backend and desired
/// resources.
pub struct PolicyTarget<'a> {
    /// Stack file.
    pub stack: &'a Stack,
    /// State backend. Its account is `*` if it is unknown.
    pub backend: &'a Backend,
    /// Desired resources.
    pub graph: &'a Graph,
}

impl PolicyTarget<'_> {
    /// Returns the statements that allow `actions` for running the stack.
    pub fn statements(&self, actions: impl IntoIterator<Item = (IamScope, &'static str)>) -> Vec<Value> {
        let owned = Owned {
            target: self,
            tag: tag::STACK,
            owner: &self.stack.name,
            alias: format!("provisioner/{}", self.stack.name),
            given_key: self.stack.encryption.key_arn.as_deref(),
            record: None,
        };
        owned.statements(actions)
    }

    /// Returns the statements that allow `actions` for creating the backend. `record` is the key of the backend's own record
    /// in the bucket.
    pub fn bootstrap(
        &self,
        actions: impl IntoIterator<Item = (IamScope, &'static str)>,
        record: &str,
    ) -> Vec<Value> {
        let bucket = &self.backend.bucket;
        let owned = Owned {
            target: self,
            tag: tag::BACKEND,
            owner: bucket,
            alias: bucket.clone(),
            given_key: None,
            record: Some(record),
        };
        owned.statements(actions)
    }
}

/// The owner whose resources the actions are allowed on.
struct Owned<'a> {
    target: &'a PolicyTarget<'a>,
    /// Key and value of the tag that the owner's resources carry.
    tag: &'static str,
    owner: &'a str,
    /// Alias of the owner's key, without `alias/`.
    alias: String,
    given_key: Option<&'a str>,
    record: Option<&'a str>,
}

impl Owned<'_> {
    /// Returns one statement for each scope. Scopes without a resource, or with a condition that is never true, are left out.
    fn statements(&self, actions: impl IntoIterator<Item = (IamScope, &'static str)>) -> Vec<Value> {
        let mut groups: BTreeMap<&str, (IamScope, BTreeSet<&str>)> = BTreeMap::new();
        for (scope, action) in actions {
            groups.entry(scope.sid).or_insert_with(|| (scope, BTreeSet::new())).1.insert(action);
        }
        groups.into_values().filter_map(|(scope, actions)| self.statement(&scope, &actions)).collect()
    }

    fn statement(&self, scope: &IamScope, actions: &BTreeSet<&str>) -> Option<Value> {
        let resources: Vec<String> = scope.resources.iter().flat_map(|arn| self.filled(arn)).collect();
        let mut conditions: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
        for (operator, key, values) in scope.conditions {
            let found: Vec<String> = values.iter().flat_map(|value| self.filled(value)).collect();
            let key = self.filled(key).pop()?;
            // An unknown account is `*` in the value.
            let operator = match *operator {
                "StringEquals" if found.iter().any(|value| value.contains('*')) => "StringLike",
                operator => operator,
            };
            let value = match (found.as_slice(), values) {
                ([], _) => return None,
                ([one], [_]) => json!(one),
                _ => json!(found),
            };
            conditions.entry(operator).or_default().insert(key, value);
        }
        let statement =
            json!({"Sid": scope.sid, "Effect": "Allow", "Action": actions, "Resource": resources});
        let statement = match conditions.is_empty() {
            true => statement,
            false => merged(statement, json!({"Condition": conditions})),
        };
        (!resources.is_empty()).then_some(statement)
    }

    /// Returns the template once for each combination of the values of its placeholders.
    fn filled(&self, template: &str) -> Vec<String> {
        let Some((before, rest)) = template.split_once('{') else { return vec![template.to_owned()] };
        let (name, after) = rest.split_once('}').unwrap_or((rest, ""));
        let tails = self.filled(after);
        let values = self.values(name).into_iter().map(|value| match before.ends_with('/') {
            // The path of a parameter begins with a slash of its own.
            true => value.trim_start_matches('/').to_owned(),
            false => value,
        });
        values.flat_map(|value| tails.iter().map(move |tail| format!("{before}{value}{tail}"))).collect()
    }

    /// Returns the values of a placeholder; none if it is unknown, so that nothing is allowed by a mistake.
    fn values(&self, placeholder: &str) -> Vec<String> {
        let PolicyTarget { stack, backend, graph } = self.target;
        let key = |arn: Option<&str>| arn.map(str::to_owned).into_iter().collect();
        let one = match placeholder {
            "partition" => partition(&stack.region),
            "region" => &stack.region,
            "account" => &backend.account,
            "stack" => &stack.name,
            "rolePath" => &stack.role_path,
            "cluster" => return vec![cluster_name(stack)],
            "bucket" => &backend.bucket,
            "table" => &backend.table,
            "ownerTag" => self.tag,
            "backendTag" => tag::BACKEND,
            "owner" => self.owner,
            "alias" => &self.alias,
            "record" => return key(self.record),
            "givenKey" => return key(self.given_key),
            "givenImages" => return given_images(stack),
            "givenStateKey" => return key(backend.key_arn.as_deref()),
            "ownStateKey" if backend.key_arn.is_some() => return Vec::new(),
            "ownStateKey" => return self.filled("arn:{partition}:kms:{region}:{account}:key/*"),
            field => {
                return field
                    .split_once('.')
                    .map(|(kind, field)| values(graph, kind, field))
                    .unwrap_or_default();
            }
        };
        vec![one.to_owned()]
    }
}

/// Returns the ARNs of the repositories of ECR that the file takes images from.
fn given_images(stack: &Stack) -> Vec<String> {
    let references = stack.apps.iter().filter_map(|app| ImageReference::parse(app.image.as_ref()?));
    let found: BTreeSet<String> = references
        .filter_map(|image| {
            let EcrHome { account, region } = image.ecr()?;
            let name = image.name();
            Some(format!("arn:{}:ecr:{region}:{account}:repository/{name}", partition(&region)))
        })
        .collect();
    found.into_iter().collect()
}

/// Returns the values of a field, a text or a list of texts, in all resources of a kind.
fn values(graph: &Graph, kind: &str, field: &str) -> Vec<String> {
    let of_kind = graph.nodes.values().filter(|node| node.kind == kind);
    let found: BTreeSet<&str> = of_kind
        .filter_map(|node| node.spec.get(field))
        .flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice))
        .filter_map(Value::as_str)
        .collect();
    found.into_iter().map(str::to_owned).collect()
}

/// Distributes the statements over as few documents as possible, of at most `limit` characters each. A
/// statement that exceeds the limit alone is split by its actions.
pub fn documents(statements: Vec<Value>, limit: usize) -> Vec<Value> {
    let frame = policy_length(&super::iam_policies::document(Vec::new()));
    let mut open: Vec<Value> = statements.into_iter().rev().collect();
    let mut documents: Vec<(usize, Vec<Value>)> = Vec::new();
    while let Some(next) = open.pop() {
        let length = policy_length(&next).saturating_add(1);
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
            // One action on more resources than a policy can hold: callers check the length.
            documents.push((limit, vec![next]));
        }
    }
    documents.into_iter().map(|(_, statements)| super::iam_policies::document(statements)).collect()
}

/// Splits a statement into two with half of the actions each, or returns `None` if it has only one action.
fn halves(statement: &Value) -> Option<(Value, Value)> {
    let actions = statement.get("Action")?.as_array()?;
    let (first, second) = actions.split_at_checked(actions.len() / 2)?;
    if first.is_empty() {
        return None;
    }
    let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default();
    let part = |actions: &[Value], mark: &str| {
        merged(statement.clone(), json!({"Action": actions, "Sid": format!("{sid}{mark}")}))
    };
    Some((part(first, "A"), part(second, "B")))
}

/// Returns the first JSON object with the entries of the second.
fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// Returns the length of a document as IAM counts it, without white space.
pub fn policy_length(document: &Value) -> usize {
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
        let whole = super::super::iam_policies::document(statements.clone());
        for limit in [400, 1000, MAX_POLICY_LENGTH] {
            let parts = documents(statements.clone(), limit);
            assert!(parts.iter().all(|part| policy_length(part) <= limit), "{limit}");
            assert_eq!(all(&parts), all(std::slice::from_ref(&whole)));
        }
    }
}
