//! Arbitrary policies, lives and things that come from outside.

use crate::kernel::{External, Whose};
use crate::life::{Boot, Habits, Hearing, Life, Memory, PRIVATE_STOP, Start, Window};
use crate::nonsense::nonsense;
use crate::surroundings::{Surroundings, Visitors};
use ostler::supervisor::{
    Budget, Cure, ExitStatus, Expected, Follow, Meaning, Meanings, Policy, Ready, Recipient, Recycle,
    Restart, RestartLimit, Signal, SpawnCause, Workers,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) policy: Policy,
    pub(crate) seed: u64,
    pub(crate) lives: Vec<Life>,
    pub(crate) externals: Vec<(Duration, External)>,
    pub(crate) surroundings: Surroundings,
    /// Whoever is only watched and measured is so for ever. This is enough of it.
    pub(crate) enough: Duration,
}

/// An obedient successor is ready by then, whatever it is asked for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whoever lives so long serves alone for some of it.
const LIFETIME: Duration = Duration::from_secs(40);

/// Tenths of a second: coarse, so that things happen at the same time.
pub(crate) fn tenths(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(|tenths| Duration::from_millis(100 * tenths))
}

fn some(probability: f64, most: u64) -> impl Strategy<Value = Option<Duration>> {
    option::weighted(probability, tenths(most))
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let requests = (option::weighted(0.8, 1_u64..=10), 0_u64..=5);
    let age = (some(0.25, 100), tenths(30));
    let memory = option::weighted(0.3, (1_u64..=4).prop_map(|tens| 10 * tens));
    let budget =
        (requests, age, memory).prop_map(|((requests, requests_jitter), (age, age_jitter), memory)| Budget {
            requests,
            requests_jitter,
            age,
            age_jitter,
            memory,
        });
    let cure = option::weighted(0.3, Just(Cure("so it is".into())));
    let recycle = prop_oneof![
        6 => Just(Recycle::Handover),
        2 => Just(Recycle::Restart),
        1 => Just(Recycle::Reload(Signal::HUP)),
    ];
    let ready = prop_oneof![
        4 => Just(Ready::Accept),
        2 => Just(Ready::Notify),
        2 => tenths(10).prop_map(Ready::Delay),
    ];
    let times = (tenths(30), tenths(30), tenths(40), tenths(15));
    let watchdog = option::weighted(0.3, (5_u64..=30).prop_map(|tenths| Duration::from_millis(100 * tenths)));
    let choices = (
        select(vec![Recipient::Leader, Recipient::Group]),
        meanings(),
        prop_oneof![3 => Just(Signal::TERM), 1 => Just(PRIVATE_STOP)],
        cure,
        ending(),
    );
    (budget, recycle, ready, times, watchdog, choices).prop_map(
        |(budget, recycle, ready, times, watchdog, (recipient, signals, stop_signal, cure, ending))| {
            let (min_age, grace_period, ready_timeout, linger) = times;
            Policy {
                budget,
                min_age,
                stop_signal,
                drain_delay: ending.0,
                grace_period,
                restart: ending.1,
                restart_limit: ending.2,
                // What it leads to is what a leader that is followed leads to; tables have the rest.
                follow: Follow::Nobody,
                workers: Workers::Unwatched,
                recipient,
                recycle,
                ready,
                ready_timeout,
                linger,
                watchdog,
                signals,
                expected: Expected::default(),
                cure,
                // It touches no generation; tables have it.
                cores: None,
                metrics: None,
                disk_warn: None,
            }
        },
    )
}

/// The drain delay, and what happens to a child that ends by itself.
fn ending() -> impl Strategy<Value = (Duration, Restart, RestartLimit)> {
    let delay = prop_oneof![2 => Just(Duration::ZERO), 1 => tenths(50)];
    let restart = select(vec![Restart::Never, Restart::OnFailure, Restart::Always]);
    let limit = (0_u32..=4, 1_u64..=60)
        .prop_map(|(ends, seconds)| RestartLimit { ends, window: Duration::from_secs(seconds) });
    (delay, restart, limit)
}

/// As where sockets are held, and as somebody may want it.
fn meanings() -> impl Strategy<Value = Meanings> {
    let signal = || select(vec![Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR2, Signal(10)]);
    let meaning = prop_oneof![
        2 => prop_oneof![signal(), Just(Signal::TERM)].prop_map(Meaning::Other),
        1 => Just(Meaning::Nothing),
        1 => Just(Meaning::Recycle),
    ];
    let usual = select(vec![Meaning::Recycle, Meaning::Itself]);
    (usual, option::weighted(0.3, (signal(), meaning))).prop_map(|(usual, said)| {
        let meanings =
            said.map_or(Meanings::PLAIN, |(signal, meaning)| Meanings::PLAIN.with(signal, meaning));
        meanings.or(Signal::USR2, usual)
    })
}

/// None asks for the end that does not by itself.
fn usual() -> Meanings {
    Meanings::PLAIN.with(Signal::USR2, Meaning::Recycle)
}

pub(crate) fn cause() -> impl Strategy<Value = SpawnCause> {
    prop_oneof![Just(SpawnCause::NotFound), Just(SpawnCause::NotExecutable), Just(SpawnCause::Resources)]
}

pub(crate) fn status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        any::<u8>().prop_map(ExitStatus::Exited),
        (1..=64).prop_map(|number| ExitStatus::Signaled(Signal(number))),
        (1..=64).prop_map(|number| ExitStatus::Dumped(Signal(number))),
    ]
}

/// May end at any time, ignore what asks it to, and hang for ever or for a while.
fn any_habits() -> impl Strategy<Value = Habits> {
    let killed = prop_oneof![6 => tenths(10).prop_map(Some), 1 => tenths(90).prop_map(Some), 1 => Just(None)];
    (some(0.3, 150), some(0.7, 40), killed).prop_map(|(by_itself, asked, killed)| Habits {
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
        8 => Just(Start::Runs),
        1 => Just(Start::Refused),
        1 => (cause(), tenths(5)).prop_map(|(cause, after)| Start::NeverRuns(cause, after)),
    ]
}

/// It runs, or it is worth another try.
fn good_start() -> impl Strategy<Value = Start> {
    prop_oneof![
        8 => Just(Start::Runs),
        1 => Just(Start::Refused),
        1 => Just(Start::NeverRuns(SpawnCause::Resources, Duration::ZERO)),
    ]
}

/// Serves soon, late or never.
fn boot() -> impl Strategy<Value = Boot> {
    let ails = prop_oneof![3 => Just(Duration::ZERO), 1 => tenths(30)];
    (some(0.8, 20), ails, some(0.8, 20), vec(tenths(12), 0..4), tenths(10), some(0.1, 20)).prop_map(
        |(accepts, ails, word, workers, loads, loses)| Boot { accepts, ails, word, workers, loads, loses },
    )
}

fn window(from: u64, length: u64) -> impl Strategy<Value = Window> {
    (tenths(from), tenths(length)).prop_map(|(from, length)| Window { from, to: from + length })
}

fn lives(
    start: impl Strategy<Value = Start>,
    leader: impl Strategy<Value = Habits>,
    others: impl Strategy<Value = Habits>,
    refusal: f64,
) -> impl Strategy<Value = Vec<Life>> {
    let hearing = prop::bool::weighted(refusal)
        .prop_map(|refuses| if refuses { Hearing::Refuses } else { Hearing::Hears });
    let processes = (leader, option::of(others), status(), some(0.4, 10), hearing);
    let hangs = option::weighted(0.2, window(80, 100));
    let life = (start, processes, boot(), vec(window(20, 20), 0..3), hangs, memory());
    let life =
        life.prop_map(|(start, (leader, others, status, heir, hearing), boot, waits, hangs, memory)| Life {
            start,
            leader,
            others,
            status,
            boot,
            heir,
            hearing,
            waits,
            hangs,
            memory,
        });
    // Something may be short for a while, so that several starts fail in a row.
    let short = Life { start: Start::Refused, ..Life::obedient() };
    let shortage =
        prop_oneof![7 => Just(0), 1 => 3_usize..8].prop_map(move |starts| vec![short.clone(); starts]);
    (shortage, vec(life, 0..8)).prop_map(|(shortage, lives)| [shortage, lives].concat())
}

/// May be too big from the start, grow slowly or soon, or peak.
fn memory() -> impl Strategy<Value = Memory> {
    let leaks = prop_oneof![2 => Just(0), 3 => 0_u64..=10];
    let first = prop_oneof![2 => Just(0), 1 => tens(5)];
    let shares = prop_oneof![1 => Just(0), 1 => tens(5)];
    (first, leaks, vec(window(150, 40), 0..4), cost(), shares, prop::bool::weighted(0.3)).prop_map(
        |(first, leaks, peaks, cost, shares, hidden)| Memory { first, leaks, peaks, cost, shares, hidden },
    )
}

pub(crate) fn tens(most: u64) -> impl Strategy<Value = u64> {
    (0..=most).prop_map(|tens| 10 * tens)
}

/// What one measurement takes of a processor.
pub(crate) fn cost() -> impl Strategy<Value = Duration> {
    let millis = prop_oneof![5 => 0_u64..=3, 1 => 0_u64..=400];
    millis.prop_map(Duration::from_millis)
}

/// Every signal that can be caught.
pub(crate) fn any_signal() -> impl Strategy<Value = Signal> {
    let other = select((1..=64).filter(|number| ![9, 19].contains(number)).map(Signal).collect::<Vec<_>>());
    prop_oneof![
        2 => Just(Signal::TERM),
        1 => Just(Signal::INT),
        1 => Just(Signal::QUIT),
        3 => Just(Signal::USR2),
        3 => other,
    ]
}

/// Those by which nobody is told to end.
fn good_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![2 => Just(Signal::USR2), 1 => Just(Signal::HUP)]
}

pub(crate) fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![5 => Just(Whose::Newest), 3 => Just(Whose::Before), 1 => (0_u32..=6).prop_map(Whose::Id)]
}

pub(crate) fn count() -> impl Strategy<Value = u64> {
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

fn surroundings(steering_fails: f64) -> impl Strategy<Value = Surroundings> {
    let fails = vec(prop::bool::weighted(steering_fails), 0..12);
    let answers = prop_oneof![1 => 0_usize..6, 3 => Just(usize::MAX)];
    // From several each second to some every hour.
    let every = prop_oneof![2 => tenths(20), 1 => tenths(6000)];
    let visitors =
        (tens(9), every, answers).prop_map(|(before, every, answers)| Visitors { before, every, answers });
    let others = prop_oneof![3 => Just(Vec::new()), 1 => vec(any_habits(), 1..4)];
    (prop::bool::weighted(0.2), fails, vec(0_u64..=2, 0..6), visitors, others).prop_map(
        |(blind, steering_fails, shed, visitors, others)| Surroundings {
            blind,
            steering_fails,
            shed,
            visitors,
            others,
        },
    )
}

/// Anything may happen, at any time.
pub(crate) fn any_scenario() -> impl Strategy<Value = Scenario> {
    let what = prop_oneof![
        12 => served(),
        4 => Just(External::Asked),
        1 => any_signal().prop_map(External::Signal),
        1 => good_signal().prop_map(External::Signal),
    ];
    scenario(policy(), lives(any_start(), any_habits(), any_habits(), 0.1), externals(what, 40), 0.05)
}

/// And so may things be told that do not happen.
pub(crate) fn odd_scenario() -> impl Strategy<Value = Scenario> {
    let what = prop_oneof![
        4 => served(),
        2 => Just(External::Asked),
        4 => nonsense().prop_map(External::Odd),
    ];
    scenario(policy(), lives(any_start(), any_habits(), any_habits(), 0.1), externals(what, 80), 0.05)
}

/// Nobody tells ostler to stop, no leader ends by itself without an heir, and SIGKILL ends everything.
pub(crate) fn good_scenario() -> impl Strategy<Value = Scenario> {
    let what = prop_oneof![
        6 => served(),
        2 => Just(External::Asked),
        1 => good_signal().prop_map(External::Signal),
    ];
    // Long enough for those that start after the last of the lives.
    let policy = policy().prop_map(|policy| {
        let age = policy.budget.age.map(|age| age + LIFETIME);
        let budget = Budget { age, ..policy.budget };
        Policy { budget, ready_timeout: policy.ready_timeout + PATIENCE, signals: usual(), ..policy }
    });
    scenario(policy, lives(good_start(), good_habits(), good_habits(), 0.0), externals(what, 60), 0.0)
}

/// Nothing happens but time, for long: all do as they are told, and hold memory.
pub(crate) fn quiet_scenario() -> impl Strategy<Value = Scenario> {
    let minutes = |most: u64| (1..=most).prop_map(Duration::from_mins);
    let budget = (option::weighted(0.3, minutes(20)), tenths(600), option::weighted(0.8, Just(20)))
        .prop_map(|(age, age_jitter, memory)| Budget { age, age_jitter, memory, ..Budget::default() });
    let policy = (policy(), budget, tenths(600)).prop_map(|(policy, budget, min_age)| {
        let ready_timeout = policy.ready_timeout + PATIENCE;
        Policy { budget, min_age, ready_timeout, signals: usual(), ..policy }
    });
    let costs = prop_oneof![4 => 0_u64..=20, 1 => 0_u64..=400].prop_map(Duration::from_millis);
    let memory = (memory(), costs).prop_map(|(memory, cost)| Memory { cost, ..memory });
    // Generations are alike, but not for ever.
    let lives = vec((memory, 1_usize..12), 0..4).prop_map(|kinds| {
        let alike = |(memory, many)| vec![Life { memory, ..Life::obedient() }; many];
        kinds.into_iter().flat_map(alike).collect()
    });
    let what = prop_oneof![
        1 => served(),
        1 => Just(External::Asked),
        1 => good_signal().prop_map(External::Signal),
    ];
    let enough = (1_u64..=30).prop_map(Duration::from_mins);
    (scenario(policy, lives, externals(what, 4), 0.0), enough)
        .prop_map(|(scenario, enough)| Scenario { enough, ..scenario })
}

fn scenario(
    policy: impl Strategy<Value = Policy>,
    lives: impl Strategy<Value = Vec<Life>>,
    externals: impl Strategy<Value = Vec<(Duration, External)>>,
    steering_fails: f64,
) -> impl Strategy<Value = Scenario> {
    let enough = prop_oneof![19 => Just(Duration::from_mins(1)), 1 => Just(Duration::from_mins(20))];
    // A source of counts may be silent for good.
    let silent = prop::bool::weighted(0.3);
    let around = (surroundings(steering_fails), enough, silent);
    (policy, any::<u64>(), lives, externals, around).prop_map(
        |(policy, seed, lives, mut externals, (surroundings, enough, silent))| {
            externals.retain(|(_, what)| !silent || !matches!(what, External::Served(..)));
            Scenario { policy, seed, lives, externals, surroundings, enough }
        },
    )
}
