//! Whether the policy of a KMS key lets a principal use the key. What cannot be known without KMS, such as the value of a
//! condition's key, is neither yes nor no.
//!
//! Sources: <https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use serde_json::Value;
use std::collections::BTreeMap;

/// Whether a key's policy allows an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No statement allows it, or one denies it.
    No,
    /// It depends on something that is not known here.
    Unsure,
    /// A statement allows it, and none denies it.
    Yes,
}

/// A principal that uses a key, and how.
#[derive(Clone, Debug, Default)]
pub struct KeyUser {
    /// Its names in the field `AWS` of a policy's principals; `*` stands for a path that is not known.
    pub arns: Vec<String>,
    /// Its name in the field `Service`, if it is an AWS service.
    pub service: Option<String>,
    /// Condition keys whose value is known, in small letters, with their value.
    pub context: BTreeMap<String, String>,
}

/// Returns whether the policy of the key allows the action (`kms:Decrypt`).
pub fn verdict(policy: &Value, key: &str, user: &KeyUser, action: &str) -> Verdict {
    let (mut allowed, mut denied) = (Verdict::No, Verdict::No);
    for statement in list(policy.get("Statement")) {
        let concerns = concerns(statement, key, user, action);
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => allowed = allowed.max(concerns),
            _ => denied = denied.max(concerns),
        }
    }
    match denied {
        Verdict::Yes => Verdict::No,
        Verdict::Unsure => allowed.min(Verdict::Unsure),
        Verdict::No => allowed,
    }
}

/// Returns one or several values as a list.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(value).into_iter().map(text).collect()
}

fn yes(is: bool) -> Verdict {
    if is { Verdict::Yes } else { Verdict::No }
}

/// Returns whether a text matches a pattern with `*` and `?`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The patterns that match up to each character, one row for each character of the pattern.
    let mut row: Vec<bool> = (0..=text.len()).map(|index| index == 0).collect();
    for sign in pattern {
        let mut next = vec![false; row.len()];
        for index in 0..row.len() {
            let before = index.checked_sub(1);
            let of = |list: &[bool], at: Option<usize>| {
                at.and_then(|at| list.get(at)).copied().unwrap_or_default()
            };
            let here = match sign {
                '*' => of(&row, Some(index)) || of(&next, before),
                '?' => of(&row, before),
                sign => of(&row, before) && before.and_then(|at| text.get(at)) == Some(&sign),
            };
            if let Some(slot) = next.get_mut(index) {
                *slot = here;
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn concerns(statement: &Value, key: &str, user: &KeyUser, action: &str) -> Verdict {
    let small = action.to_ascii_lowercase();
    let named = |field: &str| {
        texts(statement.get(field)).iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &small))
    };
    let action = match statement.get("NotAction") {
        Some(_) => !named("NotAction"),
        None => named("Action"),
    };
    let resource = match statement.get("Resource") {
        Some(_) => texts(statement.get("Resource")).iter().any(|pattern| glob(pattern, key)),
        None => true,
    };
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => yes(is_named(principal, user)),
        (None, Some(_)) => Verdict::Unsure,
        (None, None) => Verdict::No,
    };
    yes(action && resource).min(principal).min(conditions(statement.get("Condition"), user))
}

fn is_named(principal: &Value, user: &KeyUser) -> bool {
    let anyone = |names: &[String]| names.iter().any(|name| name == "*");
    if principal.as_str() == Some("*") {
        return true;
    }
    let (arns, services) = (texts(principal.get("AWS")), texts(principal.get("Service")));
    // `*` stands for accounts, users and roles, and for services too.
    anyone(&arns)
        || arns.iter().any(|name| user.arns.iter().any(|own| glob(own, name)))
        || user.service.as_ref().is_some_and(|service| services.contains(service) || anyone(&services))
}

fn conditions(block: Option<&Value>, user: &KeyUser) -> Verdict {
    let Some(Value::Object(operators)) = block else { return Verdict::Yes };
    let all = operators.iter().flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, wanted)| condition(operator, key, &texts(Some(wanted)), user))
    });
    all.min().unwrap_or(Verdict::Yes)
}

fn condition(operator: &str, key: &str, wanted: &[String], user: &KeyUser) -> Verdict {
    let Some(value) = user.context.get(&key.to_ascii_lowercase()) else { return Verdict::Unsure };
    let operator = operator.rsplit(':').next().unwrap_or(operator).trim_end_matches("IfExists");
    let equals = || wanted.iter().any(|wanted| wanted == value);
    let like = || wanted.iter().any(|wanted| glob(wanted, value));
    let ignoring_case = || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(value));
    // A variable stands for what is not known here.
    if wanted.iter().any(|wanted| wanted.contains("${")) {
        return Verdict::Unsure;
    }
    match operator {
        "StringEquals" => yes(equals()),
        "StringNotEquals" => yes(!equals()),
        "StringEqualsIgnoreCase" | "Bool" => yes(ignoring_case()),
        "StringNotEqualsIgnoreCase" => yes(!ignoring_case()),
        "StringLike" | "ArnLike" | "ArnEquals" => yes(like()),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => yes(!like()),
        "Null" => yes(wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case("false"))),
        _ => Verdict::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "arn:aws:kms:eu-central-1:1:key/k";
    const ROLE: &str =
        "arn:aws:iam::1:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";

    fn role() -> KeyUser {
        let context = [
            ("kms:calleraccount", "1"),
            ("aws:principalarn", ROLE),
            ("kms:viaservice", "ec2.r.amazonaws.com"),
        ];
        KeyUser {
            arns: vec![ROLE.to_owned()],
            service: None,
            context: context.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    fn decrypt(statements: Value) -> Verdict {
        verdict(&json!({"Statement": statements}), KEY, &role(), "kms:Decrypt")
    }

    #[test]
    fn a_statement_is_compared_by_principal_action_resource_and_conditions() {
        let root = json!({"AWS": "arn:aws:iam::1:root"});
        let named = json!({"AWS": ["arn:aws:iam::1:role/other", ROLE]});
        let allow = |principal: &Value, action: Value, condition: Value| json!({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", "Condition": condition});
        let cases = [
            ("the default policy", json!([allow(&root, json!("kms:*"), json!({}))]), Verdict::No),
            (
                "the role",
                json!([allow(&named, json!(["kms:Encrypt", "kms:decrypt"]), json!({}))]),
                Verdict::Yes,
            ),
            ("a pattern", json!([allow(&named, json!("kms:De*"), json!({}))]), Verdict::Yes),
            ("another action", json!([allow(&named, json!("kms:Describe*"), json!({}))]), Verdict::No),
            ("one statement that is no list", allow(&named, json!("*"), json!({})), Verdict::Yes),
            (
                "everyone with the role's ARN",
                json!([allow(
                    &json!("*"),
                    json!("kms:*"),
                    json!({"ArnLike": {"aws:PrincipalArn": "*/AWSServiceRoleForAutoScaling"}})
                )]),
                Verdict::Yes,
            ),
            (
                "another account",
                json!([allow(
                    &json!({"AWS": "*"}),
                    json!("kms:*"),
                    json!({"StringEquals": {"kms:CallerAccount": "2"}})
                )]),
                Verdict::No,
            ),
            (
                "an organisation",
                json!([allow(
                    &json!({"AWS": "*"}),
                    json!("kms:*"),
                    json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
                )]),
                Verdict::Unsure,
            ),
            (
                "another service",
                json!([allow(
                    &named,
                    json!("kms:*"),
                    json!({"StringEquals": {"kms:ViaService": ["rds.r.amazonaws.com"]}})
                )]),
                Verdict::No,
            ),
            (
                "a denial",
                json!([
                    allow(&named, json!("kms:*"), json!({})),
                    {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
                     "Condition": {"StringNotLike": {"kms:ViaService": "s3.*"}}},
                ]),
                Verdict::No,
            ),
            (
                "a denial that may apply",
                json!([
                    allow(&named, json!("kms:*"), json!({})),
                    {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
                     "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
                ]),
                Verdict::Unsure,
            ),
            (
                "a denial of something else",
                json!([
                    allow(&named, json!("kms:*"), json!({})),
                    {"Effect": "Deny", "Principal": "*", "NotAction": "kms:Decrypt", "Resource": "*"},
                ]),
                Verdict::Yes,
            ),
        ];
        for (name, statements, expected) in cases {
            assert_eq!(decrypt(statements), expected, "{name}");
        }
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, matches) in [
            ("kms:*", "kms:decrypt", true),
            ("kms:de?rypt", "kms:decrypt", true),
            ("kms:", "kms:decrypt", false),
            ("*crypt", "kms:decrypt", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("", "", true),
            ("?", "", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
