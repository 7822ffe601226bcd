//! Managed node groups, with their role, key pairs and launch templates, and Fargate profiles.

use super::{
    addons,
    addresses::{
        addon_address, cluster_name, eks, fargate_profiles, group_address, key_arn, profile_address,
        role_name,
    },
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies, network,
    roles::role,
};
use crate::{
    model::{Address, CallError, In},
    resources::{fargate_profile, iam_role, key_pair, launch_template, node_group},
    stack::{
        Share, Stack,
        cluster::{Arch, Capacity, Effect, NodeGroup, UpdateStrategy},
        max_pods,
    },
};

/// Adds the node groups and Fargate profiles.
///
/// # Errors
/// A bug: a node group without a Bottlerocket release in the context.
pub(super) fn nodes(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) -> Result<(), CallError> {
    if stack.cluster.is_none() {
        return Ok(());
    }
    // Nodes and pods pull images when they start, so the routes and endpoints must exist by then.
    let egress = network::egress(stack, context);
    if !stack.node_groups.is_empty() {
        node_role(build, stack);
    }
    for group in &stack.node_groups {
        let key_pair = key_pair(build, stack, context, group);
        let template = template(build, stack, group, key_pair);
        node_group(build, stack, context, group, &template, &egress)?;
    }
    let profiles = fargate_profiles(stack);
    if profiles.is_empty() {
        return Ok(());
    }
    let execution = Address::from("cluster/fargate-role");
    role(
        build,
        stack,
        &execution,
        iam_role::Spec {
            name: role_name(stack, "fargate"),
            description: format!("Pods on Fargate in cluster {}: images and logs", stack.name),
            trust: iam_policies::fargate_trust(&context.account, &stack.region, &stack.name),
            managed: vec![iam_policies::managed(&stack.region, "AmazonEKSFargatePodExecutionRolePolicy")],
            ..iam_role::Spec::default()
        },
    );
    for (name, selectors) in profiles {
        let address = profile_address(&name);
        let selectors = selectors
            .into_iter()
            .map(|it| fargate_profile::SelectorSpec { namespace: it.namespace, labels: it.labels })
            .collect();
        let spec = fargate_profile::Spec {
            cluster: cluster_name(stack),
            name,
            role: iam_role::ARN.of(&execution),
            subnets: network::private_subnets(stack, context),
            selectors,
            tags: build.tags(&address),
        };
        let eks = eks();
        let after: Vec<&Address> = egress.iter().chain([&eks]).collect();
        build.add_after(&address, &spec, &after);
    }
    Ok(())
}

/// Adds the role of all nodes. It has no CNI policy, because the VPC CNI add-on has a separate role.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html>
fn node_role(build: &mut GraphBuilder<'_>, stack: &Stack) {
    // Systems Manager gives access to Bottlerocket's control container.
    let policies =
        ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly", "AmazonSSMManagedInstanceCore"];
    role(
        build,
        stack,
        &Address::from("cluster/node-role"),
        iam_role::Spec {
            name: role_name(stack, "nodes"),
            description: format!("Nodes of cluster {}", stack.name),
            trust: iam_policies::node_trust(&stack.region),
            managed: policies.iter().map(|name| iam_policies::managed(&stack.region, name)).collect(),
            ..iam_role::Spec::default()
        },
    );
}

/// Adds the key pair of a node group if it is imported or created, and returns its name.
fn key_pair(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    context: &Context,
    group: &NodeGroup,
) -> Option<In<String>> {
    let ssh = group.ssh.as_ref()?;
    if let Some(name) = &ssh.key_name {
        return Some(In::Known(name.clone()));
    }
    let address = Address::new(format!("cluster/key-pair/{}", group.name));
    let name = format!("{}-{}", stack.name, group.name);
    let tags = build.tags(&address);
    let spec = if let Some(key) = &ssh.public_key {
        key_pair::Spec::public(&name, key, tags)
    } else {
        let file = format!("{}/{name}.pem", context.state_folder);
        key_pair::Spec { name, material: key_pair::MaterialSpec::Private(file), tags }
    };
    build.add(&address, &spec);
    Some(key_pair::NAME.of(&address))
}

/// Adds the launch template of a node group and returns its address.
fn template(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    group: &NodeGroup,
    key_pair: Option<In<String>>,
) -> Address {
    let address = Address::new(format!("cluster/launch-template/{}", group.name));
    // An SSH key is only of use with Bottlerocket's admin container, which runs the SSH server.
    let admin = key_pair.is_some().then_some("[settings.host-containers.admin]\nenabled = true\n");
    let pods = group
        .prefix_delegation
        .then(|| format!("[settings.kubernetes]\nmax-pods = {}\n", max_pods(&group.types())));
    let own: Vec<&str> = admin.into_iter().chain(pods.as_deref()).collect();
    let tags = build.tags(&address);
    let instance_tags = build.tags(&group_address(&group.name));
    let spec = launch_template::Spec {
        name: format!("{}-{}", stack.name, group.name),
        user_data: launch_template::Spec::user_data(&own.concat(), group.bottlerocket.as_deref()),
        disk_gib: group.disk_gib,
        key: key_arn(stack),
        key_pair,
        instance_tags,
        tags,
    };
    build.add(&address, &spec);
    address
}

fn node_group(
    build: &mut GraphBuilder<'_>,
    stack: &Stack,
    context: &Context,
    group: &NodeGroup,
    template: &Address,
    egress: &[Address],
) -> Result<(), CallError> {
    let address = group_address(&group.name);
    let release = context.releases.get(&group.name).cloned();
    let release = release.ok_or_else(|| CallError::bug(format!("{address} has no Bottlerocket release")))?;
    let ami_type = match group.arch {
        Arch::X86 => "BOTTLEROCKET_x86_64",
        Arch::Arm => "BOTTLEROCKET_ARM_64",
    };
    let effect = |effect: Effect| match effect {
        Effect::NoSchedule => "NO_SCHEDULE",
        Effect::PreferNoSchedule => "PREFER_NO_SCHEDULE",
        Effect::NoExecute => "NO_EXECUTE",
    };
    let taints = group.taints.iter().map(|taint| node_group::TaintSpec {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: effect(taint.effect).to_owned(),
    });
    let spec = node_group::Spec {
        cluster: cluster_name(stack),
        name: group.name.clone(),
        role: iam_role::ARN.of(&Address::from("cluster/node-role")),
        subnets: network::private_subnets(stack, context),
        ami_type: ami_type.to_owned(),
        instance_types: group.types(),
        capacity: match group.capacity {
            Capacity::OnDemand => "ON_DEMAND",
            Capacity::Spot => "SPOT",
        }
        .to_owned(),
        min: group.min.into(),
        max: group.max.into(),
        desired: group.desired.unwrap_or(group.min).into(),
        desired_floats: stack.controllers.cluster_autoscaler,
        desired_unnamed: group.desired.is_none(),
        force_update: group.force_update,
        labels: group.labels.clone(),
        taints: taints.collect(),
        max_unavailable: match &group.max_unavailable {
            Share::Count(count) => node_group::AwaySpec::Count((*count).into()),
            Share::Percent(text) => {
                node_group::AwaySpec::Percent(text.trim_end_matches('%').parse().unwrap_or(1))
            }
        },
        update_strategy: match group.update_strategy {
            UpdateStrategy::Default => "DEFAULT",
            UpdateStrategy::Minimal => "MINIMAL",
        }
        .to_owned(),
        repair: group.repair,
        template: launch_template::ID.of(template),
        template_version: launch_template::VERSION.of(template),
        version: context.version.clone(),
        release,
        rolls_back: context.rolls_back,
        tags: build.tags(&address),
    };
    let before: Vec<Address> = addons::before_nodes(stack);
    let eks = eks();
    let after: Vec<&Address> = before.iter().chain(egress).chain([&eks]).collect();
    build.add_after(&address, &spec, &after);
    for (name, _) in addons::addons(stack) {
        build.follow(&address, &addon_address(&name));
    }
    if context.rolls_back {
        build.follow(&eks, &address);
    }
    Ok(())
}
