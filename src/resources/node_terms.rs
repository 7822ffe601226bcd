//! Taints and update limits of node groups, to EKS's types and back.

use aws_sdk_eks::types::{NodegroupUpdateConfig, Taint, TaintEffect};
use serde::{Deserialize, Serialize};

/// A taint, its effect in EKS's words (`NO_SCHEDULE`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaintSpec {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// `NO_SCHEDULE`, `PREFER_NO_SCHEDULE` or `NO_EXECUTE`.
    pub effect: String,
}

/// How many nodes may be away during an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AwaySpec {
    /// So many.
    Count(i32),
    /// So many in a hundred.
    Percent(i32),
}

impl TaintSpec {
    /// As EKS takes them.
    pub fn sent(list: &[TaintSpec]) -> Vec<Taint> {
        let each = list.iter().map(|taint| {
            let effect = TaintEffect::from(taint.effect.as_str());
            Taint::builder().key(&taint.key).value(&taint.value).effect(effect).build()
        });
        each.collect()
    }
}

impl From<Taint> for TaintSpec {
    fn from(taint: Taint) -> Self {
        TaintSpec {
            key: taint.key.unwrap_or_default(),
            value: taint.value.unwrap_or_default(),
            effect: taint.effect.map(|effect| effect.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

impl AwaySpec {
    /// As EKS takes it.
    pub fn sent(&self) -> NodegroupUpdateConfig {
        let config = NodegroupUpdateConfig::builder();
        match self {
            AwaySpec::Count(count) => config.max_unavailable(*count).build(),
            AwaySpec::Percent(percent) => config.max_unavailable_percentage(*percent).build(),
        }
    }

    /// As EKS gives it.
    pub fn read(config: &NodegroupUpdateConfig) -> Option<Self> {
        let count = config.max_unavailable.map(AwaySpec::Count);
        count.or(config.max_unavailable_percentage.map(AwaySpec::Percent))
    }
}
