//! The cluster's own API: tokens, kubeconfig files, server-side apply, rollouts.

mod client;
mod compare;
mod connection;
mod errors;
mod judge;
mod known;
mod kubeconfig;
mod rollout;
mod token;

pub use client::{Apply, Cluster, MANAGER, Place};
pub use compare::changes;
pub use connection::{cluster, forget_on_silence, not_compared, shut_out};
pub use judge::judge;
pub use known::{Later, filled, named};
pub use kubeconfig::{Entry, Exec, merge, write};
pub use rollout::{State, Witnesses, state};
pub use token::{Token, token};
