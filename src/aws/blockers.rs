//! Who stands in the way of a delete: nearly always a network interface that somebody else made.

use super::{Cx, filter};

/// The interfaces in or on a network resource, as lines for people. Empty where the question makes no sense, or has no
/// answer: it only serves a message.
pub async fn blockers(cx: &Cx, kind: &str, id: &str) -> Vec<String> {
    let name = match kind {
        "vpc" => "vpc-id",
        "subnet" => "subnet-id",
        "security_group" => "group-id",
        _ => return Vec::new(),
    };
    let call =
        cx.ec2.describe_network_interfaces().filters(filter(name, vec![id.to_owned()])).max_results(20);
    let Ok(answer) = call.send().await else { return Vec::new() };
    let describe = |interface: aws_sdk_ec2::types::NetworkInterface| {
        let id = interface.network_interface_id.unwrap_or_default();
        let what = interface
            .description
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "no description".to_owned());
        let by = interface.requester_id.map(|by| format!(", made by {by}")).unwrap_or_default();
        format!("{id} ({what}{by})")
    };
    answer.network_interfaces.unwrap_or_default().into_iter().map(describe).collect()
}
