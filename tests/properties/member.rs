//! One generation as the judge knows it: from what was told and ordered alone.

use crate::sights::Sights;
use ostler::supervisor::{Budget, Cause, GenerationId, Outcome, Policy, Slot};
use std::time::{Duration, Instant};

/// `OSTLER_WATCHDOG` is kept by so many looks.
const LOOKS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: GenerationId,
    pub(crate) slot: Slot,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    pub(crate) fate: Fate,
    pub(crate) started: Instant,
    pub(crate) limit: Option<Limit>,
    pub(crate) used: u64,
    /// Signals do not reach it, and that was told.
    pub(crate) refuses: bool,
    /// How many starts of it have failed before.
    pub(crate) tries: u32,
    /// How many successors of it have failed, and when the next one may be tried.
    pub(crate) failures: u32,
    pub(crate) not_before: Instant,
    pub(crate) watch: Watch,
    /// When it was told to stop, or its leader had ended.
    pub(crate) told: Option<Instant>,
    /// When it was told so last.
    pub(crate) reminded: Instant,
    pub(crate) killed: Option<Instant>,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its start was ordered.
    Ordered,
    Alive,
    /// Its leader is dead.
    Dead,
    /// Its leader is reaped, others of its group may live.
    Reaped,
}

#[derive(Debug)]
pub(crate) enum Role {
    /// New connections are its.
    Incumbent,
    /// It is started beside the incumbent.
    Successor(Preparation),
    /// It was the incumbent, and serves what still is its.
    Former(Drain),
    /// It is to stop.
    Leaving(Cause),
}

/// May it be recycled?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Replaceable,
    /// It was asked to end by a signal that was passed on.
    Asked,
    /// It or the one beside it cannot be told to stop.
    Deaf,
}

#[derive(Debug)]
pub(crate) struct Preparation {
    /// When the recycle began.
    pub(crate) began: Instant,
    /// What is it for?
    pub(crate) need: Need,
    pub(crate) sights: Sights,
    pub(crate) look_at: Instant,
    /// It has failed if it is not ready by then.
    pub(crate) by: Instant,
}

/// Why a successor is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The incumbent has served long enough, or somebody wants it.
    Renewal,
    /// The incumbent hangs.
    Rescue,
}

#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) empty_since: Instant,
    pub(crate) check_at: Instant,
    pub(crate) until: Instant,
}

/// The requests it may answer: so many at least, so many at most, since not every draw is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Limit {
    pub(crate) fn drawn_from(budget: &Budget) -> Option<Self> {
        let least = budget.requests?;
        Some(Self { least, most: least.saturating_add(budget.requests_jitter) })
    }
}

/// What was seen of its accept queue.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) look_at: Instant,
    /// Who waited, and since when all of them do.
    waiting: Vec<u64>,
    since: Instant,
}

impl Watch {
    pub(crate) fn from(look_at: Instant) -> Self {
        Self { look_at, waiting: Vec::new(), since: look_at }
    }

    pub(crate) fn looked(&mut self, now: Instant, limit: Duration) {
        self.look_at = now + limit / LOOKS;
    }

    /// For how long has nobody been accepted?
    pub(crate) fn stands(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Since when has nobody been accepted, although somebody waits?
    pub(crate) fn stands_since(&mut self, waiting: &[u64], now: Instant) -> Option<Instant> {
        let moves = self.waiting.iter().any(|connection| !waiting.contains(connection));
        if moves || self.waiting.is_empty() {
            (self.waiting, self.since) = (waiting.to_vec(), now);
        }
        (!waiting.is_empty()).then_some(self.since)
    }
}

impl Member {
    pub(crate) fn new(id: GenerationId, slot: Slot, role: Role, tries: u32, now: Instant) -> Self {
        Self {
            id,
            slot,
            stage: Stage::Ordered,
            role,
            fate: Fate::Replaceable,
            started: now,
            limit: None,
            used: 0,
            refuses: false,
            tries,
            failures: 0,
            not_before: now,
            watch: Watch::from(now),
            told: None,
            reminded: now,
            killed: None,
            outcome: None,
        }
    }

    /// It serves from here on as if nothing had been before.
    pub(crate) fn serves_from(&mut self, now: Instant, watched_from: Instant) {
        (self.role, self.failures, self.not_before) = (Role::Incumbent, 0, now);
        self.watch = Watch::from(watched_from);
    }

    /// It has replaced its processes by itself.
    pub(crate) fn renew(&mut self, policy: &Policy, now: Instant) {
        (self.started, self.used, self.limit) = (now, 0, Limit::drawn_from(&policy.budget));
    }

    /// The one beside it cannot be told to stop: it stays.
    pub(crate) fn keep(&mut self) {
        if self.fate == Fate::Replaceable {
            self.fate = Fate::Deaf;
        }
    }

    /// A successor of it has failed: the pauses begin with the minimum age, and double up to ten minutes.
    pub(crate) fn has_failed_successor(&mut self, policy: &Policy, now: Instant) {
        self.failures += 1;
        let first = policy.min_age.max(Duration::from_secs(1));
        let pause = first * 2_u32.saturating_pow(self.failures - 1);
        self.not_before = now + pause.min(first.max(Duration::from_mins(10)));
    }

    pub(crate) fn recyclable_from(&self, policy: &Policy) -> Instant {
        self.not_before.max(self.started + policy.min_age)
    }

    pub(crate) fn surely_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit.most)
    }

    pub(crate) fn maybe_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit.least)
    }

    pub(crate) fn is_incumbent(&self) -> bool {
        matches!(self.role, Role::Incumbent)
    }
}
