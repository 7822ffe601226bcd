//! The checks of instance types and service quotas.

use super::{
    super::{
        capacity::{self, LIST_TYPES, cpus, groups, is_standard, rooms, type_problems, types},
        facts::recorded_zones,
    },
    check::{Check, CheckState, DoctorContext},
};
use crate::{
    aws::{in_use, machines, quota},
    model::{Address, CallError, ErrorKind},
};

/// Checks that each node group's instance types have its architecture and are offered in the stack's zones.
pub async fn instance_types(context: &DoctorContext<'_>) -> Result<Check, CallError> {
    const CHECK: &str = "instance types";
    let workspace = context.workspace;
    let groups = groups(context.graph);
    let wanted = types(&groups);
    let known = machines(&workspace.target.clients, &wanted).await?;
    let zones = recorded_zones(context.snapshot);
    let problems = type_problems(&groups, &workspace.stack.region, &zones, &known);
    let all: Vec<&str> = wanted.into_iter().collect();
    let text =
        |list: Vec<(Address, String)>| list.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; ");
    Ok(match (problems.wrong.is_empty(), problems.partly.is_empty()) {
        (true, true) => {
            let place =
                if zones.is_empty() { workspace.stack.region.clone() } else { "every zone".to_owned() };
            Check::new(CHECK, CheckState::Ok, format!("{} in {place}", all.join(", ")))
        }
        (true, false) => Check::new(CHECK, CheckState::Warn, text(problems.partly))
            .then("add a type that all zones offer; nodes of these types start only in the other zones"),
        (false, _) => Check::new(CHECK, CheckState::Fail, text(problems.wrong)).then(LIST_TYPES),
    })
}

/// Checks that what `up` adds fits into the quotas.
pub async fn quotas(context: &DoctorContext<'_>) -> Vec<Check> {
    const CHECK: &str = "quotas";
    let clients = &context.workspace.target.clients;
    let asked = async {
        let used = in_use(clients).await?;
        let cpus = new_cpus(context).await?;
        Ok::<_, CallError>((used, cpus))
    };
    let (used, cpus) = match asked.await {
        Ok(answer) => answer,
        Err(error) => return vec![Check::of(CHECK, Err(error))],
    };
    let (mut checks, mut fine) = (Vec::new(), Vec::new());
    for room in rooms(used, &|kind| context.new_ones(kind), cpus).into_iter().filter(|room| room.more > 0) {
        let most = match quota(clients, room.service, room.code).await {
            Ok(most) => most,
            Err(error) => {
                let denied = error.class == ErrorKind::Denied;
                checks.push(Check::of(CHECK, Err(error)));
                if denied {
                    break;
                }
                continue;
            }
        };
        if room.fits(most) {
            fine.push(room.text(most));
        } else {
            checks.push(Check::new(CHECK, CheckState::Fail, room.text(most)).then(room.request()));
        }
    }
    if !fine.is_empty() {
        checks.push(Check::new(CHECK, CheckState::Ok, fine.join("; ")));
    }
    checks
}

/// Returns the vCPUs of new node groups, on demand and Spot.
async fn new_cpus(context: &DoctorContext<'_>) -> Result<(u32, u32), CallError> {
    let mut new = groups(context.graph);
    new.retain(|group| !context.snapshot.resources.contains_key(&group.address));
    new.retain(|group| is_standard(group.first_type()));
    let first = new.iter().map(capacity::Group::first_type).collect();
    if new.is_empty() {
        return Ok((0, 0));
    }
    let known = machines(&context.workspace.target.clients, &first).await?;
    Ok(cpus(&new, &known))
}
