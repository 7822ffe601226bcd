//! The images of the controllers that the built-in manifests deploy, and their copies in ECR.

use super::addresses::load_balancer_controller;
use crate::{
    model::{Address, KubernetesMinor},
    resources::image,
    stack::{Nat, Stack},
};
use serde_json::{Value, json};

/// A controller that the built-in manifests deploy.
pub(super) struct Controller {
    name: &'static str,
    registry: &'static str,
    /// Image tags with the lowest Kubernetes minor version that each supports, newest first.
    tags: &'static [(u16, &'static str)],
}

/// The autoscaler watches the APIs of its own Kubernetes minor version: a newer release never starts to work
/// on an older cluster.
/// Sources: <https://github.com/kubernetes/autoscaler/releases>,
/// <https://github.com/kubernetes/autoscaler/issues/9244>
pub(super) const AUTOSCALER: Controller = Controller {
    name: "cluster-autoscaler",
    registry: "registry.k8s.io/autoscaling",
    tags: &[
        (35, "v1.35.2"),
        (34, "v1.34.4"),
        (33, "v1.33.5"),
        (32, "v1.32.5"),
        (31, "v1.31.2"),
        (30, "v1.30.4"),
    ],
};

/// One release supports all Kubernetes versions.
/// Source: <https://github.com/kubernetes-sigs/aws-load-balancer-controller/releases>
pub(super) const LOAD_BALANCER_CONTROLLER: Controller = Controller {
    name: "aws-load-balancer-controller",
    registry: "public.ecr.aws/eks",
    tags: &[(0, "v3.5.0")],
};

impl Controller {
    /// Returns the image tag for a Kubernetes version, such as `1.35`.
    pub(super) fn tag(&self, version: &str) -> &'static str {
        let minor = KubernetesMinor::parse(version).map_or(u16::MAX, |minor| minor.0);
        let fits = self.tags.iter().find(|(least, _)| *least <= minor);
        fits.or(self.tags.last()).map_or("", |(_, tag)| tag)
    }

    pub(super) fn reference(&self, version: &str) -> String {
        format!("{}/{}:{}", self.registry, self.name, self.tag(version))
    }

    /// Returns the name of the ECR repository that holds its copy.
    pub(super) fn repository(&self, stack: &Stack) -> String {
        format!("{}/{}", stack.name, self.name)
    }

    /// Returns the address of its copy.
    pub(super) fn copy(&self) -> Address {
        Address::new(format!("application/copy/{}", self.name))
    }

    /// Returns the image reference of its pods: the public image, or the copy in ECR if nodes cannot reach
    /// other registries.
    fn image(&self, stack: &Stack, version: &str) -> Value {
        match copied_controllers(stack).any(|controller| controller.name == self.name) {
            true => json!(image::URI.of(&self.copy())),
            false => json!(self.reference(version)),
        }
    }
}

/// Returns the manifest variables with the images of the controllers.
pub(super) fn controller_images(stack: &Stack, version: &str) -> [(&'static str, Value); 2] {
    [
        ("images.clusterAutoscaler", AUTOSCALER.image(stack, version)),
        ("images.loadBalancerController", LOAD_BALANCER_CONTROLLER.image(stack, version)),
    ]
}

/// Returns whether nodes can reach only ECR. An existing network is assumed to reach other registries.
fn reaches_only_ecr(stack: &Stack) -> bool {
    let network = stack.network.as_ref();
    network.is_some_and(|network| network.existing.is_none() && network.nat == Nat::None)
}

/// Returns the controllers whose images are copied to ECR.
pub(super) fn copied_controllers(stack: &Stack) -> impl Iterator<Item = Controller> {
    let wanted = [
        stack.controllers.cluster_autoscaler.then_some(AUTOSCALER),
        load_balancer_controller(stack).then_some(LOAD_BALANCER_CONTROLLER),
    ];
    let closed = stack.cluster.is_some() && reaches_only_ecr(stack);
    wanted.into_iter().flatten().filter(move |_| closed)
}

/// Returns the names of the repositories of the copies.
pub(super) fn copy_repositories(stack: &Stack) -> impl Iterator<Item = String> {
    copied_controllers(stack).map(|controller| controller.repository(stack))
}
