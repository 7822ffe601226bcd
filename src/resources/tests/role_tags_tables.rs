//! What stacks that share a subnet set, keep and delete: a table of single decisions, and every interleaving of stacks
//! that come and go, killed at any call.

use super::super::role_tags::{Claim, Claims, SharedSubnet, marker_of, read_marker, write_marker};
use crate::aws::Tags;
use std::collections::BTreeMap;

const SUBNET: &str = "subnet-1";
const ELB: &str = "kubernetes.io/role/elb";
const INTERNAL: &str = "kubernetes.io/role/internal-elb";

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Returns the marker of a stack that says one thing of one role tag.
fn marker(stack: &str, key: &str, claim: Claim) -> (String, String) {
    let marker = marker_of(stack);
    let value = write_marker(SUBNET, &marker, &Claims::from([(key.to_owned(), claim)]));
    (marker, value)
}

/// Returns tags and markers together.
fn with(pairs: &[(&str, &str)], markers: &[(String, String)]) -> Tags {
    tags(pairs).into_iter().chain(markers.iter().cloned()).collect()
}

fn seen<'a>(tags: &'a Tags, own: &'a str) -> SharedSubnet<'a> {
    SharedSubnet { id: SUBNET, tags, marker: own }
}

/// What stack `one` says of `elb` when it comes, and whether it sets the tag.
fn coming(there: &Tags) -> (Claim, bool) {
    let own = marker_of("one");
    let one = seen(there, &own);
    let (claims, set) = one.settings(&tags(&[(ELB, "1")]), &one.proven(&[]));
    (claims[ELB], set.get(ELB).is_some_and(|value| value == "1"))
}

#[test]
fn a_stack_that_comes_takes_over_what_another_set_and_leaves_the_owners_tags() {
    let other = |claim| marker("two", ELB, claim);
    let third = |claim| marker("three", ELB, claim);
    let unread = (marker_of("two"), ELB.to_owned());
    let rows = [
        ("no tag", with(&[], &[]), (Claim::Set, true)),
        ("the owner's", with(&[(ELB, "1")], &[]), (Claim::OfOwner, false)),
        ("the owner's, empty", with(&[(ELB, "")], &[]), (Claim::OfOwner, false)),
        ("another stack's", with(&[(ELB, "1")], &[other(Claim::Set)]), (Claim::Set, true)),
        ("one that another is deleting", with(&[(ELB, "1")], &[other(Claim::Leaving)]), (Claim::Set, true)),
        ("one that another deleted", with(&[], &[other(Claim::Leaving)]), (Claim::Set, true)),
        ("the owner's, by another", with(&[(ELB, "1")], &[other(Claim::OfOwner)]), (Claim::OfOwner, false)),
        (
            "two that disagree",
            with(&[(ELB, "1")], &[other(Claim::Set), third(Claim::OfOwner)]),
            (Claim::OfOwner, false),
        ),
        ("changed after a stack set it", with(&[(ELB, "")], &[other(Claim::Set)]), (Claim::OfOwner, false)),
        ("a marker without check sum", with(&[(ELB, "1")], &[unread]), (Claim::OfOwner, false)),
        (
            "a marker of another role",
            with(&[(ELB, "1")], &[marker("two", INTERNAL, Claim::Set)]),
            (Claim::OfOwner, false),
        ),
        ("its own, unanswered", with(&[(ELB, "1")], &[marker("one", ELB, Claim::Set)]), (Claim::Set, true)),
    ];
    for (name, there, expected) in rows {
        assert_eq!(coming(&there), expected, "{name}");
    }
}

#[test]
fn a_stack_that_leaves_deletes_what_no_other_uses_and_a_stack_set() {
    let own = |claim| marker("one", ELB, claim);
    let other = |claim| marker("two", ELB, claim);
    let unread = |value: &str| (marker_of("two"), value.to_owned());
    // Whether it announces that it leaves, and what it deletes beside its marker.
    let rows = [
        ("alone", with(&[(ELB, "1")], &[own(Claim::Set)]), (false, true)),
        ("alone, the owner's", with(&[(ELB, "1")], &[own(Claim::OfOwner)]), (false, false)),
        ("changed since", with(&[(ELB, "")], &[own(Claim::Set)]), (false, false)),
        ("deleted since", with(&[], &[own(Claim::Set)]), (false, true)),
        ("used", with(&[(ELB, "1")], &[own(Claim::Set), other(Claim::Set)]), (true, false)),
        ("used, the owner's", with(&[(ELB, "1")], &[own(Claim::Set), other(Claim::OfOwner)]), (true, false)),
        ("another leaves", with(&[(ELB, "1")], &[own(Claim::Set), other(Claim::Leaving)]), (false, true)),
        ("continued", with(&[(ELB, "1")], &[own(Claim::Leaving)]), (false, true)),
        (
            "another uses another role",
            with(&[(ELB, "1")], &[own(Claim::Set), marker("two", INTERNAL, Claim::Set)]),
            (false, true),
        ),
        ("an empty marker", with(&[(ELB, "1")], &[own(Claim::Set), unread("")]), (true, false)),
        ("a malformed marker", with(&[(ELB, "1")], &[own(Claim::Set), unread("sum:0")]), (true, false)),
        (
            "an own marker without check sum",
            with(&[(ELB, "1")], &[(marker_of("one"), ELB.to_owned())]),
            (false, false),
        ),
    ];
    for (name, there, expected) in rows {
        let marker = marker_of("one");
        let one = seen(&there, &marker);
        let proven = one.proven(&[]);
        let deleted = one.deletable(&proven);
        assert!(deleted.iter().all(|(key, value)| key == ELB && value == "1"), "{name}: {deleted:?}");
        assert_eq!((one.leaving(&proven).is_some(), !deleted.is_empty()), expected, "{name}");
    }
}

#[test]
fn a_marker_of_an_earlier_version_proves_what_the_state_recorded_too() {
    let marker = marker_of("one");
    let proven = |value: &str, recorded: &[&str]| {
        let there = tags(&[(ELB, "1"), (&marker, value)]);
        seen(&there, &marker).proven(&recorded.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(proven(ELB, &[ELB]), [ELB]);
    assert_eq!(proven(&format!("{INTERNAL} {ELB}"), &[ELB]), [ELB]);
    assert_eq!(proven(ELB, &[]), [""; 0]);
    assert_eq!(proven("", &[ELB]), [""; 0]);
    assert_eq!(proven(&format!("{ELB}x"), &[ELB]), [""; 0]);
    // It is as good as a new one to its own stack, so that a newer program plans no change.
    let there = tags(&[(ELB, "1"), (&marker, ELB)]);
    let wanted = tags(&[(ELB, "1")]);
    assert_eq!(seen(&there, &marker).accounted(&wanted, &[ELB.to_owned()]), wanted);
}

#[test]
fn only_what_the_program_wrote_for_this_subnet_and_stack_is_a_marker() {
    let marker = marker_of("two");
    let every = Claims::from([(ELB.to_owned(), Claim::OfOwner), (INTERNAL.to_owned(), Claim::Leaving)]);
    for claims in [Claims::new(), Claims::from([(ELB.to_owned(), Claim::Set)]), every] {
        let value = write_marker(SUBNET, &marker, &claims);
        assert!(value.chars().count() <= 256, "EC2 accepts 256 characters: {value}");
        assert_eq!(read_marker(SUBNET, &marker, &value), Some(claims));
        assert_eq!(read_marker("subnet-2", &marker, &value), None, "copied from another subnet");
        assert_eq!(read_marker(SUBNET, &marker_of("one"), &value), None, "copied from another stack");
        for end in 0..value.len() {
            assert_eq!(read_marker(SUBNET, &marker, &value[..end]), None, "cut off: {}", &value[..end]);
        }
        assert_eq!(read_marker(SUBNET, &marker, &format!("{value} ")), None);
        assert_eq!(read_marker(SUBNET, &marker, &format!("{ELB} {value}")), None);
    }
    for value in
        ["", " ", ELB, "Name", "sum:", "owner:", "\u{0}", "kubernetes.io/role/elb sum:0123456789abcdef"]
    {
        assert_eq!(read_marker(SUBNET, &marker, value), None, "{value:?}");
    }
    let name = Claims::from([("Name".to_owned(), Claim::Set)]);
    assert_eq!(read_marker(SUBNET, &marker, &write_marker(SUBNET, &marker, &name)), None, "not a role tag");
}

#[test]
fn a_role_that_changes_deletes_the_former_tag_if_a_stack_set_it() {
    let marker = marker_of("one");
    let wanted = tags(&[(ELB, "1")]);
    let moved = |claim, others: &[(String, String)]| {
        let markers = [&[self::marker("one", INTERNAL, claim)], others].concat();
        let there = with(&[(INTERNAL, "1")], &markers);
        let one = seen(&there, &marker);
        let proven = one.proven(&[]);
        let (claims, set) = one.settings(&wanted, &proven);
        let leaving: Vec<String> = claims.keys().filter(|key| *key != ELB).cloned().collect();
        // The plan sees it, also if the wanted tag is there and only the marker lags behind.
        assert_ne!(one.accounted(&wanted, &proven), wanted);
        assert_eq!((claims[ELB], set.contains_key(ELB)), (Claim::Set, true));
        one.deletable(&leaving).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(moved(Claim::Set, &[]), [INTERNAL]);
    assert_eq!(moved(Claim::OfOwner, &[]), [""; 0]);
    assert_eq!(moved(Claim::Set, &[self::marker("two", INTERNAL, Claim::Set)]), [""; 0]);
    assert_eq!(moved(Claim::Set, &[self::marker("two", ELB, Claim::Set)]), [INTERNAL]);
}

#[test]
fn a_marker_that_still_lists_what_is_deleted_is_written_again() {
    // A run was killed after it had deleted the former tag: what the owner sets later must not count as the stack's.
    let marker = marker_of("one");
    let claims = Claims::from([(ELB.to_owned(), Claim::Set), (INTERNAL.to_owned(), Claim::Leaving)]);
    let wanted = tags(&[(ELB, "1")]);
    for former in [None, Some(""), Some("true")] {
        let mut there = with(&[(ELB, "1")], &[(marker.clone(), write_marker(SUBNET, &marker, &claims))]);
        there.extend(former.map(|value| (INTERNAL.to_owned(), value.to_owned())));
        let one = seen(&there, &marker);
        assert_ne!(one.accounted(&wanted, &one.proven(&[])), wanted, "the plan sees it: {former:?}");
        let (claims, _) = one.settings(&wanted, &one.proven(&[]));
        assert_eq!(claims, Claims::from([(ELB.to_owned(), Claim::Set)]), "{former:?}");
    }
}

/// What a stack of the model is doing: each step is one call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Absent,
    /// `up` has read these tags.
    Coming(Tags),
    Up,
    /// A later `up` has read these tags.
    Repairing(Tags),
    /// `down` has read these tags.
    Leaving(Tags),
    /// The marker of `down` says that it leaves.
    Marked,
    /// `down` has read these tags last.
    Deleting(Tags),
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    tags: Tags,
    stacks: Vec<Phase>,
    /// How many more times a run is killed.
    kills: u32,
}

impl World {
    /// Whether a stack has its role tag and says so in its marker.
    fn is_complete(&self, index: usize) -> bool {
        let own = marker_of(&index.to_string());
        let now = seen(&self.tags, &own);
        now.accounted(&tags(&[(ELB, "1")]), &now.proven(&[])).contains_key(ELB)
    }

    /// Returns what may happen next to one stack. The order of calls is that of `subnet_tags`.
    fn next(&self, index: usize) -> Vec<World> {
        let own = marker_of(&index.to_string());
        let wanted = tags(&[(ELB, "1")]);
        let into = |phase: Phase, tags: &Tags| {
            let mut world = self.clone();
            world.stacks[index] = phase;
            world.tags = tags.clone();
            world
        };
        let put = |seen_before: &Tags| {
            let before = seen(seen_before, &own);
            let (claims, set) = before.settings(&wanted, &before.proven(&[]));
            let mut after = self.tags.clone();
            after.extend(set);
            after.insert(own.clone(), write_marker(SUBNET, &own, &claims));
            after
        };
        let delete = |before: &SharedSubnet<'_>| {
            let mut after = self.tags.clone();
            for (key, value) in before.deletable(&before.proven(&[])) {
                if after.get(&key) == Some(&value) {
                    after.remove(&key);
                }
            }
            after.remove(&own);
            after
        };
        match &self.stacks[index] {
            Phase::Absent => vec![into(Phase::Coming(self.tags.clone()), &self.tags)],
            Phase::Coming(before) if before.contains_key(&own) => vec![into(Phase::Up, &self.tags)],
            Phase::Coming(before) | Phase::Repairing(before) => vec![into(Phase::Up, &put(before))],
            Phase::Up => {
                let repair = Phase::Repairing(self.tags.clone());
                let leave = into(Phase::Leaving(self.tags.clone()), &self.tags);
                if self.is_complete(index) { vec![leave] } else { vec![leave, into(repair, &self.tags)] }
            }
            Phase::Leaving(before) if !before.contains_key(&own) => vec![into(Phase::Down, &self.tags)],
            Phase::Leaving(before) => {
                let before = seen(before, &own);
                match before.leaving(&before.proven(&[])) {
                    Some(claims) => {
                        let mut after = self.tags.clone();
                        after.insert(own.clone(), write_marker(SUBNET, &own, &claims));
                        vec![into(Phase::Marked, &after)]
                    }
                    None => vec![into(Phase::Down, &delete(&before))],
                }
            }
            Phase::Marked => vec![into(Phase::Deleting(self.tags.clone()), &self.tags)],
            Phase::Deleting(before) => vec![into(Phase::Down, &delete(&seen(before, &own)))],
            Phase::Down => vec![],
        }
    }

    /// Returns what comes of it if a run of one stack is killed, and begun again or followed by the other command.
    fn killed(&self, index: usize) -> Vec<World> {
        let phases = match &self.stacks[index] {
            Phase::Coming(_) => vec![Phase::Absent],
            Phase::Repairing(_) => vec![Phase::Up],
            Phase::Leaving(_) | Phase::Marked | Phase::Deleting(_)
                if self.tags.contains_key(&marker_of(&index.to_string())) =>
            {
                vec![Phase::Up]
            }
            _ => vec![],
        };
        let kills = self.kills.checked_sub(1);
        let worlds = phases.into_iter().filter_map(|phase| {
            let mut world = World { kills: kills?, ..self.clone() };
            world.stacks[index] = phase;
            Some(world)
        });
        worlds.collect()
    }
}

/// Goes through every interleaving of `stacks` stacks that come and go; if `serial`, one command after the other.
fn every_interleaving(owner: &Tags, stacks: usize, kills: u32, serial: bool) {
    let start = World { tags: owner.clone(), stacks: vec![Phase::Absent; stacks], kills };
    let mut known = BTreeMap::from([(start.clone(), None::<World>)]);
    let mut open = vec![start];
    let mut ended = false;
    while let Some(world) = open.pop() {
        let trace = || {
            let mut steps = vec![&world];
            while let Some(Some(before)) = known.get(steps[steps.len() - 1]) {
                steps.push(before);
            }
            let lines = steps.iter().rev().map(|world| format!("{:?}\n   {:?}\n", world.stacks, world.tags));
            lines.collect::<String>()
        };
        for (key, value) in owner {
            assert_eq!(world.tags.get(key), Some(value), "an owner's tag changed:\n{}", trace());
        }
        if world.stacks.iter().all(|phase| *phase == Phase::Down) {
            assert_eq!(world.tags, *owner, "not as before:\n{}", trace());
            ended = true;
        }
        let rests = |phase: &Phase| matches!(phase, Phase::Absent | Phase::Up | Phase::Down);
        let running = world.stacks.iter().position(|phase| !rests(phase)).filter(|_| serial);
        let is_whole = |index| world.stacks[index] != Phase::Up || world.is_complete(index);
        // A killed `down` may have said that it leaves.
        if serial && kills == 0 && running.is_none() {
            assert!((0..stacks).all(is_whole), "a stack lacks its tag:\n{}", trace());
        }
        let may_run = |index: &usize| running.is_none_or(|running| running == *index);
        let next = (0..stacks).filter(may_run).map(|index| [world.next(index), world.killed(index)].concat());
        for next in next.collect::<Vec<_>>().concat() {
            if !known.contains_key(&next) {
                known.insert(next.clone(), Some(world.clone()));
                open.push(next);
            }
        }
    }
    assert!(ended, "no run of the model ended");
}

fn owners() -> [Tags; 3] {
    [tags(&[("Name", "a"), (INTERNAL, "1")]), tags(&[(ELB, "")]), tags(&[(ELB, "1")])]
}

#[test]
fn whatever_the_order_of_calls_and_kills_the_subnet_ends_as_it_was() {
    for owner in owners() {
        every_interleaving(&owner, 2, 2, false);
        every_interleaving(&owner, 3, 0, false);
    }
}

#[test]
fn one_after_the_other_each_stack_has_its_tags_as_long_as_it_exists() {
    for owner in owners() {
        every_interleaving(&owner, 3, 0, true);
        every_interleaving(&owner, 3, 1, true);
    }
}
