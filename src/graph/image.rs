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

/// The controllers' images, each of a release that the manifests beside this program were written for: the name of the
/// controller, its registry, and its tag.
/// Sources: <https://github.com/kubernetes/autoscaler/releases>,
/// <https://github.com/kubernetes-sigs/aws-load-balancer-controller/releases>
pub(super) const CONTROLLERS: [(&str, &str, &str); 2] = [
    (AUTOSCALER, "registry.k8s.io/autoscaling", "v1.35.2"),
    (LOAD_BALANCERS, "public.ecr.aws/eks", "v3.5.0"),
];
pub(super) const AUTOSCALER: &str = "cluster-autoscaler";
pub(super) const LOAD_BALANCERS: &str = "aws-load-balancer-controller";

/// The controllers that the file asks for.
fn controllers(stack: &Stack) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let wanted = |name: &str| match name {
        AUTOSCALER => stack.controllers.cluster_autoscaler,
        _ => load_balancer_controller(stack),
    };
    let any = stack.cluster.is_some();
    CONTROLLERS.into_iter().filter(move |(name, ..)| any && wanted(name))
}

/// What pods name for a controller's image: its registry's, or the copy in ECR where nodes reach nothing else.
pub(super) fn controller_image(stack: &Stack, wanted: &str) -> Value {
    let found = CONTROLLERS.into_iter().find(|(name, ..)| *name == wanted);
    let Some((name, registry, tag)) = found else { return Value::Null };
    match copied(stack).any(|(copied, ..)| copied == name) {
        true => json!(In::<String>::of(&copy_address(name), "uri")),
        false => json!(format!("{registry}/{name}:{tag}")),
    }
}

/// The controllers whose images are copied to ECR: all, where the nodes have no way to other registries.
fn copied(stack: &Stack) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let closed =
        stack.network.as_ref().is_some_and(|network| network.existing.is_none() && network.nat == Nat::None);
    controllers(stack).filter(move |_| closed)
}

/// The repositories of the copies.
pub(super) fn copies(stack: &Stack) -> impl Iterator<Item = String> {
    copied(stack).map(|(name, ..)| copy_repository(stack, name))
}

fn copy_repository(stack: &Stack, name: &str) -> String {
    format!("{}/{name}", stack.name)
}

fn copy_address(name: &str) -> Address {
    Address::new(format!("application/copy/{name}"))
}

pub(super) fn image(build: &mut Build<'_>, stack: &Stack, context: &Context) {
    for (name, registry, tag) in copied(stack) {
        let platforms = pod_platforms(stack);
        let archs: Vec<&str> = platforms.iter().map(|it| it.trim_start_matches("linux/")).collect();
        let repository = copy_repository(stack, name);
        let spec = Spec {
            registry: In::of(&address(&repository), "uri"),
            immutable_tags: is_immutable(stack, &repository),
            repository,
            // Another platform is another image.
            content: format!("{tag}-{}", archs.join("-")),
            tags: Vec::new(),
            path: format!("{registry}/{name}:{tag}"),
            builder: Spec::COPY.to_owned(),
            platforms: platforms.into_iter().map(str::to_owned).collect(),
        };
        build.add(&copy_address(name), &spec);
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
