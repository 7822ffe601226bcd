//! Images in ECR: those of the applications, and copies of the controllers' images.

use super::{
    addresses::{app_image, app_repository, fargate_profiles, repository_address},
    controller_images::{Controller, copied_controllers},
    delivery_resources::repositories,
    graph_builder::GraphBuilder,
    graph_context::{AppImage, Context},
};
use crate::{
    resources::{ecr_repository, image::Spec},
    stack::{
        Stack,
        cluster::Arch,
        delivery::{App, Builder, Platform},
    },
};

fn copy(build: &mut GraphBuilder<'_>, stack: &Stack, controller: &Controller, version: &str) {
    let platforms = pod_platforms(stack);
    let archs: Vec<&str> = platforms.iter().map(|it| it.trim_start_matches("linux/")).collect();
    let repository = controller.repository(stack);
    let spec = Spec {
        registry: ecr_repository::URI.of(&repository_address(&repository)),
        immutable_tags: is_immutable(stack, &repository),
        repository,
        // An image for other platforms is another image.
        content: format!("{}-{}", controller.tag(version), archs.join("-")),
        tags: Vec::new(),
        path: controller.reference(version),
        builder: Spec::COPY.to_owned(),
        platforms: platforms.into_iter().map(str::to_owned).collect(),
        pins: Default::default(),
    };
    build.add(&controller.copy(), &spec);
}

/// Adds the images of the applications that are in repositories of the stack, and the copies.
pub(super) fn image(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) {
    for controller in copied_controllers(stack) {
        copy(build, stack, &controller, &context.version);
    }
    for app in &stack.apps {
        let AppImage::InRepository { content, tags, copied, builder: chosen, pins } = context.image(app)
        else {
            continue;
        };
        let name = app_repository(stack, app);
        let immutable = is_immutable(stack, &name);
        let spec = Spec {
            registry: ecr_repository::URI.of(&repository_address(&name)),
            repository: name,
            content,
            tags,
            immutable_tags: immutable,
            builder: match &copied {
                Some(_) => Spec::WHOLE_COPY.to_owned(),
                None => chosen.unwrap_or_else(|| builder(app).to_owned()),
            },
            path: copied.unwrap_or_else(|| app.path.clone()),
            platforms: platforms(stack, app).into_iter().map(str::to_owned).collect(),
            pins: decoded(&pins),
        };
        build.add(&app_image(app), &spec);
    }
}

fn is_immutable(stack: &Stack, repository: &str) -> bool {
    repositories(stack).iter().any(|it| it.name == repository && it.immutable_tags)
}

/// Returns the pins of an image. What is no record of them pins nothing.
fn decoded<T: serde::de::DeserializeOwned + Default>(pins: &serde_json::Value) -> T {
    serde_json::from_value(pins.clone()).unwrap_or_default()
}

/// Returns the name of an application's builder.
pub fn builder(app: &App) -> &'static str {
    match app.builder {
        Builder::Auto => "auto",
        Builder::Python => "python",
        Builder::Dockerfile => "dockerfile",
    }
}

/// Returns the platforms of an application's image: those of the file, or those that pods may be scheduled
/// on.
pub fn platforms(stack: &Stack, app: &App) -> Vec<&'static str> {
    let name = |platform: &Platform| match platform {
        Platform::Amd64 => "linux/amd64",
        Platform::Arm64 => "linux/arm64",
    };
    app.platforms
        .as_ref()
        .map_or_else(|| pod_platforms(stack), |own| normalized(own.iter().map(name).collect()))
}

/// Returns the platforms that pods may be scheduled on. EKS on Fargate supports only x86.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/fargate.html>
fn pod_platforms(stack: &Stack) -> Vec<&'static str> {
    let of_group = |arch: Arch| match arch {
        Arch::X86 => "linux/amd64",
        Arch::Arm => "linux/arm64",
    };
    let groups = stack.node_groups.iter().map(|group| of_group(group.arch));
    let fargate = !fargate_profiles(stack).is_empty();
    // The pool of Auto Mode that takes applications is x86 only.
    let auto = stack.node_pools().is_some();
    normalized(groups.chain((fargate || auto).then_some("linux/amd64")).collect())
}

/// Sorts the platforms and removes duplicates. An empty list becomes `linux/amd64`.
fn normalized(mut all: Vec<&'static str>) -> Vec<&'static str> {
    if all.is_empty() {
        all.push("linux/amd64");
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::{
        super::controller_images::{
            AUTOSCALER, LOAD_BALANCER_CONTROLLER, controller_images, copy_repositories,
        },
        *,
    };
    use serde_json::json;

    fn of(text: &str) -> Vec<&'static str> {
        let text = format!("name: shop\nregion: eu-central-1\ncluster: {{}}\n{text}");
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        platforms(&stack, &stack.apps[0])
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
        assert_eq!(copy_repositories(&open).count(), 0);
        let public = json!("public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0");
        assert_eq!(controller_images(&open, "1.35")[1].1, public);
        // The file does not enable the autoscaler.
        let closed = stack("{nat: none}");
        assert_eq!(copy_repositories(&closed).collect::<Vec<_>>(), ["shop/aws-load-balancer-controller"]);
        let [(_, autoscaler), (_, balancers)] = controller_images(&closed, "1.35");
        assert!(autoscaler.is_string() && balancers.is_object(), "{autoscaler} {balancers}");
        let owner = crate::model::Owner::default();
        for (version, tag) in
            [("1.30", "v1.30.4"), ("1.34", "v1.34.4"), ("1.35", "v1.35.2"), ("1.36", "v1.35.2")]
        {
            assert_eq!(AUTOSCALER.tag(version), tag, "{version}");
        }
        let mut build = GraphBuilder::new(&owner, &closed.tags, crate::model::Stage::Application);
        image(&mut build, &closed, &Context::default());
        let spec = &build.graph.nodes[&LOAD_BALANCER_CONTROLLER.copy()].spec;
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
