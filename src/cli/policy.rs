//! `policy`: the least that the stack needs to be allowed.

use super::{
    args::{Global, Policy as Args},
    exit::{Exit, Failure},
    session::{kind, read_stack},
};
use crate::{
    aws::{self, Endpoint},
    graph::{Backend, Context, Holder, LONGEST_POLICY, backend, characters, documents, graph},
    model::{Class, Fault, Graph, Kind, Owner},
    resources::REGISTRY,
    stack::{NEWEST_TESTED, Stack, Zones},
    ui::Ui,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Prints it, or writes files that IAM takes.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    let stack = read_stack(global)?;
    let account = account(global, &stack, ui).await;
    let statements = statements(&stack, &account, args.bootstrap)?;
    let whole = json!({"Version": "2012-10-17", "Statement": statements});
    let length = characters(&whole);
    let Some(folder) = &args.out else {
        ui.data(&serde_json::to_string_pretty(&whole).unwrap_or_else(|_| whole.to_string()));
        if length > LONGEST_POLICY {
            ui.warn(&format!(
                "this policy has {length} characters, and IAM takes {LONGEST_POLICY} in one: `provisioner policy --out DIR` \
                 writes several that fit"
            ));
        }
        return Ok(Exit::Done);
    };
    let name = if args.bootstrap { "bootstrap" } else { &stack.name };
    for (index, document) in documents(statements, LONGEST_POLICY).iter().enumerate() {
        let path = folder.join(format!("{name}-{}.json", index.saturating_add(1)));
        write(folder, &path, document)?;
        match ui.json {
            true => ui.line(json!({"type": "file", "path": path})),
            false => ui.data(&path.display().to_string()),
        }
    }
    Ok(Exit::Done)
}

fn write(folder: &Path, path: &Path, document: &Value) -> Result<(), Fault> {
    let text = serde_json::to_string_pretty(document).unwrap_or_else(|_| document.to_string());
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, format!("{text}\n")));
    written.map_err(|error| Fault::new(Class::Other, format!("{}: {error}", path.display())))
}

/// The account: the file's, else the caller's; `*` where nobody can say.
async fn account(global: &Global, stack: &Stack, ui: Ui) -> String {
    if let Some(account) = &stack.account {
        return account.clone();
    }
    // Whoever writes a policy may have no credentials yet, and nothing here is worth starting a sandbox for.
    let endpoint = match super::target::sandbox_of(global).running().filter(|_| global.sandbox) {
        Some(running) => Endpoint::Sandbox(running.endpoint),
        None => Endpoint::Configured,
    };
    if let Ok(identity) = aws::connect(&endpoint, &stack.region).await.identity().await {
        return identity.account;
    }
    ui.warn("no credentials: the policy says `*` for the account's number; `account` in the file says it");
    "*".to_owned()
}

/// The statements of the stack's policy, or those for whoever makes the backend.
pub fn statements(stack: &Stack, account: &str, bootstrap: bool) -> Result<Vec<Value>, Failure> {
    let section = &stack.state;
    let place = Backend::new(
        account,
        &stack.region,
        section.bucket.as_ref(),
        section.table.as_ref(),
        section.key_arn.as_ref(),
    );
    let desired = graph(stack, &supposed(stack, account))?;
    let holder = Holder { stack, backend: &place, graph: &desired };
    let behind = kinds(&backend(&place, false));
    if bootstrap {
        let actions = behind.iter().flat_map(|kind| kind.iam.iter().copied());
        return Ok(holder.bootstrap(&actions.chain(aws::STATE_KEY.iter().copied()).collect()));
    }
    let mut actions: BTreeSet<&str> = aws::EVERY_RUN.iter().copied().collect();
    actions.extend(kinds(&desired).iter().flat_map(|kind| kind.iam));
    // Each run compares the backend with what it should be.
    actions.extend(behind.iter().flat_map(|kind| kind.iam).filter(|action| reads(action)));
    // `down` looks for whatever carries the stack's tags, of any kind; such lists EC2 alone has.
    let every = REGISTRY.iter().flat_map(|handler| handler.kind.iam);
    actions.extend(every.filter(|action| action.starts_with("ec2:Describe")));
    if stack.network.as_ref().is_some_and(|network| network.existing.is_none()) {
        actions.extend(aws::NETWORK);
    }
    if stack.cluster.is_some() {
        actions.extend(aws::CLUSTER);
    }
    Ok(holder.statements(&actions, aws::STATE_KEY))
}

fn kinds(graph: &Graph) -> Vec<Kind> {
    let names: BTreeSet<&str> = graph.nodes.values().map(|node| node.kind.as_str()).collect();
    names.into_iter().filter_map(kind).collect()
}

fn reads(action: &str) -> bool {
    let verb = action.split_once(':').map_or("", |(_, verb)| verb);
    ["Get", "Describe", "List"].iter().any(|start| verb.starts_with(start))
}

/// Facts of which only the names matter here: nothing is asked of AWS.
fn supposed(stack: &Stack, account: &str) -> Context {
    let zones = match stack.network.as_ref().map(|network| &network.zones) {
        Some(Zones::Names(names)) => names.clone(),
        Some(Zones::Count(count)) => (b'a'..)
            .take(usize::from(*count))
            .map(|letter| format!("{}{}", stack.region, char::from(letter)))
            .collect(),
        None => Vec::new(),
    };
    let group = |group: &crate::stack::cluster::NodeGroup| (group.name.clone(), String::new());
    Context {
        owner: Owner { stack: stack.name.clone(), lineage: String::new() },
        account: account.to_owned(),
        shares: crate::stack::layout::shares(&zones, &BTreeMap::new()),
        zones,
        version: NEWEST_TESTED.to_owned(),
        caller: stack.cluster.is_some().then(|| format!("arn:aws:iam::{account}:role/caller")),
        my_ip: Some("192.0.2.1/32".to_owned()),
        addons: crate::graph::addons(stack).into_keys().map(|name| (name, String::new())).collect(),
        releases: stack.node_groups.iter().map(group).collect(),
        state_folder: String::new(),
        image: crate::graph::Image::default(),
        objects: Vec::new(),
    }
}
