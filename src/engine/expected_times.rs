//! How long a plan should take: learned durations, or typical ones.

use super::budget::Pace;
use crate::model::{Action, Forecast, KindInfo, Plan, Snapshot, Step};
use serde_json::Value;
use std::time::Duration;

/// Returns how long the steps of a plan should take on a target of this pace. `typical` returns the duration of a kind's
/// creation in AWS, for kinds of which the state holds no duration.
pub fn forecast(plan: &Plan, before: &Snapshot, pace: Pace, typical: &dyn Fn(&str) -> Duration) -> Forecast {
    let learned = |kind: &str| {
        before.outputs.get(&format!("duration/{kind}")).and_then(Value::as_u64).map(Duration::from_secs)
    };
    Forecast::new(plan, &|step: &Step| match step.action {
        // Most updates and adoptions are single calls.
        Action::Update | Action::Adopt => pace.of(KindInfo::DEFAULT.typical),
        _ => learned(&step.kind).unwrap_or_else(|| pace.of(typical(&step.kind))),
    })
}
