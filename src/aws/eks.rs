//! What the kinds of EKS have in common.

use super::{Call, Cx, Tags};
use crate::model::{Class, Fault};
use aws_sdk_autoscaling::types::ScalingActivityStatusCode;

/// Health issues in one text: code, message and what they are about. None where there are none.
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

/// Brings the tags of an EKS resource from `live` to `want`. Both hold managed tags only.
pub async fn retag_eks(cx: &Cx, arn: &str, want: &Tags, live: &Tags) -> Result<(), Fault> {
    let new: Vec<_> = want.iter().filter(|(key, value)| live.get(*key) != Some(value)).collect();
    if !new.is_empty() {
        let new = new.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let call = cx.eks.tag_resource().resource_arn(arn).set_tags(Some(new));
        call.send().await.call("eks", "TagResource")?;
    }
    let old: Vec<String> = live.keys().filter(|key| !want.contains_key(*key)).cloned().collect();
    if !old.is_empty() {
        let call = cx.eks.untag_resource().resource_arn(arn).set_tag_keys(Some(old));
        call.send().await.call("eks", "UntagResource")?;
    }
    Ok(())
}

/// Why the newest launch of an Auto Scaling group failed, if it did.
pub async fn launch_trouble(cx: &Cx, group: &str) -> Result<Option<String>, Fault> {
    let call = cx.autoscaling.describe_scaling_activities().auto_scaling_group_name(group).max_records(10);
    let answer = match call.send().await.call("autoscaling", "DescribeScalingActivities") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?,
    };
    // Newest first.
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
