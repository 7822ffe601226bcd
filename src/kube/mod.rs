//! Talks to the Kubernetes API: tokens, kubeconfig files, server-side apply, rollouts.

mod client;
mod cluster_token;
mod connection;
mod deferred;
mod drain;
mod errors;
mod evictions;
mod field_owners;
mod health;
mod kubeconfig_file;
mod namespace_contents;
mod object_diff;
mod object_status;
mod pod_logs;
mod pod_trouble;
mod refused_update;
mod rollout;
mod secret_answer;

pub use client::{Apply, KubeClient, MANAGER, ObjectRef};
pub use cluster_token::{ClusterToken, token};
pub use connection::{access_denied, cluster, forget_connection_on_silence, not_compared};
pub use deferred::{DeferredField, changed_fields, fill_deferred};
pub use drain::{DrainStep, Replicas, controllers, next_evictions};
pub use errors::{FIELD_CONFLICT, uid};
pub use evictions::{EvictionAnswer, PodRef};
pub use field_owners::{TakenField, shown, taken_fields, with_live_values};
pub use health::health;
pub use kubeconfig_file::{Exec, KubeconfigEntry, merge, write};
pub use object_diff::changes;
pub use pod_logs::{ContainerRun, LogQuery};
pub use refused_update::{is_refused_update, strategy_patch};
pub use rollout::{HealthInputs, RolloutState, state};
pub use secret_answer::without_values;
