//! The cluster's own API: tokens, kubeconfig files, server-side apply, rollouts.

mod client;
mod compare;
mod errors;
mod kubeconfig;
mod rollout;
mod token;

pub use client::{Apply, Cluster, MANAGER, Place};
pub use compare::changes;
pub use kubeconfig::{Entry, Exec, merge, write};
pub use rollout::{State, Witnesses, crashing, state, wants_witnesses};
pub use token::{LIFE, Token, token};
