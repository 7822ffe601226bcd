//! Images in ECR: the application's, and copies of the controllers'.

use super::{
    Context,
    build::Build,
    delivery::{address, application, load_balancer_controller, repositories},
};
use crate::{
    model::{Address, In},
    resources::image::Spec,
    stack::{
        Nat, Stack,
        cluster::Arch,
        delivery::{App, Builder, Platform},
    },
};
use serde_json::{Value, json};

/// The image's address; its `uri` is what pods name.
pub fn app_image() -> Address {
    Address::from("application/image")
}

/// A controller that the manifests beside this program run.
struct Controller {
    name: &'static str,
    registry: &'static str,
    /// The release for each minor of Kubernetes and those after it, the newest first.
    tags: &'static [(u16, &'static str)],
}

/// It watches what its own minor serves: a newer one never starts to work on an older cluster.
/// Sources: <https://github.com/kubernetes/autoscaler/releases>,
/// <https://github.com/kubernetes/autoscaler/issues/9244>
const AUTOSCALER: Controller = Controller {
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
/// One release for all versions.
/// Source: <https://github.com/kubernetes-sigs/aws-load-balancer-controller/releases>
const LOAD_BALANCERS: Controller = Controller {
    name: "aws-load-balancer-controller",
    registry: "public.ecr.aws/eks",
    tags: &[(0, "v3.5.0")],
};

impl Controller {
    /// The tag for a version of Kubernetes, such as `1.35`.
    fn tag(&self, version: &str) -> &'static str {
        let minor = version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap_or(u16::MAX);
        let fits = self.tags.iter().find(|(least, _)| *least <= minor);
        fits.or(self.tags.last()).map_or("", |(_, tag)| tag)
    }

    fn reference(&self, version: &str) -> String {
        format!("{}/{}:{}", self.registry, self.name, self.tag(version))
    }

    /// The repository of its copy.
    fn repository(&self, stack: &Stack) -> String {
        format!("{}/{}", stack.name, self.name)
    }

    /// The address of its copy.
    fn copy(&self) -> Address {
        Address::new(format!("application/copy/{}", self.name))
    }

    /// What pods name: its registry's image, or the copy in ECR where nodes reach nothing else.
    fn image(&self, stack: &Stack, version: &str) -> Value {
        match copied(stack).any(|controller| controller.name == self.name) {
            true => json!(In::<String>::of(&self.copy(), "uri")),
            false => json!(self.reference(version)),
        }
    }
}

/// The variables for the controllers' images.
pub(super) fn controller_images(stack: &Stack, version: &str) -> [(&'static str, Value); 2] {
    [
        ("images.clusterAutoscaler", AUTOSCALER.image(stack, version)),
        ("images.loadBalancerController", LOAD_BALANCERS.image(stack, version)),
    ]
}

/// Whether nodes have no way to other registries than ECR. Of a network that is there already nobody knows.
fn is_closed(stack: &Stack) -> bool {
    let network = stack.network.as_ref();
    network.is_some_and(|network| network.existing.is_none() && network.nat == Nat::None)
}

/// The controllers of the file whose images are copied to ECR.
fn copied(stack: &Stack) -> impl Iterator<Item = Controller> {
    let wanted = [
        stack.controllers.cluster_autoscaler.then_some(AUTOSCALER),
        load_balancer_controller(stack).then_some(LOAD_BALANCERS),
    ];
    let closed = stack.cluster.is_some() && is_closed(stack);
    wanted.into_iter().flatten().filter(move |_| closed)
}

/// The repositories of the copies.
pub(super) fn copies(stack: &Stack) -> impl Iterator<Item = String> {
    copied(stack).map(|controller| controller.repository(stack))
}

fn copy(build: &mut Build<'_>, stack: &Stack, controller: &Controller, version: &str) {
    let platforms = pod_platforms(stack);
    let archs: Vec<&str> = platforms.iter().map(|it| it.trim_start_matches("linux/")).collect();
    let repository = controller.repository(stack);
    let spec = Spec {
        registry: In::of(&address(&repository), "uri"),
        immutable_tags: is_immutable(stack, &repository),
        repository,
        // Another platform is another image.
        content: format!("{}-{}", controller.tag(version), archs.join("-")),
        tags: Vec::new(),
        path: controller.reference(version),
        builder: Spec::COPY.to_owned(),
        platforms: platforms.into_iter().map(str::to_owned).collect(),
    };
    build.add(&controller.copy(), &spec);
}

/// The images.
pub(super) fn image(build: &mut Build<'_>, stack: &Stack, context: &Context) {
    for controller in copied(stack) {
        copy(build, stack, &controller, &context.version);
    }
    let Some(app) = &stack.app else { return };
    let name = application(stack, app);
    let immutable = is_immutable(stack, &name);
    let spec = Spec {
        registry: In::of(&address(&name), "uri"),
        repository: name,
        content: context.image.content.clone(),
        tags: context.image.tags.clone(),
        immutable_tags: immutable,
        path: app.path.clone(),
        builder: builder(app).to_owned(),
        platforms: platforms(stack, app).into_iter().map(str::to_owned).collect(),
    };
    build.add(&app_image(), &spec);
}

fn is_immutable(stack: &Stack, repository: &str) -> bool {
    repositories(stack).iter().any(|it| it.name == repository && it.immutable_tags)
}

/// Who builds.
pub fn builder(app: &App) -> &'static str {
    match app.builder {
        Builder::Python => "python",
        Builder::Dockerfile => "dockerfile",
    }
}

/// The platforms that the application's image is for: the file's, else those that pods may land on.
pub fn platforms(stack: &Stack, app: &App) -> Vec<&'static str> {
    let name = |platform: &Platform| match platform {
        Platform::Amd64 => "linux/amd64",
        Platform::Arm64 => "linux/arm64",
    };
    app.platforms.as_ref().map_or_else(|| pod_platforms(stack), |own| known(own.iter().map(name).collect()))
}

/// The platforms that pods may land on. Fargate has Intel and AMD alone.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/fargate.html>
fn pod_platforms(stack: &Stack) -> Vec<&'static str> {
    let of_group = |arch: Arch| match arch {
        Arch::X86 => "linux/amd64",
        Arch::Arm => "linux/arm64",
    };
    let groups = stack.node_groups.iter().map(|group| of_group(group.arch));
    let fargate = !super::fargate_profiles(stack).is_empty();
    known(groups.chain(fargate.then_some("linux/amd64")).collect())
}

/// Each once, sorted; without any, where pods usually land.
fn known(mut all: Vec<&'static str>) -> Vec<&'static str> {
    if all.is_empty() {
        all.push("linux/amd64");
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&'static str> {
        let text = format!("name: shop\nregion: eu-central-1\ncluster: {{}}\n{text}");
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        platforms(&stack, stack.app.as_ref().unwrap())
    }

    #[test]
    fn nodes_that_reach_no_other_registry_take_controllers_from_ecr() {
        let stack = |network: &str| {
            let text = format!(
                "name: shop\nregion: eu-central-1\nnetwork: {network}\ncluster: {{}}\napp: {{}}\nnodeGroups: [{{name: a, arch: arm64}}]\n"
            );
            crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap()
        };
        let open = stack("{}");
        assert_eq!(copies(&open).count(), 0);
        let public = json!("public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0");
        assert_eq!(controller_images(&open, "1.35")[1].1, public);
        // The autoscaler is not asked for.
        let closed = stack("{nat: none}");
        assert_eq!(copies(&closed).collect::<Vec<_>>(), ["shop/aws-load-balancer-controller"]);
        let [(_, autoscaler), (_, balancers)] = controller_images(&closed, "1.35");
        assert!(autoscaler.is_string() && balancers.is_object(), "{autoscaler} {balancers}");
        let owner = crate::model::Owner::default();
        for (version, tag) in
            [("1.30", "v1.30.4"), ("1.34", "v1.34.4"), ("1.35", "v1.35.2"), ("1.36", "v1.35.2")]
        {
            assert_eq!(AUTOSCALER.tag(version), tag, "{version}");
        }
        let mut build = Build::new(&owner, &closed.tags, crate::model::Stage::Application);
        image(&mut build, &closed, &Context::default());
        let spec = &build.graph.nodes[&LOAD_BALANCERS.copy()].spec;
        assert_eq!(spec["content"], "v3.5.0-arm64");
        assert_eq!((&spec["path"], &spec["platforms"]), (&public, &json!(["linux/arm64"])));
    }

    #[test]
    fn platforms_are_those_that_pods_may_land_on() {
        assert_eq!(of("app: {}\n"), ["linux/amd64"]);
        assert_eq!(of("app: {platforms: [linux/arm64, linux/arm64]}\n"), ["linux/arm64"]);
        assert_eq!(of("app: {}\nnodeGroups: [{name: a, arch: arm64}]\n"), ["linux/arm64"]);
        let both = "app: {}\nnodeGroups: [{name: a, arch: arm64}, {name: b}]\n";
        assert_eq!(of(both), ["linux/amd64", "linux/arm64"]);
        let fargate = "app: {}\nnodeGroups: [{name: a, arch: arm64}]\nfargateProfiles: [{name: x, selectors: [{namespace: x}]}]\n";
        assert_eq!(of(fargate), ["linux/amd64", "linux/arm64"]);
    }
}
