//! What runs on a resource moves elsewhere before its deletion: waited for, stuck, refused, interrupted, continued.

use super::{
    super::{Provider, Run, Settings, ShutdownSignal, StateWriter, observe},
    alone,
    cloud::{Cloud, CloudFaults},
    decide, owner, prepare, process, settings,
};
use crate::{
    model::{
        CallError, ErrorKind, Event, Graph, Intent, Kind, Outcome, Snapshot, StepState, Undrained, UpdateId,
        UpdateOutcome,
    },
    resources::{FoundResource, Lookup},
    store::{MemoryState, Register},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// What a look at the resource finds left on it, by the number of the look and the time since the first.
type Load = fn(usize, Duration) -> Result<usize, ErrorKind>;

/// Cloud in which something runs on what is deleted.
#[derive(Clone)]
struct Busy {
    cloud: Cloud,
    load: Load,
    /// How often it was asked, and when first.
    asked: Arc<Mutex<(usize, Option<Instant>)>>,
}

#[async_trait]
impl Provider for Busy {
    fn kind(&self, name: &str) -> Option<Kind> {
        self.cloud.kind(name)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.cloud.kinds()
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        self.cloud.find(kind, lookups).await
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        self.cloud.create(kind, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.cloud.sync(kind, want, live).await
    }

    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        self.cloud.outcome(kind, live, id).await
    }

    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.cloud.running_update(kind, live).await
    }

    async fn before_delete(&self, _: &str, _: &Value) -> Result<Option<Undrained>, CallError> {
        self.cloud.spend()?;
        let (number, since) = {
            let mut asked = self.asked.lock().unwrap();
            asked.0 += 1;
            (asked.0, asked.1.get_or_insert_with(Instant::now).elapsed())
        };
        let left = (self.load)(number, since).map_err(|class| CallError::new(class, "no access"))?;
        let why = format!("moving pods, {left} left; pod a/b: budget c");
        Ok((left > 0).then(|| Undrained { left, why, hint: "change the budget".to_owned() }))
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError> {
        self.cloud.delete(kind, live).await
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}

/// A cloud with one resource, and its state.
struct Place {
    cloud: Cloud,
    state: Arc<MemoryState>,
}

/// One run: its outcome, what it told, how often it asked, and how long it took.
struct Told {
    outcome: Outcome,
    events: Vec<Event>,
    asked: usize,
    took: Duration,
}

impl Told {
    fn waits(&self) -> Vec<&str> {
        let mut waits = Vec::new();
        for event in &self.events {
            if let Event::Step { state: StepState::Waiting(why), .. } = event {
                waits.push(why.as_str());
            }
        }
        waits
    }

    fn notices(&self) -> Vec<&str> {
        let mut notices = Vec::new();
        for event in &self.events {
            if let Event::Notice(text) = event {
                notices.push(text.as_str());
            }
        }
        notices
    }
}

impl Place {
    async fn new(graph: &Graph) -> Self {
        let (cloud, state) = (Cloud::new(CloudFaults::default()), Arc::new(MemoryState::default()));
        let _ = process(&cloud, &state, graph, "zero").await;
        Place { cloud, state }
    }

    async fn one() -> Self {
        Place::new(&alone("named", &["one"], &json!({}))).await
    }

    async fn run(&self, graph: &Graph, load: Load, drain: bool, shutdown: ShutdownSignal) -> Told {
        let mut register = Register::new(self.state.clone(), "run", 1);
        let mut snapshot =
            register.read().await.unwrap().unwrap_or_else(|| Snapshot::new(&owner(), "1", "r"));
        let graph = &prepare(&self.cloud, graph, &mut snapshot);
        let observed = observe(&self.cloud, graph, &snapshot, false).await.unwrap();
        let plan = decide(&self.cloud, graph, &snapshot, &observed);
        let busy = Busy { cloud: self.cloud.clone(), load, asked: Arc::default() };
        let settings = Settings { drain, ..settings(&self.cloud, "run") };
        let (events, mut heard) = unbounded_channel();
        let run = Run { provider: Arc::new(busy.clone()), settings, shutdown, events };
        let start = Instant::now();
        let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
        let took = start.elapsed();
        drop(run);
        let mut told = Vec::new();
        while let Ok(event) = heard.try_recv() {
            told.push(event);
        }
        let asked = busy.asked.lock().unwrap().0;
        Told { outcome, events: told, asked, took }
    }

    async fn down(&self, load: Load) -> Told {
        self.run(&Graph::default(), load, true, ShutdownSignal::default()).await
    }

    fn deletes(&self) -> usize {
        *self.cloud.deletes.lock().unwrap()
    }
}

fn empty(_: usize, _: Duration) -> Result<usize, ErrorKind> {
    Ok(0)
}

#[tokio::test(start_paused = true)]
async fn what_runs_on_a_resource_is_waited_for() {
    let place = Place::one().await;
    let told = place.down(|number, _| Ok(4_usize.saturating_sub(number))).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert_eq!((told.asked, place.deletes(), place.cloud.count()), (4, 1, 0));
    assert!(told.waits().contains(&"moving pods, 3 left; pod a/b: budget c"), "{:?}", told.waits());

    // Where the cluster goes as well, nothing is asked.
    let place = Place::one().await;
    let told = place.run(&Graph::default(), |_, _| Ok(1), false, ShutdownSignal::default()).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert_eq!((told.asked, place.deletes()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_may_take_long_while_it_progresses() {
    let place = Place::one().await;
    let left = |_, since: Duration| Ok(5 - usize::try_from(since.as_secs() / 900).unwrap().min(5));
    let told = place.down(left).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert!(told.took > Duration::from_mins(74), "{:?}", told.took);
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_progress_fails_and_the_next_run_continues_it() {
    let place = Place::one().await;
    let told = place.down(|_, _| Ok(2)).await;
    let minutes = told.took.as_secs() / 60;
    assert!((20..22).contains(&minutes), "{:?}", told.took);
    let report = told.outcome.report();
    assert!(matches!(told.outcome, Outcome::Partial(_)) && report.left() == 1, "{:?}", told.outcome);
    let error = &report.problems[0].error;
    assert_eq!(error.message, "not drained, no progress for 20 min: moving pods, 2 left; pod a/b: budget c");
    assert_eq!(error.hint.as_deref(), Some("change the budget"));
    assert_eq!((place.deletes(), place.cloud.count()), (0, 1));
    let told = place.down(empty).await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert_eq!((told.asked, place.deletes(), place.cloud.count()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_cannot_begin_is_left_to_aws() {
    for (class, asked) in [(ErrorKind::Denied, 1), (ErrorKind::Ambiguous, 3), (ErrorKind::Eventual, 3)] {
        let place = Place::one().await;
        let told = match class {
            ErrorKind::Denied => place.down(|_, _| Err(ErrorKind::Denied)).await,
            ErrorKind::Ambiguous => place.down(|_, _| Err(ErrorKind::Ambiguous)).await,
            _ => place.down(|_, _| Err(ErrorKind::Eventual)).await,
        };
        assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
        assert_eq!(told.notices(), ["one: no access; it is deleted without a drain"]);
        assert_eq!((told.asked, place.deletes()), (asked, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_has_begun_is_not_given_up() {
    let place = Place::one().await;
    // An answer is lost in between.
    let told = place
        .down(|number, _| if number == 2 { Err(ErrorKind::Ambiguous) } else { Ok(usize::from(number < 4)) })
        .await;
    assert!(matches!(told.outcome, Outcome::Done(_)), "{:?}", told.outcome);
    assert_eq!((told.asked, told.notices().len()), (4, 0));

    let place = Place::one().await;
    let told = place.down(|number, _| if number > 1 { Err(ErrorKind::Denied) } else { Ok(1) }).await;
    assert_eq!(told.outcome.report().problems[0].error.class, ErrorKind::Denied);
    assert_eq!((told.asked, place.deletes()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_a_drain() {
    let place = Place::one().await;
    let shutdown = ShutdownSignal::default();
    let signal = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        shutdown.escalate();
    };
    let nothing = Graph::default();
    let run = place.run(&nothing, |_, _| Ok(1), true, shutdown.clone());
    let (told, ()) = tokio::join!(run, signal);
    assert!(matches!(&told.outcome, Outcome::Stopped(report) if report.saved), "{:?}", told.outcome);
    assert!(told.took < Duration::from_secs(11), "{:?}", told.took);
    assert_eq!(place.deletes(), 0);
    let told = place.down(empty).await;
    assert!(matches!(told.outcome, Outcome::Done(_)) && place.cloud.count() == 0, "{:?}", told.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_group_is_drained_once_the_new_one_exists_wherever_the_power_goes() {
    let groups = |of_type: &str| alone("grouped", &["group/main"], &json!({"name": "main", "type": of_type}));
    for fuse in 0..40 {
        let place = Place::new(&groups("a")).await;
        place.cloud.trouble.lock().unwrap().fuse = Some(fuse);
        let load = |number: usize, _| Ok(4_usize.saturating_sub(number));
        let first = place.run(&groups("b"), load, true, ShutdownSignal::default()).await;
        let survived = place.cloud.trouble.lock().unwrap().fuse.is_some_and(|left| left > 0);
        place.cloud.trouble.lock().unwrap().fuse = None;
        let names = place.cloud.groups();
        assert!(first.asked == 0 || names.len() == 2 || first.asked == 4, "{fuse}: {names:?}");
        let told = place.run(&groups("b"), load, true, ShutdownSignal::default()).await;
        assert!(matches!(told.outcome, Outcome::Done(_)), "{fuse}: {:?}", told.outcome);
        assert_eq!((place.cloud.count(), *place.cloud.gaps.lock().unwrap()), (1, 0), "{fuse}");
        if survived && matches!(first.outcome, Outcome::Done(_)) {
            assert!(fuse > 5, "only {fuse} effects");
            return;
        }
    }
    panic!("it never ended");
}
