//! The zones of interface endpoints: those of the stack in which AWS offers the service. Asked when an endpoint or a zone is
//! new, and then pinned, since a zone that AWS adds must not change an endpoint.

use super::super::{OperationError, Workspace};
use crate::{
    aws::endpoint_services,
    graph::{endpoint_address, interface_endpoints, private_subnet_address},
    model::{Address, ErrorKind, Observed, Snapshot},
    stack::{Endpoints, Stack},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The key of the pins in the state's outputs.
const PINS: &str = "endpointZones";

/// Whether AWS offers a service in a zone, by the short name of the service and the zone.
type Pins = BTreeMap<String, BTreeMap<String, bool>>;

/// Returns the zones of each interface endpoint, by the short name of its service. An endpoint that is left out is in every
/// zone of the stack.
pub(super) async fn endpoint_zones(
    workspace: &Workspace,
    snapshot: &mut Snapshot,
    zones: &[String],
) -> Result<BTreeMap<String, BTreeSet<String>>, OperationError> {
    let stack = &workspace.stack;
    let names = interface_endpoints(stack);
    let recorded = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
    let recorded: Pins = serde_json::from_value(recorded).unwrap_or_default();
    let live = |address: &Address| snapshot.resources.get(address).map(|entry| entry.live.clone());
    let mut pins: Pins = names
        .iter()
        .map(|name| {
            let mut known = live_zones(name, zones, &live);
            known.extend(recorded.get(name).into_iter().flatten().map(|(zone, is)| (zone.clone(), *is)));
            known.retain(|zone, _| zones.contains(zone));
            (name.clone(), known)
        })
        .collect();
    let open: Vec<&String> =
        names.iter().filter(|name| pins.get(*name).is_none_or(|it| it.len() < zones.len())).collect();
    if !open.is_empty() {
        let services: Vec<String> = open.iter().map(|name| service(stack, name)).collect();
        let offered = match endpoint_services(&workspace.target.clients, &services).await {
            Err(error) if matches!(error.class, ErrorKind::Denied | ErrorKind::Unsupported) => {
                workspace.tell(format!(
                    "not checked before the run: the zones of new interface endpoints: {error}"
                ));
                // Nothing is recorded, so that a run that may ask decides.
                return Ok(chosen(assumed(pins, zones)));
            }
            offered => offered?,
        };
        for name in open {
            let there = offered.get(&service(stack, name));
            let pin = pins.entry(name.clone()).or_default();
            if let Err((message, hint)) = choose(name, &service(stack, name), there, zones, pin) {
                return Err(stack.diagnostic(&place(stack, name), message, Some(hint)).into());
            }
            let missing: Vec<&str> = without(pin).collect();
            if !missing.is_empty() {
                workspace.warn(format!(
                    "{}: AWS does not offer {} in {}; it is created in the other zones",
                    endpoint_address(name),
                    service(stack, name),
                    missing.join(", ")
                ));
            }
        }
    }
    if pins.is_empty() {
        snapshot.outputs.remove(PINS);
    } else {
        snapshot.outputs.insert(PINS.to_owned(), json!(pins));
    }
    Ok(chosen(pins))
}

/// Returns the pins with every zone in which it is not known whether the service is offered.
fn assumed(mut pins: Pins, zones: &[String]) -> Pins {
    for pin in pins.values_mut() {
        zones.iter().for_each(|zone| {
            pin.entry(zone.clone()).or_insert(true);
        });
    }
    pins
}

/// Returns the zones of each endpoint.
fn chosen(pins: Pins) -> BTreeMap<String, BTreeSet<String>> {
    let with = |pin: BTreeMap<String, bool>| pin.into_iter().filter(|(_, is)| *is).map(|(zone, _)| zone);
    pins.into_iter().map(|(name, pin)| (name, with(pin).collect())).collect()
}

fn service(stack: &Stack, name: &str) -> String {
    format!("com.amazonaws.{}.{name}", stack.region)
}

/// Returns the field that asks for an endpoint.
fn place(stack: &Stack, name: &str) -> String {
    let index = match stack.network.as_ref().map(|network| &network.endpoints) {
        Some(Endpoints::List(names)) => names.iter().position(|it| it == name),
        _ => None,
    };
    index.map_or_else(|| "network.endpoints".to_owned(), |index| format!("network.endpoints[{index}]"))
}

/// Returns the zones in which an endpoint exists.
fn live_zones(
    name: &str,
    zones: &[String],
    live: &dyn Fn(&Address) -> Option<Value>,
) -> BTreeMap<String, bool> {
    let endpoint = live(&endpoint_address(name)).unwrap_or_default();
    let subnets = endpoint.get("subnets").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_in = |zone: &&String| {
        let subnet = live(&private_subnet_address(zone)).unwrap_or_default();
        subnet.get("id").is_some_and(|id| subnets.contains(id))
    };
    zones.iter().filter(is_in).map(|zone| (zone.clone(), true)).collect()
}

/// Completes what is known of an endpoint by the zones in which AWS offers its service.
///
/// # Errors
/// What is wrong and what to do, if the service does not exist or is in no zone.
fn choose(
    name: &str,
    service: &str,
    offered: Option<&BTreeSet<String>>,
    zones: &[String],
    pin: &mut BTreeMap<String, bool>,
) -> Result<(), (String, String)> {
    let Some(offered) = offered else {
        let hint = "remove it from `endpoints`; `aws ec2 describe-vpc-endpoint-services` lists the services";
        return Err((format!("AWS offers no interface endpoint for `{name}` ({service})"), hint.to_owned()));
    };
    for zone in zones {
        pin.entry(zone.clone()).or_insert_with(|| offered.contains(zone));
    }
    if pin.values().any(|is| *is) {
        return Ok(());
    }
    let others = offered.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("AWS does not offer {service} in any zone of the stack ({})", zones.join(", "));
    Err((
        message,
        format!("remove `{name}` from `endpoints`, or add one of its zones to `network.zones`: {others}"),
    ))
}

fn without(pin: &BTreeMap<String, bool>) -> impl Iterator<Item = &str> {
    pin.iter().filter(|(_, is)| !**is).map(|(zone, _)| zone.as_str())
}

/// Records the zones of live interface endpoints, of a stack whose state is lost.
pub(super) fn pins_from_live(stack: &Stack, zones: &[String], snapshot: &mut Snapshot, observed: &Observed) {
    let live = |address: &Address| observed.found.get(address).map(|found| found.live.clone());
    let pins: Pins = interface_endpoints(stack)
        .into_iter()
        .filter(|name| live(&endpoint_address(name)).is_some())
        .map(|name| {
            let there = live_zones(&name, zones, &live);
            let all = zones.iter().map(|zone| (zone.clone(), there.contains_key(zone))).collect();
            (name, all)
        })
        .collect();
    if !pins.is_empty() {
        snapshot.outputs.insert(PINS.to_owned(), json!(pins));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_known_of_a_zone_stays_and_only_new_zones_are_chosen() {
        let offered: BTreeSet<String> = all(&["a", "c"]).into_iter().collect();
        // Since then AWS offers the service in `a`, and in `b` no longer.
        let mut pin = BTreeMap::from([("a".to_owned(), false), ("b".to_owned(), true)]);
        choose("sts", "s", Some(&offered), &all(&["a", "b", "c", "d"]), &mut pin).unwrap();
        let text = serde_json::to_string(&pin).unwrap();
        assert_eq!(text, r#"{"a":false,"b":true,"c":true,"d":false}"#);
        assert_eq!(without(&pin).collect::<Vec<_>>(), ["a", "d"]);
        let unasked = Pins::from([("sts".to_owned(), BTreeMap::from([("a".to_owned(), false)]))]);
        let zones = chosen(assumed(unasked, &all(&["a", "b"])));
        assert_eq!(zones["sts"].iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_service_that_no_zone_has_is_named() {
        let none = choose("stss", "s.stss", None, &all(&["a"]), &mut BTreeMap::new()).unwrap_err();
        assert!(none.0.contains("`stss` (s.stss)"), "{none:?}");
        let offered: BTreeSet<String> = all(&["c"]).into_iter().collect();
        let elsewhere =
            choose("sts", "s.sts", Some(&offered), &all(&["a", "b"]), &mut BTreeMap::new()).unwrap_err();
        assert!(elsewhere.0.contains("s.sts in any zone of the stack (a, b)"), "{elsewhere:?}");
        assert!(elsewhere.1.ends_with(": c"), "{elsewhere:?}");
    }

    #[test]
    fn the_zones_of_a_live_endpoint_are_those_of_its_subnets() {
        let live = |address: &Address| match address.as_str() {
            "network/endpoint/sts" => Some(json!({"subnets": ["subnet-1", "subnet-9"]})),
            "network/subnet/private-a" => Some(json!({"id": "subnet-1"})),
            "network/subnet/private-b" => Some(json!({"id": "subnet-2"})),
            _ => None,
        };
        let zones = all(&["a", "b", "c"]);
        assert_eq!(live_zones("sts", &zones, &live), BTreeMap::from([("a".to_owned(), true)]));
        assert_eq!(live_zones("ec2", &zones, &live), BTreeMap::new());
    }
}
