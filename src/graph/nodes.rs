//! Where pods run: managed node groups with what each is made of, and Fargate profiles.

use super::{
    Context, addons,
    build::{Build, arn, id},
    cluster::{cluster_name, eks, fargate_profiles, role, role_name},
    key::key_arn,
    network, policy,
};
use crate::{
    model::{Address, Fault, In},
    resources::{fargate_profile, iam_role, key_pair, launch_template, node_group},
    stack::{
        Share, Stack,
        cluster::{Arch, Capacity, Effect, NodeGroup},
    },
};

/// A node group.
pub(super) fn group_address(name: &str) -> Address {
    Address::new(format!("cluster/node-group/{name}"))
}

/// A Fargate profile.
pub(super) fn profile_address(name: &str) -> Address {
    Address::new(format!("cluster/fargate-profile/{name}"))
}

/// Node groups and Fargate profiles.
pub(super) fn nodes(build: &mut Build<'_>, stack: &Stack, context: &Context) -> Result<(), Fault> {
    if stack.cluster.is_none() {
        return Ok(());
    }
    // Nodes and pods pull images when they start: there must be a way out by then.
    let ways_out = network::ways_out(stack, context);
    if !stack.node_groups.is_empty() {
        node_role(build, stack);
    }
    for group in &stack.node_groups {
        let key_pair = key_pair(build, stack, context, group);
        let template = template(build, stack, group, key_pair);
        node_group(build, stack, context, group, &template, &ways_out)?;
    }
    let profiles = fargate_profiles(stack);
    if profiles.is_empty() {
        return Ok(());
    }
    let execution = Address::from("cluster/fargate-role");
    role(
        build,
        &execution,
        iam_role::Spec {
            name: role_name(stack, "fargate"),
            description: format!("Pods on Fargate in cluster {}: images and logs", stack.name),
            trust: policy::fargate_trust(&context.account, &stack.region, &stack.name),
            managed: vec![policy::managed(&stack.region, "AmazonEKSFargatePodExecutionRolePolicy")],
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
            role: arn(&execution),
            subnets: network::private_subnets(stack, context),
            selectors,
            tags: build.tags(&address),
        };
        let eks = eks();
        let after: Vec<&Address> = ways_out.iter().chain([&eks]).collect();
        build.add_after(&address, &spec, &after);
    }
    Ok(())
}

/// The role of all nodes. It holds no CNI policy: the CNI has a role of its own.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html>
fn node_role(build: &mut Build<'_>, stack: &Stack) {
    // Bottlerocket's control container is reached through Systems Manager.
    let policies =
        ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly", "AmazonSSMManagedInstanceCore"];
    role(
        build,
        &Address::from("cluster/node-role"),
        iam_role::Spec {
            name: role_name(stack, "nodes"),
            description: format!("Nodes of cluster {}", stack.name),
            trust: policy::node_trust(&stack.region),
            managed: policies.iter().map(|name| policy::managed(&stack.region, name)).collect(),
            ..iam_role::Spec::default()
        },
    );
}

fn key_pair(
    build: &mut Build<'_>,
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
    Some(In::of(&address, "name"))
}

fn template(
    build: &mut Build<'_>,
    stack: &Stack,
    group: &NodeGroup,
    key_pair: Option<In<String>>,
) -> Address {
    let address = Address::new(format!("cluster/launch-template/{}", group.name));
    // With a key, somebody wants to log in: that takes Bottlerocket's admin container.
    let admin = key_pair.is_some().then_some("[settings.host-containers.admin]\nenabled = true\n");
    let settings: Vec<&str> = admin.into_iter().chain(group.bottlerocket.as_deref()).collect();
    let tags = build.tags(&address);
    let instance_tags = build.tags(&group_address(&group.name));
    let spec = launch_template::Spec {
        name: format!("{}-{}", stack.name, group.name),
        user_data: (!settings.is_empty()).then(|| settings.join("\n")),
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
    build: &mut Build<'_>,
    stack: &Stack,
    context: &Context,
    group: &NodeGroup,
    template: &Address,
    ways_out: &[Address],
) -> Result<(), Fault> {
    let address = group_address(&group.name);
    let release = context.releases.get(&group.name).cloned();
    let release =
        release.ok_or_else(|| Fault::bug(format!("no Bottlerocket release was found for {address}")))?;
    let (ami_type, default_type) = match group.arch {
        Arch::X86 => ("BOTTLEROCKET_x86_64", "t3.large"),
        Arch::Arm => ("BOTTLEROCKET_ARM_64", "t4g.large"),
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
        role: arn(&Address::from("cluster/node-role")),
        subnets: network::private_subnets(stack, context),
        ami_type: ami_type.to_owned(),
        instance_types: group.instance_types.clone().unwrap_or_else(|| vec![default_type.to_owned()]),
        capacity: match group.capacity {
            Capacity::OnDemand => "ON_DEMAND",
            Capacity::Spot => "SPOT",
        }
        .to_owned(),
        min: group.min.into(),
        max: group.max.into(),
        desired: group.desired.unwrap_or(group.min).into(),
        desired_floats: stack.controllers.cluster_autoscaler,
        labels: group.labels.clone(),
        taints: taints.collect(),
        max_unavailable: match &group.max_unavailable {
            Share::Count(count) => node_group::AwaySpec::Count((*count).into()),
            Share::Percent(text) => {
                node_group::AwaySpec::Percent(text.trim_end_matches('%').parse().unwrap_or(1))
            }
        },
        template: id(template),
        template_version: In::of(template, "version"),
        version: context.version.clone(),
        release,
        tags: build.tags(&address),
    };
    let before: Vec<Address> = addons::before_nodes(stack);
    let eks = eks();
    let after: Vec<&Address> = before.iter().chain(ways_out).chain([&eks]).collect();
    build.add_after(&address, &spec, &after);
    for (name, _) in addons::addons(stack) {
        build.follow(&address, &addons::address(&name));
    }
    Ok(())
}
