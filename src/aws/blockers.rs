//! What blocks a delete: nearly always a network interface created outside provisioner.

use super::{Cx, filter};

/// Lists the network interfaces that a filter matches, as text for people. Empty when the call fails: the list is only part
/// of a message.
pub async fn blockers(cx: &Cx, name: &str, id: &str) -> Vec<String> {
    let call =
        cx.ec2.describe_network_interfaces().filters(filter(name, vec![id.to_owned()])).max_results(20);
    let Ok(answer) = call.send().await else { return Vec::new() };
    let describe = |interface: aws_sdk_ec2::types::NetworkInterface| {
        let id = interface.network_interface_id.unwrap_or_default();
        let what = interface
            .description
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "no description".to_owned());
        let by = interface.requester_id.map(|by| format!(", created by {by}")).unwrap_or_default();
        format!("{id} ({what}{by})")
    };
    answer.network_interfaces.unwrap_or_default().into_iter().map(describe).collect()
}
