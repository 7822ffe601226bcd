//! The cluster's own API: tokens, kubeconfig files.

mod kubeconfig;
mod token;

pub use kubeconfig::{Entry, Exec, merge, write};
pub use token::{LIFE, Token, token};
