//! What will become of one start: how soon it serves, how it hangs, and what ends its processes.

use ostler::supervisor::{Door, ExitStatus, Queue, Sight, Signal, SpawnCause, SpawnError, View, Worker};
use std::time::{Duration, Instant};

/// A signal that nobody but ostler sends, as `OSTLER_STOP_SIGNAL`.
pub(crate) const PRIVATE_STOP: Signal = Signal(65);

#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) start: Start,
    pub(crate) leader: Habits,
    /// The rest of the leader's process group; `None`: the leader is alone.
    pub(crate) others: Option<Habits>,
    pub(crate) status: ExitStatus,
    pub(crate) boot: Boot,
    /// So long after SIGUSR2 the leader ends, and another process of its group leads on.
    pub(crate) heir: Option<Duration>,
    pub(crate) hearing: Hearing,
    /// When connections still wait for it, counted from when new ones go elsewhere.
    pub(crate) waits: Vec<Window>,
    /// When it accepts nothing, counted from its start.
    pub(crate) hangs: Option<Window>,
    pub(crate) memory: Memory,
}

#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// There is no process at all.
    Refused,
    /// There is a process, and it ends this soon without having executed the program.
    NeverRuns(SpawnCause, Duration),
    Runs,
}

/// What ends a process, and how long that takes. `None`: it never does.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Nothing but time.
    pub(crate) by_itself: Option<Duration>,
    /// SIGTERM, SIGINT or SIGQUIT.
    pub(crate) asked: Option<Duration>,
    /// SIGKILL. `None` is a process that hangs in the kernel.
    pub(crate) killed: Option<Duration>,
}

/// When it shows what, counted from its start.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    /// It accepts a connection. `None`: never.
    pub(crate) accepts: Option<Duration>,
    /// It answers the health request with 2xx, so long after that.
    pub(crate) ails: Duration,
    /// It says `READY=1`.
    pub(crate) word: Option<Duration>,
    /// Its workers come.
    pub(crate) workers: Vec<Duration>,
    /// A worker has loaded its app, so long after it came.
    pub(crate) loads: Duration,
    /// Its first worker ends, and another one comes.
    pub(crate) loses: Option<Duration>,
}

/// Do signals arrive?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    Hears,
    /// It is another user's.
    Refuses,
}

/// What it holds in memory, and how that is measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// When it starts.
    pub(crate) first: u64,
    /// More, every second.
    pub(crate) leaks: u64,
    /// More than any budget allows, in between, counted from its start.
    pub(crate) peaks: Vec<Window>,
    pub(crate) cost: Duration,
    /// Its processes share so much, and in every other minute twice that.
    pub(crate) shares: u64,
    /// It is another user's.
    pub(crate) hidden: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Window {
    fn holds(self, time: Duration) -> bool {
        self.from <= time && time < self.to
    }
}

impl Life {
    /// It does as it is told, and serves soon.
    pub(crate) fn obedient() -> Self {
        let soon = Duration::from_millis(100);
        let boot = Boot {
            accepts: Some(soon),
            ails: Duration::ZERO,
            word: Some(soon),
            workers: vec![soon],
            loads: soon,
            loses: None,
        };
        Self {
            start: Start::Runs,
            leader: Habits { by_itself: None, asked: Some(soon), killed: Some(soon) },
            others: None,
            status: ExitStatus::Exited(0),
            boot,
            heir: None,
            hearing: Hearing::Hears,
            waits: Vec::new(),
            hangs: None,
            memory: Memory::default(),
        }
    }

    /// Does a connection wait for it, so long after new ones went elsewhere?
    pub(crate) fn queue(&self, since: Duration) -> Queue {
        if self.waits.iter().any(|window| window.holds(since)) { Queue::Waiting } else { Queue::Empty }
    }

    /// Who waits for it at this age, when it is looked at for the `looks`th time.
    pub(crate) fn waiting(&self, age: Duration, looks: u64) -> Vec<u64> {
        match self.hangs.filter(|window| window.holds(age)) {
            // One more every second.
            Some(window) => (1_000_000..=1_000_000 + age.saturating_sub(window.from).as_secs()).collect(),
            // Now and then idle, else behind with many, of whom one is accepted between two looks.
            None if looks % 16 < 3 => Vec::new(),
            None => (looks..looks + 8).collect(),
        }
    }
}

impl Memory {
    fn bytes(&self, age: Duration) -> u64 {
        let peak = if self.peaks.iter().any(|window| window.holds(age)) { 1000 } else { 0 };
        self.first + self.leaks * age.as_secs() + peak
    }

    /// What was found, how much of it is shared, and how well that could be seen.
    /// Nobody looks closer at what is below the limit if `known` is shared.
    pub(crate) fn measured(&self, age: Duration, limit: u64, known: u64) -> (u64, Option<u64>, View) {
        let shared = self.shares * (1 + age.as_secs() / 60 % 2);
        let bytes = self.bytes(age);
        let likely = (bytes + shared).saturating_sub(known);
        if likely < limit {
            (likely, None, View::Clear)
        } else if self.hidden {
            (bytes + shared, Some(0), View::Hidden)
        } else {
            (bytes, Some(shared), View::Clear)
        }
    }
}

impl Boot {
    pub(crate) fn sight(&self, age: Duration, blind: bool) -> Sight {
        let since = |time: Option<Duration>| time.and_then(|time| age.checked_sub(time));
        let door = match since(self.accepts) {
            _ if blind => Door::Blind,
            None => Door::Closed,
            Some(since) if since < self.ails => Door::Unhealthy("503".into()),
            Some(_) => Door::Open,
        };
        let lost = since(self.loses).is_some();
        let workers = (0..).zip(&self.workers).filter(|(_, comes)| **comes <= age).map(|(number, comes)| {
            let file = if number == 0 && lost { 100 } else { number };
            Worker { file, beats: age >= *comes + self.loads }
        });
        let workers: Vec<_> = workers.collect();
        let view = if workers.is_empty() && lost { View::Hidden } else { View::Clear };
        Sight { door, said_ready: since(self.word).is_some(), workers, view }
    }

    /// A program that is never executed shows nothing.
    pub(crate) fn never() -> Self {
        Self {
            accepts: None,
            ails: Duration::ZERO,
            word: None,
            workers: Vec::new(),
            loads: Duration::ZERO,
            loses: None,
        }
    }
}

/// A process, or several that do as one.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) habits: Habits,
    pub(crate) end: Option<Instant>,
}

impl Body {
    pub(crate) fn new(habits: Habits, now: Instant) -> Self {
        let end = habits.by_itself.map(|after| now + after);
        Self { habits, end }
    }

    pub(crate) fn hit(&mut self, signal: Signal, now: Instant) {
        let after = match signal {
            Signal::TERM | Signal::INT | Signal::QUIT | PRIVATE_STOP => self.habits.asked,
            Signal::KILL => self.habits.killed,
            Signal(_) => None,
        };
        self.ends_by(after.map(|after| now + after));
    }

    pub(crate) fn ends_by(&mut self, time: Option<Instant>) {
        self.end = self.end.into_iter().chain(time).min();
    }

    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

pub(crate) fn error(cause: SpawnCause) -> SpawnError {
    SpawnError { cause, message: "so it is".into() }
}
