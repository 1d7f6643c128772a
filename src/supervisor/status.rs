//! A read-only snapshot of all that the supervisor knows: for `--status`, `--health` and metrics.

use super::budget::Limits;
use super::delay::Stop;
use super::ending::Then;
use super::generation::{Fate, Generation};
use super::handover::Successor;
use super::history::{PastRecycle, Totals};
use super::retiring::Outgoing;
use super::serving::Incumbent;
use super::terms::GenerationId;
use super::{State, Supervisor, Workers};
use std::time::{Duration, Instant};

/// What the supervisor knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What goes on.
    pub phase: Phase,
    /// Since ostler has started.
    pub uptime: Duration,
    /// Those that are there. The incumbent is the first of them.
    pub generations: Vec<Portrait>,
    /// The next recycle.
    pub next: Next,
    /// What is not as it should be.
    pub troubles: Vec<Trouble>,
    /// Is the child a gunicorn, whose workers say whether it serves?
    pub workers: Workers,
    /// What has happened.
    pub totals: Totals,
    /// The last recycles, the newest first, and how long ago each began.
    pub recycles: Vec<(PastRecycle, Duration)>,
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing runs, and in so much time the child is started.
    Waiting(Duration),
    /// The child is being started.
    Starting,
    /// It serves.
    Serving,
    /// It serves, and a successor gets ready.
    HandingOver,
    /// It serves, and another generation goes.
    Retiring,
    /// It serves, and in so much time it is told to stop.
    Draining(Duration),
    /// Its leader has ended, and a pid file is to name another.
    Searching,
    /// The last generation goes, and another one follows it.
    Replacing,
    /// The last generation goes, and ostler with it.
    Stopping,
    /// Nobody is left but processes that are no generation's.
    Sweeping,
}

impl Phase {
    /// Its name, for people and programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::HandingOver => "handing-over",
            Self::Retiring => "retiring",
            Self::Draining(_) => "draining",
            Self::Searching => "searching",
            Self::Replacing => "replacing",
            Self::Stopping => "stopping",
            Self::Sweeping => "sweeping",
        }
    }

    /// For how long it is so, where that is known.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Waiting(left) | Self::Draining(left) => Some(left),
            Self::Starting
            | Self::Serving
            | Self::HandingOver
            | Self::Retiring
            | Self::Searching
            | Self::Replacing
            | Self::Stopping
            | Self::Sweeping => None,
        }
    }

    /// Are new requests welcome?
    #[must_use]
    pub fn serves(self) -> bool {
        match self {
            Self::Serving | Self::HandingOver | Self::Retiring => true,
            Self::Waiting(_)
            | Self::Starting
            | Self::Draining(_)
            | Self::Searching
            | Self::Replacing
            | Self::Stopping
            | Self::Sweeping => false,
        }
    }
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portrait {
    /// Which.
    pub id: GenerationId,
    /// What it is there for.
    pub role: Role,
    /// Since its start, its last reload or its new leader.
    pub age: Duration,
    /// Counted for it since then.
    pub requests: u64,
    /// What it may use, jitter included.
    pub limits: Limits,
    /// Bytes, by the last measurement for its budget.
    pub memory: Option<u64>,
    /// So long after its start it was seen to serve.
    pub ready_after: Option<Duration>,
}

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// New connections are its.
    Incumbent,
    /// It is started beside the incumbent.
    Successor,
    /// It serves what had been its before the handover.
    Former,
    /// It was told to stop, or its leader is dead.
    Leaving,
}

/// When the incumbent is replaced next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This budget will be spent first, in so much time.
    Within(Spending, Duration, Certainty),
    /// There are budgets, and nothing tells yet when one is spent.
    Unknown,
    /// There is no budget.
    NoBudget,
    /// It was asked to end, and is not replaced before it does.
    AskedToEnd,
    /// It cannot be told to stop, so it is not replaced.
    Deaf,
    /// A generation that hangs in the kernel may hold what the next one needs.
    Blocked,
    /// Nobody serves alone now.
    NotNow,
}

/// What a budget is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// Requests.
    Requests,
    /// Age.
    Age,
    /// Memory.
    Memory,
}

/// How sure a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is known.
    Exact,
    /// If it goes on as it went so far.
    Estimate,
}

/// Something that is not as it should be, though the server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// So many handovers in a row have failed.
    HandoversFail(u32),
    /// So many generations in a row had spent their memory budget from the beginning.
    MemoryBudgetSmall(u32),
    /// Signals do not reach the child.
    Deaf,
    /// So many generations hang in the kernel.
    Left(usize),
    /// New connections do not go where they should.
    SteeringFails,
    /// Connections come, and no request is counted.
    CountSilent,
    /// Workers end again and again that should not.
    WorkersCrash,
    /// The disk is fuller than it should be.
    DiskFills,
}

impl Supervisor {
    /// What it knows at `now`.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let recycles = self.history.recycles.iter().rev();
        let ago = |recycle: &PastRecycle| now.saturating_duration_since(recycle.began);
        Status {
            phase: self.phase(now),
            uptime: now.saturating_duration_since(self.began),
            generations: self.portraits(now),
            next: self.next_recycle(now),
            troubles: self.troubles(now),
            workers: self.policy.workers,
            totals: self.history.totals,
            recycles: recycles.map(|recycle| (recycle.clone(), ago(recycle))).collect(),
        }
    }

    fn phase(&self, now: Instant) -> Phase {
        let left = |until: Instant| until.saturating_duration_since(now);
        match (&self.state, self.stopping) {
            (State::Waiting { until, .. }, _) => Phase::Waiting(left(*until)),
            (State::Spawning(_), _) => Phase::Starting,
            (State::Serving(_) | State::HandingOver(..) | State::Retiring(_), Stop::Delayed(until)) => {
                Phase::Draining(left(until))
            }
            // By a signal that was passed on.
            _ if self.state.incumbent().is_some_and(|it| it.generation.fate == Fate::AskedToEnd) => {
                Phase::Stopping
            }
            (State::Serving(_), Stop::NotAsked | Stop::Asked) => Phase::Serving,
            (State::HandingOver(..), Stop::NotAsked | Stop::Asked) => Phase::HandingOver,
            (State::Retiring(_), Stop::NotAsked | Stop::Asked) => Phase::Retiring,
            (State::Searching(_), _) => Phase::Searching,
            (State::Departing(ending), _) => match ending.then {
                Then::Replace | Then::Restart(_) => Phase::Replacing,
                Then::Exit => Phase::Stopping,
            },
            (State::Sweeping(_) | State::Ended, _) => Phase::Sweeping,
        }
    }

    fn portraits(&self, now: Instant) -> Vec<Portrait> {
        let of = |generation: &Generation, role| portrait(generation, role, None, now);
        let serving = |incumbent: &Incumbent| {
            portrait(&incumbent.generation, Role::Incumbent, incumbent.memory_used(), now)
        };
        match &self.state {
            State::Waiting { .. } | State::Spawning(_) | State::Sweeping(_) | State::Ended => Vec::new(),
            State::Serving(incumbent) => vec![serving(incumbent)],
            State::Searching(search) => vec![serving(&search.incumbent)],
            State::HandingOver(handover, successor) => {
                let mut all = vec![serving(&handover.incumbent)];
                match successor {
                    Successor::Ordered => {}
                    Successor::Starting(starting) => all.push(of(&starting.generation, Role::Successor)),
                }
                all
            }
            State::Retiring(retirement) => {
                let role = match &retirement.outgoing {
                    Outgoing::Draining(_) => Role::Former,
                    Outgoing::Departing(_) => Role::Leaving,
                };
                vec![serving(&retirement.incumbent), of(retirement.outgoing.generation(), role)]
            }
            State::Departing(ending) => {
                let all = ending.leaving().chain(ending.beside());
                all.map(|generation| of(generation, Role::Leaving)).collect()
            }
        }
    }

    fn next_recycle(&self, now: Instant) -> Next {
        match &self.state {
            State::Serving(_) if !self.left.is_empty() => Next::Blocked,
            State::Serving(incumbent) => match incumbent.generation.fate {
                Fate::Replaceable => incumbent.next_recycle(&self.policy, now),
                Fate::AskedToEnd => Next::AskedToEnd,
                Fate::Deaf => Next::Deaf,
            },
            State::Waiting { .. }
            | State::Spawning(_)
            | State::HandingOver(..)
            | State::Retiring(_)
            | State::Searching(_)
            | State::Departing(_)
            | State::Sweeping(_)
            | State::Ended => Next::NotNow,
        }
    }

    fn troubles(&self, now: Instant) -> Vec<Trouble> {
        let incumbent = self.state.incumbent();
        let failures = incumbent.map_or(0, Incumbent::failures);
        let is_deaf = incumbent.is_some_and(|incumbent| incumbent.generation.fate == Fate::Deaf);
        let told = |is_so: bool, trouble| is_so.then_some(trouble);
        [
            told(failures > 0, Trouble::HandoversFail(failures)),
            told(self.too_big > 0, Trouble::MemoryBudgetSmall(self.too_big)),
            told(is_deaf, Trouble::Deaf),
            told(!self.left.is_empty(), Trouble::Left(self.left.len())),
            told(self.steering.again.is_some(), Trouble::SteeringFails),
            told(self.history.silent, Trouble::CountSilent),
            told(self.history.crashes(now), Trouble::WorkersCrash),
            told(self.disk.fills(), Trouble::DiskFills),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn portrait(generation: &Generation, role: Role, memory: Option<u64>, now: Instant) -> Portrait {
    let (age, requests) = (generation.age(now), generation.requests());
    let Generation { id, limits, ready_after, .. } = generation;
    Portrait { id: *id, role, age, requests, limits: limits.clone(), memory, ready_after: *ready_after }
}
