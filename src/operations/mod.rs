//! What can be done with a stack, as functions of values: plan, create, update, inspect, deploy, adopt, delete.
//!
//! An operation works on a [`Workspace`] (the parsed [`Stack`](crate::stack::Stack), the [`Target`] account and region, the
//! [`StateAccess`] and the local [`Folders`]). [`PlanOptions`] say what is planned, [`RunOptions`] how it is carried out, and
//! the [`RunControl`] carries the events of a run out and the wish to stop in. The [`Operator`] is told what happens and
//! decides what is approved. No operation knows a terminal, arguments or an exit code: what it did is the value that it
//! returns. The command line is one caller; `tests/it/operations.rs` is another.

mod adoption;
mod api_access;
mod application_logs;
mod application_url;
mod apply;
mod backend;
mod backend_creation;
mod backend_removal;
mod blocked_deletion;
mod blocked_deletions;
mod capacity;
mod checks;
mod cluster_access;
mod cluster_tenants;
mod conclusion;
mod deletion;
mod down_checks;
mod ended_with_cluster;
mod existing_network;
mod facts;
mod feasibility;
mod forewarning;
mod given_keys;
mod inspection;
mod kept_objects;
mod key_demands;
mod lease_holding;
mod losses;
mod lost_state;
mod machine;
mod messages;
mod moved_records;
mod new_objects;
mod operation_error;
mod options;
mod patience;
mod planning;
mod pod_placement;
mod proof;
mod rebuilding;
mod rollback;
mod run_control;
mod run_record;
mod saved;
mod stack_file;
mod stack_policy;
mod stack_record;
mod state_access;
mod state_edits;
mod state_reads;
mod state_versions;
mod status_detail;
mod support_calendar;
mod supposed_facts;
mod taken_fields;
mod target;
mod unsaved;
mod unusable_key;
mod validation;
mod version_change;
mod workspace;

pub use crate::{
    aws::AssumedRole,
    kube::{ContainerRun, LogQuery},
};
pub use adoption::adopt;
pub use application_logs::{ShowLine, application_logs};
pub use application_url::{ApplicationUrl, Location, application_url, applications, check_has_url};
pub use apply::up;
pub use blocked_deletion::BlockedDeletion;
pub use checks::{Check, CheckState, doctor};
pub use cluster_access::{TokenCommand, WrittenContext, cluster_token, name_of_cluster, write_kubeconfig};
pub use conclusion::{Conclusion, End};
pub use deletion::{DownScope, Removal, down};
pub use inspection::{StackStatus, StatusReport, status};
pub use messages::{Message, Operator, Question, Unattended};
pub use operation_error::OperationError;
pub use options::{PlanOptions, RunOptions};
pub use planning::{Planned, plan};
pub use proof::RemovalProof;
pub use run_control::RunControl;
pub use run_record::last_run;
pub use saved::Saved;
pub use stack_file::read_stack;
pub use stack_policy::{StackPolicy, caller_account};
pub use stack_record::TO_DO as OTHER_STACK_HINT;
pub use state_access::StateAccess;
pub use state_edits::{forget_records, missing_backend, push_state, rebuild_state, restore_backend};
pub use state_reads::{check_state_exists, holder_text, lease_holder, recorded_state, release_lease};
pub use state_versions::{
    StateVersion, older_state, roll_back_state, state_document, state_versions, versions_kept,
};
pub use status_detail::Detail;
pub use target::{Target, TargetEndpoint, role_of};
pub use validation::{StackParts, declared_graph, validate};
pub use workspace::{Folders, Workspace};
