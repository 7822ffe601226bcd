//! Turns a [`Stack`] into a [`Graph`] of the desired resources. Pure.

mod access;
mod addons;
mod addresses;
mod app_image;
mod app_part;
mod application;
mod backend_graph;
mod control_plane;
mod controller_images;
mod controllers;
mod delivery_resources;
mod graph_builder;
mod graph_context;
mod iam_policies;
mod key;
mod manifest_variables;
mod moved_apps;
mod nat;
mod network;
mod nodes;
mod roles;
mod scoped_policy;

pub use access::{caller_has_entry, principal_slug};
pub use addons::{AddonSettings, addons};
pub use addresses::{APP_IMAGE, SECRET_ENVIRONMENT, cluster_name, fargate_profiles};
pub use app_image::{builder, platforms};
pub use app_part::{SHARED_PART, is_application_part, is_of_application, part};
pub use application::{deploys, entrance, renders};
pub use backend_graph::{BACKEND, Backend, backend, backend_bucket, backend_key};
pub use control_plane::cluster_zones;
pub use graph_context::{AppImage, Context};
pub use iam_policies::{
    autoscaling_role, key_admin, key_for_disks, key_for_logs, log_group_arn, logs_service,
};
pub use manifest_variables::{faces_internet, unused_fields, variables};
pub use moved_apps::moved_addresses;
pub use network::{
    endpoint_address, interface_endpoints, missing_endpoints, needed_endpoints, private_subnet_address,
    role_tag, subnet_tags_address,
};
pub use scoped_policy::{MAX_POLICY_LENGTH, PolicyTarget, documents, policy_length};

use crate::{
    model::{CallError, Graph, Stage},
    stack::Stack,
};
use graph_builder::GraphBuilder;

/// Returns all resources of a stack, without its backend.
///
/// # Errors
/// A bug: subnets that do not fit, or a missing fact. Validation and fact finding rule out both.
pub fn graph(stack: &Stack, context: &Context) -> Result<Graph, CallError> {
    let mut build = GraphBuilder::new(&context.owner, &stack.tags, Stage::Network);
    key::key(&mut build, stack, context);
    network::network(&mut build, stack, context)?;
    build.stage(Stage::Cluster);
    control_plane::cluster(&mut build, stack, context)?;
    nodes::nodes(&mut build, stack, context)?;
    addons::add(&mut build, stack, context)?;
    access::access(&mut build, stack, context);
    delivery_resources::delivery(&mut build, stack, context);
    build.stage(Stage::Application);
    app_image::image(&mut build, stack, context);
    application::application(&mut build, stack, context)?;
    Ok(build.graph)
}
