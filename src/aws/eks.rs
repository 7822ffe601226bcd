//! Code shared by the EKS kinds.

use super::{Call, Cx, if_found};
use crate::model::CallError;
use aws_sdk_autoscaling::types::ScalingActivityStatusCode;

/// Joins health issues into one text: code, message and affected resources. `None` if the list is empty.
pub fn issues<'a>(
    list: impl Iterator<Item = (Option<&'a str>, Option<&'a str>, &'a [String])>,
) -> Option<String> {
    let one = |(code, message, resources): (Option<&str>, Option<&str>, &[String])| {
        let (code, message) = (code.unwrap_or("Unknown"), message.unwrap_or("no message"));
        match resources {
            [] => format!("{code}: {message}"),
            list => format!("{code}: {message} ({})", list.join(", ")),
        }
    };
    let texts: Vec<String> = list.map(one).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Returns the status of an EKS resource in words, with what EKS says is wrong.
pub fn eks_status(status: &str, trouble: Option<&str>) -> String {
    let word = status.to_ascii_lowercase().replace('_', " ");
    trouble.map_or_else(|| word.clone(), |trouble| format!("{word}: {trouble}"))
}

/// Returns why the newest launch of an Auto Scaling group failed; `None` if it did not fail.
pub async fn launch_trouble(cx: &Cx, group: &str) -> Result<Option<String>, CallError> {
    let call = cx.autoscaling.describe_scaling_activities().auto_scaling_group_name(group).max_records(10);
    let Some(answer) = if_found(call.send().await.call())? else { return Ok(None) };
    // The activities are listed newest first.
    let ended = answer.activities.unwrap_or_default().into_iter().find(|activity| {
        matches!(
            activity.status_code,
            Some(
                ScalingActivityStatusCode::Failed
                    | ScalingActivityStatusCode::Cancelled
                    | ScalingActivityStatusCode::Successful
            )
        )
    });
    let failed = ended.filter(|activity| activity.status_code == Some(ScalingActivityStatusCode::Failed));
    Ok(failed.map(|activity| {
        format!("Auto Scaling: {}", activity.status_message.or(activity.description).unwrap_or_default())
    }))
}
