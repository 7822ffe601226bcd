//! Sends the same tags of several EC2 resources in one call: what is asked for during a call goes together into the next one.

use super::{Call, Cx, Tags, ec2_list, tag_queue::Waiting};
use crate::model::{CallError, ErrorKind};
use tokio::sync::oneshot;

/// How many resources `CreateTags` takes.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>
const MAX_RESOURCES: usize = 1000;

/// Adds tags to an EC2 resource, together with others that get the same ones.
///
/// # Errors
/// Those of `CreateTags`, for this resource alone.
pub async fn add_ec2_tags(cx: &Cx, id: &str, tags: &Tags) -> Result<(), CallError> {
    let group = cx.tag_queue().group(tags);
    let (sender, mut receiver) = oneshot::channel();
    group.waiting().push((id.to_owned(), sender));
    let _turn = group.turn.lock().await;
    if let Ok(answer) = receiver.try_recv() {
        return answer;
    }
    let mut together: Waiting = {
        let mut waiting = group.waiting();
        let count = waiting.len().min(MAX_RESOURCES);
        waiting.drain(..count).collect()
    };
    // Others stand before it, or the call that it was part of was cancelled.
    together.retain(|(other, sender)| other != id && !sender.is_closed());
    together.truncate(MAX_RESOURCES.saturating_sub(1));
    let ids: Vec<String> = together.iter().map(|(other, _)| other.clone()).chain([id.to_owned()]).collect();
    let is_alone = together.is_empty();
    let answer = send(cx, ids, tags).await;
    // A resource that does not exist, or that the caller may not tag, fails the call for all.
    let is_shared = answer.as_ref().err().is_none_or(|error| error.class == ErrorKind::Throttled);
    for (other, sender) in together {
        let answer = if is_shared { answer.clone() } else { send(cx, vec![other], tags).await };
        // Fails if the step was cancelled.
        let _ = sender.send(answer);
    }
    if is_shared || is_alone { answer } else { send(cx, vec![id.to_owned()], tags).await }
}

async fn send(cx: &Cx, ids: Vec<String>, tags: &Tags) -> Result<(), CallError> {
    cx.ec2.create_tags().set_resources(Some(ids)).set_tags(Some(ec2_list(tags))).send().await.call().map(drop)
}
