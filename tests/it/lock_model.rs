//! The lease, the state and the creates as a model, checked in every state that bounded trouble can lead to:
//! every order of steps of two or three runs that pause, die, rob each other of the lease, and lose calls,
//! answers and time on the way. The protocol as it is in `src/` holds; each protection taken away is seen to
//! be missed, by the shortest trace that shows it (`cargo test --test it lock_model:: -- --nocapture`).
//!
//! `lock_model/election.rs` mirrors `Session::make_backend` and `elect_key`; `lock_model/lease.rs` mirrors `src/engine/lease.rs`; `lock_model/state.rs` mirrors `Session::hold`,
//! `store::Register`, `engine::Journal`, `Task::create` and `Task::recover`. The words of a trace begin with
//! the function that they mirror.

mod checker;
mod election;
mod lease;
mod state;
mod words;

use checker::{Model, check};
use election::Election;
use lease::Lease;

use std::{collections::BTreeSet, time::Instant};
use words::{Identity, Protocol};

/// What no bounds that fit into a test come near.
const MAX_STATES: usize = 3_000_000;

fn lease(runs: usize, silences: u8, crashes: u8, pauses: u8) -> Lease {
    Lease { weak: lease::Weak::Nothing, runs, silences, crashes, pauses }
}

/// Two runs, two attempts, and no trouble yet.
const CALM: Protocol = Protocol {
    weak: words::Weak::Nothing,
    identity: Identity::OwnerTag,
    runs: 2,
    intents: 2,
    takes: 2,
    crashes: 0,
    lost_writes: 0,
    lost_creates: 0,
    lost_tables: 0,
};

/// The model has nothing wrong in any state, and where it can end it always can. Returns the steps that it
/// took.
#[track_caller]
fn holds<M: Model>(name: &str, model: &M, most: usize) -> BTreeSet<&'static str> {
    let started = Instant::now();
    let report = check(model, most);
    println!("{name}: {report} ({:.1} s)", started.elapsed().as_secs_f64());
    assert!(report.wrong.is_none(), "{name}: {report}");
    assert!(report.ends > 0, "{name}: nothing ever comes to its end");
    assert_eq!(report.stuck, 0, "{name}: states that nothing good can come of");
    report.taken
}

/// The model goes wrong in this way.
#[track_caller]
fn fails<M: Model<Wrong: PartialEq>>(name: &str, model: &M, how: M::Wrong) {
    let report = check(model, MAX_STATES);
    println!("{name}: {report}");
    assert_eq!(report.wrong.as_ref().map(|(wrong, _)| *wrong), Some(how), "{name}: {report}");
}

#[track_caller]
fn weak_lease(weak: lease::Weak, how: lease::Wrong) {
    fails(&format!("lease, {weak:?}"), &Lease { weak, ..lease(2, 3, 0, 0) }, how);
}

#[track_caller]
fn weak_state(weak: words::Weak, how: words::Wrong) {
    let identity = match weak {
        words::Weak::FreshToken | words::Weak::RepeatsUnclaimed => Identity::Token,
        _ => Identity::OwnerTag,
    };
    let model = Protocol { weak, identity, intents: 3, crashes: 1, lost_writes: 2, lost_creates: 1, ..CALM };
    fails(&format!("state, {weak:?}"), &model, how);
}

#[test]
fn no_working_run_loses_its_lease_and_it_is_always_free_in_the_end() {
    let mut taken = holds("lease, two runs", &lease(2, 3, 2, 2), MAX_STATES);
    taken.extend(holds("lease, three runs", &lease(3, 1, 1, 1), MAX_STATES));
    taken.extend(holds("lease, three runs, more silence", &lease(3, 2, 0, 0), MAX_STATES));
    // Every branch of the model was walked.
    assert_eq!(taken.len(), 22, "{taken:#?}");
}

#[test]
fn one_resource_one_chain_of_writes_and_no_record_lost() {
    let model = Protocol { intents: 3, crashes: 1, lost_writes: 1, lost_creates: 1, ..CALM };
    let mut taken = holds("state, two runs", &model, MAX_STATES);
    let model = Protocol { lost_writes: 2, lost_creates: 1, ..CALM };
    taken.extend(holds("state, two runs, more writes lost", &model, MAX_STATES));
    assert!(taken.contains("write: an earlier write of ours is there; continue from it"), "{taken:#?}");
}

#[test]
fn the_same_with_three_runs() {
    let model = Protocol { runs: 3, takes: 3, crashes: 2, lost_creates: 1, ..CALM };
    let taken = holds("state, three runs", &model, MAX_STATES);
    assert!(taken.contains("ensure: recover the open intent of a dead process"), "{taken:#?}");
    let model = Protocol { runs: 3, takes: 3, lost_tables: 1, ..CALM };
    let taken = holds("state, three runs, the lock table lost", &model, MAX_STATES);
    assert!(taken.contains("hold: the state has a later fence; take again"), "{taken:#?}");
}

#[test]
fn the_same_for_calls_that_take_a_token() {
    let calm = Protocol { identity: Identity::Token, ..CALM };
    let taken = holds("token", &Protocol { crashes: 1, lost_writes: 1, lost_creates: 1, ..calm }, MAX_STATES);
    assert!(taken.contains("recover: nothing seen; claim the intent"), "{taken:#?}");
    holds("token, more creates lost", &Protocol { crashes: 1, lost_creates: 2, ..calm }, MAX_STATES);
}

#[test]
fn the_first_runs_of_an_account_create_one_key() {
    let two = Election { weak: election::Weak::Nothing, runs: 2, intents: 4, crashes: 2 };
    let mut taken = holds("election, two runs", &two, MAX_STATES);
    let three = Election { runs: 3, intents: 3, crashes: 1, ..two };
    taken.extend(holds("election, three runs", &three, MAX_STATES));
    for step in [
        "elect_key: another run was first; look again",
        "ensure: recover the intent of a dead winner",
        "recover: the winner died meanwhile",
        "recover: nothing came of it",
        "backend_status: the bucket names its key",
    ] {
        assert!(taken.contains(step), "{step}: {taken:#?}");
    }
}

#[test]
fn without_each_part_of_the_election_there_are_two_keys_or_one_that_no_record_names() {
    use election::{Weak, Wrong};
    for (weak, how) in [
        (Weak::KeyFirst, Wrong::TwoKeys),
        (Weak::NoCas, Wrong::TwoKeys),
        (Weak::IgnoresTheWinner, Wrong::TwoKeys),
        // A key that no record names is the first of two: the next attempt creates another.
        (Weak::NoSettle, Wrong::Unrecorded),
        (Weak::SignedWhenSent, Wrong::Unrecorded),
    ] {
        let model = Election { weak, runs: 2, intents: 4, crashes: 1 };
        fails(&format!("election, {weak:?}"), &model, how);
    }
}

#[test]
#[ignore = "minutes, and gigabytes"]
fn the_same_with_more_of_everything() {
    let most = 30_000_000;
    holds("lease, three runs", &lease(3, 2, 1, 1), most);
    holds("lease, two runs", &lease(2, 4, 2, 2), most);
    let model = Protocol { intents: 3, crashes: 1, lost_writes: 2, lost_creates: 2, ..CALM };
    holds("state, two runs", &model, most);
    let model = Protocol { runs: 3, takes: 4, crashes: 1, lost_tables: 1, ..CALM };
    holds("state, three runs, the lock table lost", &model, most);
    let model = Protocol { runs: 3, takes: 3, intents: 3, crashes: 2, lost_creates: 1, ..CALM };
    holds("state, three runs", &model, most);
    holds("state, three runs, a write lost", &Protocol { lost_writes: 1, crashes: 1, ..model }, most);
    holds("token, three runs", &Protocol { identity: Identity::Token, intents: 2, ..model }, most);
}

#[test]
fn without_a_whole_lease_of_silence_a_living_run_is_robbed() {
    weak_lease(lease::Weak::Early, lease::Wrong::Robbed);
}

#[test]
fn without_a_record_that_each_beat_changes_a_living_run_is_robbed() {
    weak_lease(lease::Weak::WatchesTheOwner, lease::Wrong::Robbed);
}

#[test]
fn without_an_end_to_waiting_for_a_beat_two_runs_work_at_once() {
    weak_lease(lease::Weak::HangingBeat, lease::Wrong::TwoAtWork);
}

#[test]
fn without_a_beat_after_an_unanswered_taking_two_runs_work_at_once() {
    weak_lease(lease::Weak::TrustsAnOldTaking, lease::Wrong::TwoAtWork);
}

#[test]
fn without_the_fence_a_run_writes_after_the_one_that_robbed_it() {
    weak_state(words::Weak::NoFenceCheck, words::Wrong::WroteAfterTheThief);
}

#[test]
fn without_compare_and_swap_the_chain_of_writes_forks() {
    weak_state(words::Weak::NoCas, words::Wrong::Fork);
}

#[test]
fn without_reading_back_a_run_is_stopped_by_its_own_write() {
    weak_state(words::Weak::NoReadBack, words::Wrong::LostToItself);
}

#[test]
fn without_a_write_id_a_record_is_acknowledged_and_lost() {
    weak_state(words::Weak::NoWriteId, words::Wrong::AcknowledgedAndLost);
}

#[test]
fn without_knowing_its_earlier_writes_a_run_is_stopped_by_one() {
    weak_state(words::Weak::ForgetsItsWrites, words::Wrong::LostToItself);
}

#[test]
fn without_an_intent_a_resource_is_left_unrecorded() {
    weak_state(words::Weak::NoIntent, words::Wrong::Unrecorded);
}

#[test]
fn with_a_second_try_of_an_untokened_create_there_are_twins() {
    weak_state(words::Weak::SdkRetry, words::Wrong::Duplicate);
}

#[test]
fn without_the_intents_time_in_the_signature_a_paused_run_creates_what_is_not_recorded() {
    weak_state(words::Weak::SignedWhenSent, words::Wrong::Unrecorded);
}

#[test]
fn without_settling_a_late_create_is_left_unrecorded() {
    weak_state(words::Weak::NoSettle, words::Wrong::Unrecorded);
}

#[test]
fn with_a_wait_that_counts_from_the_intent_a_late_create_is_left_unrecorded() {
    weak_state(words::Weak::SettlesFromTheIntent, words::Wrong::Unrecorded);
}

#[test]
fn with_a_last_look_before_the_wait_is_over_a_late_create_is_left_unrecorded() {
    weak_state(words::Weak::LooksBeforeTheClock, words::Wrong::Unrecorded);
}

#[test]
fn with_a_new_token_for_a_repeated_call_there_are_twins() {
    weak_state(words::Weak::FreshToken, words::Wrong::Duplicate);
}

#[test]
fn without_a_claim_before_a_repeated_call_its_first_run_voids_what_it_makes() {
    weak_state(words::Weak::RepeatsUnclaimed, words::Wrong::Unrecorded);
}

/// The seconds of a constant, as its source has it.
#[track_caller]
fn seconds(source: &str, name: &str) -> u64 {
    let line = source.lines().find(|line| line.contains(&format!("const {name}: Duration = ")));
    let (call, number) = line.unwrap_or_else(|| panic!("no {name}")).rsplit_once('(').unwrap();
    let number: u64 = number.trim_end_matches(");").parse().unwrap();
    if call.ends_with("from_secs") { number } else { number * 60 }
}

#[test]
fn the_models_figures_are_the_codes() {
    let code = include_str!("../../src/engine/lease.rs");
    let watch = include_str!("../../src/engine/lease_watch.rs");
    let (lease, beat) = (seconds(watch, "LEASE"), seconds(code, "HEARTBEAT_INTERVAL"));
    assert_eq!(provisioner::engine::LEASE.as_secs(), lease);
    assert_eq!(lease, beat * u64::from(lease::LEASE));
    assert_eq!(lease - beat, beat * u64::from(lease::DEAF));
    assert!(code.contains("heard.elapsed() >= LEASE.saturating_sub(HEARTBEAT_INTERVAL)"));
    // The last beat that counts is sent, and given up, before the lease is over.
    assert!(beat * u64::from(lease::DEAF) + seconds(code, "REQUEST_TIMEOUT") < lease);

    let code = include_str!("../../src/engine/budget.rs");
    let tick = seconds(code, "SEND_WITHIN") / u64::from(words::SEND_WITHIN);
    let (settle, alive) = (seconds(code, "SETTLE"), seconds(code, "SETTLE_ALIVE"));
    assert_eq!(settle, tick * u64::from(words::SETTLE));
    // The signature's fifteen minutes and the lists' lag fit in; the model has them shorter, in the same
    // order.
    assert!(alive >= 15 * 60 + settle && words::SETTLE_ALIVE > words::SETTLE);

    // What the model mirrors is still called so.
    for (code, names) in [
        (
            include_str!("../../src/engine/lease.rs"),
            ["fn acquire", "fn heartbeat", "fn send_heartbeat", "fn release"].as_slice(),
        ),
        (include_str!("../../src/engine/ensure.rs"), &["fn ensure", "fn appear"]),
        (include_str!("../../src/engine/create.rs"), &["fn create", "fn write_intent", "fn send_create"]),
        (include_str!("../../src/engine/look.rs"), &["fn look"]),
        (include_str!("../../src/engine/settle.rs"), &["fn settle"]),
        (include_str!("../../src/engine/recovery.rs"), &["fn search", "fn repeat", "fn search_time"]),
        (include_str!("../../src/engine/journal.rs"), &["fn commit", "fn note", "fn write_to"]),
        (include_str!("../../src/store/register.rs"), &["fn write", "fn read", "const ATTEMPTS"]),
        (
            include_str!("../../src/operations/lease_holding.rs"),
            &["fn hold", "snapshot.epoch >= held.fence()"],
        ),
        (
            include_str!("../../src/operations/backend_creation.rs"),
            &["fn make_backend", "fn elect_key", "backend_bucket"],
        ),
        (include_str!("../../src/operations/backend.rs"), &["fn backend_status", "fn bucket_key"]),
        (include_str!("../../src/store/mod.rs"), &["fn take", "Already(u64)"]),
        (
            include_str!("../../src/aws/context.rs"),
            &["RetryConfig::disabled()", "StaticTimeSource::from_secs"],
        ),
    ] {
        names.iter().for_each(|name| assert!(code.contains(name), "no {name}"));
    }
}

#[test]
fn every_create_is_signed_with_the_time_in_its_intent() {
    let mut creates = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/resources")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let Some((_, rest)) = source.split_once("    async fn create(") else { continue };
        let body = rest.split_once("\n    }\n").unwrap().0;
        if body.contains(".send()") {
            creates += 1;
            assert!(body.contains("single_shot!(") || body.contains("signed!("), "{}", path.display());
        }
    }
    assert!(creates > 25, "{creates}");
}
