//! The application's image.

use super::{
    Context,
    build::Build,
    delivery::{address, application, repositories},
};
use crate::{
    model::{Address, In},
    resources::image::Spec,
    stack::{
        Stack,
        cluster::Arch,
        delivery::{App, Builder, Platform},
    },
};

/// The image's address; its `uri` is what pods name.
pub fn app_image() -> Address {
    Address::from("application/image")
}

pub(super) fn image(build: &mut Build<'_>, stack: &Stack, context: &Context) {
    let Some(app) = &stack.app else { return };
    let name = application(stack, app);
    let immutable = repositories(stack).iter().any(|it| it.name == name && it.immutable_tags);
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

/// Who builds.
pub fn builder(app: &App) -> &'static str {
    match app.builder {
        Builder::Python => "python",
        Builder::Dockerfile => "dockerfile",
    }
}

/// The platforms that the image is for: the file's, else those that pods may land on. Fargate has Intel and AMD alone.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/fargate.html>
pub fn platforms(stack: &Stack, app: &App) -> Vec<&'static str> {
    let name = |platform: &Platform| match platform {
        Platform::Amd64 => "linux/amd64",
        Platform::Arm64 => "linux/arm64",
    };
    let of_group = |arch: Arch| match arch {
        Arch::X86 => "linux/amd64",
        Arch::Arm => "linux/arm64",
    };
    let mut all: Vec<&str> = if let Some(platforms) = &app.platforms {
        platforms.iter().map(name).collect()
    } else {
        let groups = stack.node_groups.iter().map(|group| of_group(group.arch));
        let fargate = !super::fargate_profiles(stack).is_empty();
        groups.chain(fargate.then_some("linux/amd64")).collect()
    };
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
