//! Stands for what AWS would answer, for what a file tells without asking: its policy, its graph, its manifests.

use crate::{
    graph::{AppImage, Context, addons},
    model::Owner,
    stack::{NEWEST_TESTED, Stack, Zones, cluster::NodeGroup, delivery::App, layout::shares},
};
use std::collections::BTreeMap;

/// Returns placeholders for the images of the applications.
fn supposed_images(stack: &Stack) -> BTreeMap<String, AppImage> {
    let of = |app: &App| match (&app.image, app.copy) {
        (Some(reference), false) => AppImage::Elsewhere(reference.clone()),
        _ => AppImage::default(),
    };
    stack.apps.iter().map(|app| (app.name.clone().unwrap_or_default(), of(app))).collect()
}

/// Returns placeholders for the facts: the names of zones are supposed, versions of add-ons and releases are empty.
pub fn supposed_facts(stack: &Stack, account: &str) -> Context {
    let zones = match stack.network.as_ref().map(|network| &network.zones) {
        Some(Zones::Names(names)) => names.clone(),
        Some(Zones::Count(count)) => (b'a'..)
            .take(usize::from(*count))
            .map(|letter| format!("{}{}", stack.region, char::from(letter)))
            .collect(),
        None => Vec::new(),
    };
    let version = stack.cluster.as_ref().and_then(|cluster| cluster.version.clone());
    let version = version.unwrap_or_else(|| NEWEST_TESTED.to_owned());
    let group = |group: &NodeGroup| (group.name.clone(), String::new());
    Context {
        force_upgrade: false,
        rolls_back: false,
        auto_mode: stack.node_pools().is_some(),
        owner: Owner { stack: stack.name.clone(), lineage: String::new() },
        account: account.to_owned(),
        shares: shares(&zones, &BTreeMap::new()),
        cluster_zones: Vec::new(),
        zones,
        version,
        caller: stack.cluster.is_some().then(|| format!("arn:aws:iam::{account}:role/caller")),
        my_ip: Some("192.0.2.1/32".to_owned()),
        addons: addons(stack).into_keys().map(|name| (name, String::new())).collect(),
        releases: stack.node_groups.iter().map(group).collect(),
        state_folder: String::new(),
        images: supposed_images(stack),
        endpoint_zones: BTreeMap::new(),
        secrets: BTreeMap::new(),
        objects: Vec::new(),
        unused: Vec::new(),
        skipped: Vec::new(),
    }
}
