//! Validates the Bottlerocket settings of a node group: they must be TOML and must not set what EKS or this
//! program sets.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html>

use super::{cluster::NodeGroup, findings::Findings};
use toml::{Table, Value};

/// Settings that a file must not set, and the reason for the message.
const RESERVED_SETTINGS: &[(&[&str], &str)] = &[
    (&["kubernetes", "cluster-name"], "EKS sets it"),
    (&["kubernetes", "api-server"], "EKS sets it"),
    (&["kubernetes", "cluster-certificate"], "EKS sets it"),
    (&["kubernetes", "cluster-dns-ip"], "EKS sets it"),
    (&["kubernetes", "node-labels"], "`labels` of the node group sets it"),
    (&["kubernetes", "node-taints"], "`taints` of the node group sets it"),
];

/// Maximum length of the settings, in bytes. EC2 limits user data to 16 kB, and the rest is for what EKS
/// adds.
const MAX_BYTES: usize = 12_000;

/// Validates the settings of the node group at `path`.
pub fn check(group: &NodeGroup, path: &str, findings: &mut Findings<'_>) {
    let Some(text) = &group.bottlerocket else { return };
    let path = &format!("{path}.bottlerocket");
    let message = format!("must be at most {MAX_BYTES} bytes (got {})", text.len());
    findings.check(text.len() <= MAX_BYTES, path, message, "shorten the settings");
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |head| head.lines().count().max(1));
            let message = format!("invalid TOML: {} (line {line} of the settings)", error.message());
            findings.add(path, message, "put strings in quotes, as in `lockdown = \"integrity\"`");
            return;
        }
    };
    for name in table.keys().filter(|name| *name != "settings") {
        let message = format!("unknown top-level key {}", findings.quoted(path, name));
        findings.add(path, message, "put all settings in tables such as `[settings.kernel]`");
    }
    let Some(settings) = table.get("settings").and_then(Value::as_table) else { return };
    for (keys, reason) in RESERVED_SETTINGS {
        findings.check(
            at(settings, keys).is_none(),
            path,
            format!("`settings.{}` is reserved: {reason}", keys.join(".")),
            "remove the setting",
        );
    }
    let pods = at(settings, &["kubernetes", "max-pods"]).is_some();
    findings.check(
        !(pods && group.prefix_delegation),
        path,
        "`settings.kubernetes.max-pods` conflicts with `prefixDelegation`, which sets it",
        "remove the setting or `prefixDelegation`",
    );
    let admin = at(settings, &["host-containers", "admin"]).is_some();
    findings.check(
        !(admin && group.ssh.is_some()),
        path,
        "`settings.host-containers.admin` conflicts with `ssh`, which enables the admin container",
        "remove the setting or `ssh`",
    );
}

/// Returns the value at a path of keys.
fn at<'a>(settings: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = settings.get(*first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}
