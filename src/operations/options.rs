//! What a caller chooses for one operation, besides the stack file.

use crate::{
    model::{Address, Stage},
    stack::delivery::App,
};
use std::collections::BTreeSet;

/// Choices that determine a plan.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Addresses or stages that the operation is limited to, with their dependencies; empty for the whole stack.
    pub targets: Vec<String>,
    /// Addresses whose replacement or deletion is accepted even though their data is lost.
    pub replace: Vec<String>,
    /// Whether node groups are upgraded to the newest Bottlerocket release.
    pub upgrade_nodes: bool,
    /// Whether a change of the cluster's version ignores EKS's insights.
    pub force_upgrade: bool,
    /// Objects of the cluster whose fields are taken from other managers.
    pub take_fields: BTreeSet<Address>,
    /// Additional tags for the images of the applications.
    pub image_tags: Vec<String>,
    /// Names of the applications that the operation is limited to; empty for all.
    pub apps: Vec<String>,
    /// Whether tags that were looked up and recorded are looked up again.
    pub refresh: bool,
    /// The stage that the operation is limited to, if any.
    pub only: Option<Stage>,
    /// The one resource that is adopted on request, and whether also from another owner.
    pub adopt: Option<(Address, bool)>,
}

impl PlanOptions {
    /// Returns whether the operation includes an application.
    pub fn deploys(&self, app: &App) -> bool {
        self.apps.is_empty() || app.name.as_ref().is_some_and(|name| self.apps.contains(name))
    }
}

/// Choices that determine how a plan is carried out, not what is done.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Maximum number of resources to work on at once.
    pub parallelism: usize,
    /// Whether the stages are approved and run one after the other. Otherwise, all of the plan runs at once.
    pub by_stage: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { parallelism: 16, by_stage: false }
    }
}
