//! Arbitrary orders of events in virtual time: a supervisor, a model of the kernel that answers it, and a judge.

#[path = "properties/budgets.rs"]
mod budgets;
#[path = "properties/judge.rs"]
mod judge;
#[path = "properties/kernel.rs"]
mod kernel;
#[path = "properties/learning.rs"]
mod learning;
#[path = "properties/leaving.rs"]
mod leaving;
#[path = "properties/life.rs"]
mod life;
#[path = "properties/member.rs"]
mod member;
#[path = "properties/memory.rs"]
mod memory;
#[path = "properties/nonsense.rs"]
mod nonsense;
#[path = "properties/notices.rs"]
mod notices;
#[path = "properties/orders.rs"]
mod orders;
#[path = "properties/scenario.rs"]
mod scenario;
#[path = "properties/showing.rs"]
mod showing;
#[path = "properties/sights.rs"]
mod sights;
#[path = "properties/silence.rs"]
mod silence;
#[path = "properties/stopping.rs"]
mod stopping;
#[path = "properties/succession.rs"]
mod succession;
#[path = "properties/surroundings.rs"]
mod surroundings;

use judge::Judge;
use kernel::Kernel;
use nonsense::{Nonsense, story};
use ostler::supervisor::{Action, Event, GenerationId, Policy, Recycle, Supervisor};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use scenario::{Scenario, any_scenario, good_scenario, odd_scenario, policy, quiet_scenario};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More wake-ups at one time than any of these stories needs: whoever needs more is a busy loop.
const MANY: usize = 30;

/// So long a story is told if it has no end: several handovers may have failed before, with ever longer pauses.
const LONG: Duration = Duration::from_hours(1);

/// And so many generations are told of: they may live for less than a second.
const MOST: GenerationId = GenerationId(80);

/// The supervisor under test, its twin, and the judge of both.
struct Subject {
    supervisor: Supervisor,
    /// It is told everything in the order in which it counts: what comes while a start is unanswered, after the answer.
    twin: Supervisor,
    deferred: VecDeque<Event>,
    judge: Judge,
}

impl Subject {
    fn new(policy: &Policy, seed: u64, now: Instant) -> Self {
        let supervisor = || Supervisor::new(policy.clone(), seed, now);
        let judge = Judge::new(policy.clone(), now);
        Self { supervisor: supervisor(), twin: supervisor(), deferred: VecDeque::new(), judge }
    }

    fn step(&mut self, now: Instant, event: &Event) -> Result<Vec<Action>, TestCaseError> {
        let before = self.supervisor.deadline();
        let orders = self.supervisor.step(now, event.clone());
        let after = self.supervisor.deadline();
        let due = *event == Event::Tick && before.is_some_and(|deadline| deadline <= now);
        prop_assert!(!due || after != before || !orders.is_empty(), "a Tick that was asked for does nothing");
        prop_assert_eq!(&orders, &self.step_twin(now, event)?, "same seed, same events, other orders");
        prop_assert_eq!(after, self.twin.deadline());
        if let Some(due) = self.judge.due() {
            prop_assert!(after.is_some_and(|deadline| deadline <= due), "{after:?} is too late for {due:?}");
        }
        Ok(orders)
    }

    fn step_twin(&mut self, now: Instant, event: &Event) -> Result<Vec<Action>, TestCaseError> {
        let at_once = match (self.judge.unanswered(), event) {
            (None, _) | (_, Event::Tick | Event::OrphansReaped { .. } | Event::PageAsked { .. }) => true,
            (Some(start), Event::Spawned { id, .. } | Event::SpawnFailed { id, .. }) => start == *id,
            (Some(_), _) => false,
        };
        if !at_once {
            self.deferred.push_back(event.clone());
            return Ok(Vec::new());
        }
        let mut orders = self.step_judged(now, event)?;
        while self.judge.unanswered().is_none()
            && let Some(event) = self.deferred.pop_front()
        {
            orders.extend(self.step_judged(now, &event)?);
        }
        Ok(orders)
    }

    fn step_judged(&mut self, now: Instant, event: &Event) -> Result<Vec<Action>, TestCaseError> {
        let orders = self.twin.step(now, event.clone());
        self.judge.step(now, event, &orders)?;
        Ok(orders)
    }
}

/// The loop of `ostler::run` over the model, until ostler ends, nothing will ever happen again, or the story is long.
/// `holds` is what is so whenever ostler sleeps.
fn play(scenario: &Scenario, holds: impl Fn(&Kernel, &Judge) -> bool) -> Result<Judge, TestCaseError> {
    let origin = Instant::now();
    let mut kernel = Kernel::new(origin, &scenario.lives, &scenario.externals, scenario.surroundings.clone());
    let mut subject = Subject::new(&scenario.policy, scenario.seed, origin);
    let mut wake_ups = (origin, 0);
    while kernel.now < origin + LONG && subject.judge.newest < MOST {
        let told = kernel.now >= origin + scenario.enough && has_no_end(&scenario.policy);
        if told && kernel.next().is_none() && subject.judge.is_settled() {
            break;
        }
        let Some(events) = kernel.wait(subject.supervisor.deadline()) else {
            subject.judge.at_rest()?;
            break;
        };
        wake_ups = if kernel.now == wake_ups.0 { (kernel.now, wake_ups.1 + 1) } else { (kernel.now, 1) };
        prop_assert!(wake_ups.1 < MANY, "a busy loop");
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
        prop_assert!(holds(&kernel, &subject.judge), "nobody serves, or too many: {kernel:#?}");
    }
    Ok(subject.judge)
}

/// Does something always lie ahead? Queues are looked at, memory is measured, connections are counted, and whoever has
/// an age to reach is replaced, again and again.
fn has_no_end(policy: &Policy) -> bool {
    let Policy { budget, watchdog, cure, .. } = policy;
    watchdog.is_some() || cure.is_some() || budget.memory.is_some() || budget.age.is_some()
}

fn play_nonsense(policy: &Policy, seed: u64, story: Vec<(Duration, Nonsense)>) -> Result<(), TestCaseError> {
    let mut now = Instant::now();
    let mut subject = Subject::new(policy, seed, now);
    for (later, what) in story {
        now += later;
        if let Nonsense::TickAtDeadline = what {
            now = subject.supervisor.deadline().map_or(now, |deadline| deadline.max(now));
        }
        subject.step(now, &what.told(subject.judge.newest))?;
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
        play(&scenario, |kernel, judge| kernel.groups() <= 2 + judge.left.len())?;
    }

    /// Every budget that is spent is followed by a new generation, ostler never ends, and unless the policy is to stop
    /// and start again somebody serves all the time.
    #[test]
    fn in_a_good_world_there_is_always_a_server(scenario in good_scenario()) {
        let gaps = scenario.policy.recycle == Recycle::Restart;
        let judge = play(&scenario, |kernel, _| gaps || kernel.serves())?;
        prop_assert!(judge.is_settled() && !judge.has_exited());
    }

    /// Whoever grows is recycled, whoever is too big from the start ever more seldom, and so it goes on.
    #[test]
    fn time_alone_is_kept_account_of(scenario in quiet_scenario()) {
        let gaps = scenario.policy.recycle == Recycle::Restart;
        let judge = play(&scenario, |kernel, _| gaps || kernel.serves())?;
        prop_assert!(judge.is_settled() && !judge.has_exited());
    }

    /// As any world, with events in between that make no sense there.
    #[test]
    fn the_rules_hold_in_a_world_that_lies(scenario in odd_scenario()) {
        play(&scenario, |_, _| true)?;
    }

    /// Nothing but events that make no sense, so that answers are late or never come.
    #[test]
    fn no_order_of_events_breaks_a_rule(policy in policy(), seed in any::<u64>(), story in story()) {
        play_nonsense(&policy, seed, story)?;
    }
}
