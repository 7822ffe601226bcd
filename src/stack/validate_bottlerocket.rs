//! Checks of a node group's own Bottlerocket settings: that they are TOML, and leave alone what EKS and this program set.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html>

use super::{cluster::NodeGroup, validate::Findings};
use toml::{Table, Value};

/// What others set, and who.
const TAKEN: &[(&[&str], &str)] = &[
    (&["kubernetes", "cluster-name"], "EKS sets it"),
    (&["kubernetes", "api-server"], "EKS sets it"),
    (&["kubernetes", "cluster-certificate"], "EKS sets it"),
    (&["kubernetes", "cluster-dns-ip"], "EKS sets it"),
    (&["kubernetes", "node-labels"], "use `labels`"),
    (&["kubernetes", "node-taints"], "use `taints`"),
];

/// All that is wrong with the settings of one group, which stands at `path`.
pub fn check(group: &NodeGroup, path: &str, found: &mut Findings<'_>) {
    let Some(text) = &group.bottlerocket else { return };
    let path = &format!("{path}.bottlerocket");
    found.check(text.len() <= 12_000, path, "EC2 takes 16 kB of user data", "shorten it");
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |head| head.lines().count().max(1));
            let message = format!("this is no TOML: {} (line {line} of it)", error.message());
            found.add(path, message, "text stands in quotes, as in `lockdown = \"integrity\"`");
            return;
        }
    };
    for name in table.keys().filter(|name| *name != "settings") {
        let message = format!("Bottlerocket knows no `{name}` here");
        found.add(path, message, "all settings stand in tables such as `[settings.kernel]`");
    }
    let Some(settings) = table.get("settings").and_then(Value::as_table) else { return };
    for (keys, whose) in TAKEN {
        found.check(
            at(settings, keys).is_none(),
            path,
            format!("`settings.{}` is not yours: {whose}", keys.join(".")),
            "remove it",
        );
    }
    let admin = at(settings, &["host-containers", "admin"]).is_some();
    found.check(
        !(admin && group.ssh.is_some()),
        path,
        "`settings.host-containers.admin` is set by `ssh` already",
        "remove one of the two",
    );
}

fn at<'a>(settings: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = settings.get(*first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}
