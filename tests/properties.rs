//! Arbitrary orders of events in virtual time: a supervisor, a model of the kernel that answers it, and a judge.

#[path = "properties/judge.rs"]
mod judge;
#[path = "properties/kernel.rs"]
mod kernel;

use judge::Judge;
use kernel::{External, Habits, Kernel, Life, Start, Whose, error};
use ostler::supervisor::{
    Action, Budget, Event, ExitStatus, Outcome, Pid, Policy, Recipient, Signal, SpawnCause, Supervisor,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More wake-ups than any of these stories needs: whoever needs more is a busy loop.
const MANY: usize = 1_000;

/// The supervisor under test, its twin, and the judge of both.
struct Subject {
    supervisor: Supervisor,
    twin: Supervisor,
    judge: Judge,
}

impl Subject {
    fn new(policy: &Policy, seed: u64, now: Instant) -> Self {
        let supervisor = || Supervisor::new(policy.clone(), seed, now);
        Self { supervisor: supervisor(), twin: supervisor(), judge: Judge::new(policy.clone(), now) }
    }

    fn step(&mut self, now: Instant, event: &Event) -> Result<Vec<Action>, TestCaseError> {
        let before = self.supervisor.deadline();
        let orders = self.supervisor.step(now, event.clone());
        let after = self.supervisor.deadline();
        prop_assert_eq!(&orders, &self.twin.step(now, event.clone()), "same seed, same events, other orders");
        prop_assert_eq!(after, self.twin.deadline());
        let due = *event == Event::Tick && before.is_some_and(|deadline| deadline <= now);
        prop_assert!(!due || after != before || !orders.is_empty(), "a Tick that was asked for does nothing");
        self.judge.step(now, event, &orders)?;
        Ok(orders)
    }
}

#[derive(Clone, Debug)]
struct Scenario {
    policy: Policy,
    seed: u64,
    lives: Vec<Life>,
    externals: Vec<(Duration, External)>,
}

/// The loop of `ostler::run` over the model, until ostler ends or nothing will ever happen again.
fn play(scenario: &Scenario) -> Result<Judge, TestCaseError> {
    let origin = Instant::now();
    let mut kernel = Kernel::new(origin, &scenario.lives, &scenario.externals);
    let mut subject = Subject::new(&scenario.policy, scenario.seed, origin);
    for _ in 0..MANY {
        let Some(events) = kernel.wait(subject.supervisor.deadline()) else {
            subject.judge.at_rest()?;
            return Ok(subject.judge);
        };
        subject.judge.in_time(kernel.now)?;
        let mut events = VecDeque::from(events);
        while let Some(event) = events.pop_front() {
            let orders = subject.step(kernel.now, &event)?;
            if subject.judge.has_exited() {
                return Ok(subject.judge);
            }
            let mut answers: VecDeque<_> = orders.iter().filter_map(|order| kernel.perform(order)).collect();
            answers.append(&mut events);
            events = answers;
        }
    }
    Err(TestCaseError::fail("a busy loop"))
}

/// Tenths of a second: coarse, so that things happen at the same time.
fn tenths(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(|tenths| Duration::from_millis(100 * tenths))
}

fn policy() -> impl Strategy<Value = Policy> {
    let budget = (option::weighted(0.8, 1_u64..=10), 0_u64..=5)
        .prop_map(|(requests, requests_jitter)| Budget { requests, requests_jitter });
    let recipient = prop_oneof![Just(Recipient::Leader), Just(Recipient::Group)];
    (budget, tenths(30), tenths(30), recipient).prop_map(|(budget, min_age, grace_period, recipient)| {
        Policy { budget, min_age, grace_period, recipient }
    })
}

fn cause() -> impl Strategy<Value = SpawnCause> {
    prop_oneof![Just(SpawnCause::NotFound), Just(SpawnCause::NotExecutable), Just(SpawnCause::Resources)]
}

fn status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        any::<u8>().prop_map(ExitStatus::Exited),
        (1..=64).prop_map(|number| ExitStatus::Signaled(Signal(number))),
        (1..=64).prop_map(|number| ExitStatus::Dumped(Signal(number))),
    ]
}

/// May end at any time, ignore what asks it to, and hang for ever.
fn any_habits() -> impl Strategy<Value = Habits> {
    let some = |probability, most| option::weighted(probability, tenths(most));
    (some(0.2, 100), some(0.7, 40), some(0.9, 10)).prop_map(|(by_itself, asked, killed)| Habits {
        by_itself,
        asked,
        killed,
    })
}

/// Serves until it is told to stop; may need SIGKILL for that.
fn good_habits() -> impl Strategy<Value = Habits> {
    (option::of(tenths(40)), tenths(10)).prop_map(|(asked, killed)| Habits {
        by_itself: None,
        asked,
        killed: Some(killed),
    })
}

fn any_start() -> impl Strategy<Value = Start> {
    prop_oneof![
        1 => Just(Start::Refused),
        1 => (cause(), tenths(5)).prop_map(|(cause, after)| Start::NeverRuns(cause, after)),
        6 => Just(Start::Runs),
    ]
}

/// It runs, or it is worth another try.
fn good_start() -> impl Strategy<Value = Start> {
    prop_oneof![
        1 => Just(Start::Refused),
        1 => tenths(5).prop_map(|after| Start::NeverRuns(SpawnCause::Resources, after)),
        6 => Just(Start::Runs),
    ]
}

fn lives(
    start: impl Strategy<Value = Start>,
    leader: impl Strategy<Value = Habits>,
    others: impl Strategy<Value = Habits>,
) -> impl Strategy<Value = Vec<Life>> {
    let life = (start, leader, option::of(others), status())
        .prop_map(|(start, leader, others, status)| Life { start, leader, others, status });
    vec(life, 0..8)
}

/// Every signal that can be caught, those that mean the end more often.
fn signal() -> impl Strategy<Value = Signal> {
    let other = select((1..=64).filter(|number| ![9, 19].contains(number)).map(Signal).collect::<Vec<_>>());
    prop_oneof![2 => Just(Signal::TERM), 1 => Just(Signal::INT), 1 => Just(Signal::QUIT), 4 => other]
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![4 => Just(Whose::Current), 1 => (0_u32..=5).prop_map(Whose::Id)]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0_u64..=8, 1 => Just(u64::MAX)]
}

fn served() -> impl Strategy<Value = External> {
    (whose(), count()).prop_map(|(whose, count)| External::Served(whose, count))
}

/// What comes from outside in the first 20 seconds.
fn externals(
    what: impl Strategy<Value = External>,
    most: usize,
) -> impl Strategy<Value = Vec<(Duration, External)>> {
    vec((tenths(200), what), 0..most)
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let what = prop_oneof![1 => signal().prop_map(External::Signal), 6 => served()];
    (policy(), any::<u64>(), lives(any_start(), any_habits(), any_habits()), externals(what, 30))
        .prop_map(|(policy, seed, lives, externals)| Scenario { policy, seed, lives, externals })
}

/// Nobody tells ostler to stop, no leader ends by itself, and SIGKILL ends everything.
fn good_scenario() -> impl Strategy<Value = Scenario> {
    let lives = lives(good_start(), good_habits(), good_habits());
    (policy(), any::<u64>(), lives, externals(served(), 60))
        .prop_map(|(policy, seed, lives, externals)| Scenario { policy, seed, lives, externals })
}

/// An event by which nobody need be meant, and how much later than the one before it happens.
#[derive(Clone, Debug)]
enum Nonsense {
    Signal(Signal),
    Spawned(Whose, i32),
    SpawnFailed(Whose, SpawnCause),
    Exited(Whose, Outcome),
    GroupGone(Whose),
    KillRefused(Whose),
    Served(Whose, u64),
    Orphan(i32, ExitStatus),
    Tick,
    /// A Tick at the very time at which one is wanted.
    TickAtDeadline,
}

fn nonsense() -> impl Strategy<Value = (Duration, Nonsense)> {
    let outcome = prop_oneof![
        3 => status().prop_map(Outcome::Ended),
        1 => cause().prop_map(|cause| Outcome::NeverRan(error(cause))),
    ];
    // What ends everything is rare, so that stories last.
    let what = prop_oneof![
        1 => signal().prop_map(Nonsense::Signal),
        16 => (whose(), any::<i32>()).prop_map(|(whose, pid)| Nonsense::Spawned(whose, pid)),
        2 => (whose(), cause()).prop_map(|(whose, cause)| Nonsense::SpawnFailed(whose, cause)),
        5 => (whose(), outcome).prop_map(|(whose, outcome)| Nonsense::Exited(whose, outcome)),
        16 => whose().prop_map(Nonsense::GroupGone),
        2 => whose().prop_map(Nonsense::KillRefused),
        20 => (whose(), count()).prop_map(|(whose, count)| Nonsense::Served(whose, count)),
        1 => (any::<i32>(), status()).prop_map(|(pid, status)| Nonsense::Orphan(pid, status)),
        12 => Just(Nonsense::Tick),
        12 => Just(Nonsense::TickAtDeadline),
    ];
    (prop_oneof![3 => Just(Duration::ZERO), 1 => tenths(20)], what)
}

fn play_nonsense(policy: &Policy, seed: u64, story: Vec<(Duration, Nonsense)>) -> Result<(), TestCaseError> {
    let mut now = Instant::now();
    let mut subject = Subject::new(policy, seed, now);
    for (later, what) in story {
        now += later;
        let current = subject.judge.current();
        let event = match what {
            Nonsense::Signal(signal) => Event::Signal(signal),
            Nonsense::Spawned(whose, pid) => Event::Spawned { id: whose.among(current), pid: Pid(pid) },
            Nonsense::SpawnFailed(whose, cause) => {
                Event::SpawnFailed { id: whose.among(current), error: error(cause) }
            }
            Nonsense::Exited(whose, outcome) => Event::Exited { id: whose.among(current), outcome },
            Nonsense::GroupGone(whose) => Event::GroupGone { id: whose.among(current) },
            Nonsense::KillRefused(whose) => Event::KillRefused { id: whose.among(current) },
            Nonsense::Served(whose, count) => Event::RequestsServed { id: whose.among(current), count },
            Nonsense::Orphan(pid, status) => Event::OrphanReaped { pid: Pid(pid), status },
            Nonsense::Tick => Event::Tick,
            Nonsense::TickAtDeadline => {
                now = subject.supervisor.deadline().map_or(now, |deadline| deadline.max(now));
                Event::Tick
            }
        };
        subject.step(now, &event)?;
    }
    Ok(())
}

/// `PROPTEST_CASES` may ask for more. No file remembers a failure: what shrinking leaves of it is printed, and belongs
/// into the table of the supervisor.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(1_000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    /// Leaders that die, hang or ignore signals, starts that fail, and a container that is told to stop at any time.
    #[test]
    fn the_rules_hold_in_any_world(scenario in any_scenario()) {
        play(&scenario)?;
    }

    /// Every budget that is spent is followed by a new generation, and ostler never ends.
    #[test]
    fn in_a_good_world_there_is_always_a_server(scenario in good_scenario()) {
        let judge = play(&scenario)?;
        prop_assert!(judge.serves() && !judge.has_exited());
        prop_assert_eq!(judge.current().0, judge.recycled + 1);
    }

    #[test]
    fn no_order_of_events_breaks_a_rule(
        policy in policy(), seed in any::<u64>(), story in vec(nonsense(), 0..150),
    ) {
        play_nonsense(&policy, seed, story)?;
    }
}
