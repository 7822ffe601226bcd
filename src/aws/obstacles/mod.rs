//! What is not the stack's and blocks the deletion of what is: looked for before anything is deleted, since AWS reports it
//! only when the rest is gone, and mostly without its name.

mod balancers;
mod blocked;
mod cluster_workers;
mod groups;
mod holdings;
mod interfaces;
mod obstacle;
mod parts;
mod profiles;

pub use blocked::blockers;
pub use holdings::{Holdings, is_of_pods, names_of};
pub use obstacle::Obstacle;

use super::Clients;
use crate::model::CallError;

/// What was found, and what could not be looked for.
#[derive(Debug, Default)]
pub struct Obstacles {
    /// The obstacles, sorted.
    pub found: Vec<Obstacle>,
    /// The queries that AWS did not answer: what they look for, and why.
    pub unanswered: Vec<(&'static str, CallError)>,
}

impl Obstacles {
    fn add(&mut self, what: &'static str, answer: Result<Vec<Obstacle>, CallError>) {
        match answer {
            Ok(found) => self.found.extend(found),
            Err(error) => self.unanswered.push((what, error)),
        }
    }
}

/// Looks for everything that blocks the deletion of these resources until a person acts. A query that fails does not stop
/// the others: AWS refuses the deletion of what it would have found.
pub async fn obstacles(clients: &Clients, holdings: &Holdings) -> Obstacles {
    let mut all = Obstacles::default();
    let (interfaces, groups, parts, balancers, profiles) = tokio::join!(
        interfaces::list(clients, holdings),
        groups::find(clients, holdings),
        parts::find(clients, holdings),
        balancers::list(clients, holdings),
        profiles::find(clients, holdings),
    );
    let known = balancers.as_ref().ok();
    all.add("network interfaces", interfaces.map(|interfaces| interfaces.obstacles(holdings, known)));
    all.add("security groups", groups);
    for (what, answer) in parts {
        all.add(what, answer);
    }
    all.add("load balancers", balancers.map(|balancers| balancers.obstacles(holdings)));
    all.add("instance profiles", profiles);
    all.found = merged(all.found);
    all.found.retain(|obstacle| !obstacle.ends);
    all
}

/// Returns the obstacles sorted, and each of them once: an instance or a load balancer has several interfaces.
fn merged(mut found: Vec<Obstacle>) -> Vec<Obstacle> {
    found.sort();
    let mut all: Vec<Obstacle> = Vec::new();
    for obstacle in found {
        match all.last_mut().filter(|last| (last.kind, &last.id) == (obstacle.kind, &obstacle.id)) {
            Some(last) => last.blocks.extend(obstacle.blocks),
            None => all.push(obstacle),
        }
    }
    all
}
