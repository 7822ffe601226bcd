//! The errors of a validation, and the checks that several sections share.

use super::{
    diagnostics::{Diagnostic, MAX_VALUE_CHARS},
    positions::{MAX_PATH_LEN, Positions},
};
use crate::model::shortened;
use std::{fmt::Display, ops::RangeInclusive};

/// The errors found so far.
pub struct Findings<'a> {
    pub(super) positions: &'a Positions,
    /// The errors, in the order of checking.
    pub list: Vec<Diagnostic>,
}

impl Findings<'_> {
    /// Adds an error at `path`. An empty `hint` means no hint.
    pub fn add(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let hint: String = hint.into();
        self.list.push(self.positions.at(path, message.into(), (!hint.is_empty()).then_some(hint)));
    }

    /// Adds an error at `path` unless `sound`.
    pub fn check(&mut self, sound: bool, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        if !sound {
            self.add(path, message, hint);
        }
    }

    /// Returns whether the file contains this field.
    pub fn has(&self, path: &str) -> bool {
        self.positions.spans.contains_key(path)
    }

    /// Returns the value of the field `path` for a message: cut to a readable length, and as the file has it
    /// if it contains environment variables, whose content may be secret.
    pub fn shown(&self, path: &str, value: impl Display) -> String {
        let value = match self.positions.templates.get(path) {
            Some(template) => template.clone(),
            // Templates of such a path are not recorded.
            None if path.len() > MAX_PATH_LEN => "...".to_owned(),
            None => value.to_string(),
        };
        shortened(&value, MAX_VALUE_CHARS).into_owned()
    }

    /// Does what [`Self::shown`] does, in quotes.
    pub fn quoted(&self, path: &str, value: impl Display) -> String {
        format!("\"{}\"", self.shown(path, value))
    }

    /// Adds an error at `path` unless the value is `sound`: `invalid <what> "<value>"`.
    pub fn valid(&mut self, sound: bool, path: &str, what: &str, value: &str, hint: &str) {
        if !sound {
            self.add(path, format!("invalid {what} {}", self.quoted(path, value)), hint);
        }
    }

    /// Adds an error at `path` unless no earlier entry of the list has this value: `duplicate <what>
    /// "<value>"`.
    pub fn unique(&mut self, unique: bool, path: &str, what: &str, value: &str) {
        if !unique {
            let message = format!("duplicate {what} {}", self.quoted(path, value));
            self.add(path, message, "remove or rename one of the two");
        }
    }

    /// Adds an error at `path` unless the value is within the range: `must be between <min> and <max> <unit>
    /// (got ...)`.
    pub fn range(&mut self, path: &str, value: i64, range: RangeInclusive<i64>, unit: &str) {
        if range.contains(&value) {
            return;
        }
        let space = if unit.is_empty() { "" } else { " " };
        let (min, max, value) = (range.start(), range.end(), self.shown(path, value));
        self.add(path, format!("must be between {min} and {max}{space}{unit} (got {value})"), "");
    }
}

/// The retention periods that CloudWatch supports, in days.
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const RETENTION: &[i32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/// Returns whether a text has only ASCII letters, digits and the characters of `others`.
pub fn made_of(text: &str, others: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// Returns whether a text has the form of an ARN of the service:
/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
pub fn is_arn(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, of, _, _, rest] if partition.starts_with("aws") && *of == service && !rest.is_empty())
        && !text.contains(char::is_whitespace)
}

/// Validates a retention period of CloudWatch Logs, in days.
pub fn retention(findings: &mut Findings<'_>, path: &str, days: i32) {
    let near = RETENTION.iter().min_by_key(|known| known.abs_diff(days));
    let near = near
        .map(|near| format!("did you mean {near}? CloudWatch supports {}", list(RETENTION)))
        .unwrap_or_default();
    let message = format!("unsupported retention period ({} days)", findings.shown(path, days));
    findings.check(RETENTION.contains(&days), path, message, near);
}

fn list(values: &[i32]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns whether a text is a DNS label (RFC 1123), the form of most Kubernetes names.
pub fn is_dns_label(text: &str) -> bool {
    let chars = text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
    (1..=63).contains(&text.len()) && chars && !text.starts_with('-') && !text.ends_with('-')
}

/// The hint for a name that is not a DNS label.
pub const DNS_LABEL_HINT: &str =
    "use 1 to 63 lowercase letters, digits and `-`, starting and ending with a letter or digit";
