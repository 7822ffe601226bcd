//! Stack -> Graph: which resources exist. Pure.

mod backend;
mod build;
mod network;
mod policy;

pub use backend::{BACKEND, Backend, backend};
pub use network::{Context, network};
