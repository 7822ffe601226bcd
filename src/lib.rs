//! `provisioner`: one file, one binary; a production EKS environment and the application on it, straight through the
//! AWS API.

pub mod aws;
pub mod model;
pub mod plan;
pub mod store;
pub mod resources;
