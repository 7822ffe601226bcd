//! Stack -> Graph: which resources exist. Pure.

mod access;
mod addons;
mod application;
mod backend;
mod build;
mod cluster;
mod controllers;
mod delivery;
mod image;
mod key;
mod network;
mod nodes;
mod permissions;
mod policy;

pub use access::{caller_has_entry, principal_slug};
pub use addons::{Wanted, addons};
pub use application::{deploys, entrance, faces_internet, renders, variables};
pub use backend::{BACKEND, Backend, backend};
pub use cluster::{cluster_name, fargate_profiles};
pub use image::{app_image, builder, platforms};
pub use network::missing_endpoints;
pub use permissions::{Holder, LONGEST_POLICY, characters, documents};

use crate::{
    model::{Fault, Graph, Owner, Stage},
    stack::{Stack, manifest::Object},
};
use build::Build;
use std::collections::BTreeMap;

/// What the graph depends on beside the file: facts that were asked of AWS, most of them once, and recorded.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whose resources.
    pub owner: Owner,
    /// The account, twelve digits.
    pub account: String,
    /// The zones' names.
    pub zones: Vec<String>,
    /// Each zone's share of the address space.
    pub shares: BTreeMap<String, usize>,
    /// The Kubernetes minor.
    pub version: String,
    /// The caller's IAM principal, by its ARN; none where access entries cannot name it.
    pub caller: Option<String>,
    /// What `myip` stands for, a block.
    pub my_ip: Option<String>,
    /// The versions of add-ons.
    pub addons: BTreeMap<String, String>,
    /// The Bottlerocket release of each node group.
    pub releases: BTreeMap<String, String>,
    /// The folder for what stays on this machine.
    pub state_folder: String,
    /// The application's image.
    pub image: Image,
    /// The rendered manifests.
    pub objects: Vec<Object>,
}

/// What is known of the application's image beside the file.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The tag that the content of its folder gives it.
    pub content: String,
    /// Further tags.
    pub tags: Vec<String>,
}

/// All resources of a stack but its backend.
///
/// # Errors
/// A layout that does not fit, or a fact that is missing; validation and the fact finding have ruled both out.
pub fn graph(stack: &Stack, context: &Context) -> Result<Graph, Fault> {
    let mut build = Build::new(&context.owner, &stack.tags, Stage::Network);
    key::key(&mut build, stack, context);
    network::network(&mut build, stack, context)?;
    build.stage(Stage::Cluster);
    cluster::cluster(&mut build, stack, context)?;
    nodes::nodes(&mut build, stack, context)?;
    addons::add(&mut build, stack, context)?;
    access::access(&mut build, stack, context);
    delivery::delivery(&mut build, stack, context);
    build.stage(Stage::Application);
    image::image(&mut build, stack, context);
    application::application(&mut build, stack, context)?;
    Ok(build.graph)
}
