//! One generation as the judge knows it: from what was told and ordered alone.

use crate::budgets::Draw;
use crate::memory::Gauge;
use crate::sights::Sights;
use ostler::supervisor::{Cause, GenerationId, Outcome, Policy, Slot};
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
    pub(crate) draw: Draw,
    pub(crate) used: u64,
    /// Signals do not reach it, and that was told.
    pub(crate) refuses: bool,
    /// How many starts of it have failed before.
    pub(crate) tries: u32,
    /// How many successors of it have failed, and when the next one may be tried.
    pub(crate) failures: u32,
    pub(crate) not_before: Instant,
    pub(crate) watch: Watch,
    /// `None`: it is not measured.
    pub(crate) gauge: Option<Gauge>,
    /// It is not recycled for its memory before.
    pub(crate) too_big_until: Instant,
    /// Nobody serves until it is gone, so it has only until then.
    pub(crate) hurry: Option<Instant>,
    /// So long after its start it was seen to serve.
    pub(crate) ready_after: Option<Duration>,
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
            draw: Draw::default(),
            used: 0,
            refuses: false,
            tries,
            failures: 0,
            not_before: now,
            watch: Watch::from(now),
            gauge: None,
            too_big_until: now,
            hurry: None,
            ready_after: None,
            told: None,
            reminded: now,
            killed: None,
            outcome: None,
        }
    }

    /// It serves from here on as if nothing had been before.
    pub(crate) fn serves_from(&mut self, policy: &Policy, now: Instant, known_from: Instant) {
        (self.role, self.failures, self.not_before) = (Role::Incumbent, 0, now);
        (self.watch, self.too_big_until) = (Watch::from(known_from), now);
        self.measured_from(policy, now, known_from);
    }

    /// What was measured of it before is of no account.
    pub(crate) fn measured_from(&mut self, policy: &Policy, measured_from: Instant, known_from: Instant) {
        let limit = policy.budget.memory;
        let ready_after = self.ready_after;
        self.gauge = limit.map(|limit| Gauge::from(limit, policy, measured_from, known_from, ready_after));
    }

    /// It has replaced its processes by itself.
    pub(crate) fn renew(&mut self, policy: &Policy, now: Instant) {
        (self.started, self.used, self.draw) = (now, 0, Draw::from(&policy.budget));
    }

    /// The one beside it cannot be told to stop: it stays.
    pub(crate) fn keep(&mut self) {
        if self.fate == Fate::Replaceable {
            self.fate = Fate::Deaf;
        }
    }

    /// A successor of it has failed.
    pub(crate) fn has_failed_successor(&mut self, policy: &Policy, now: Instant) {
        self.failures += 1;
        self.not_before = now + pause(policy.min_age, self.failures);
    }

    pub(crate) fn recyclable_from(&self, policy: &Policy) -> Instant {
        self.not_before.max(self.started + policy.min_age)
    }

    pub(crate) fn is_incumbent(&self) -> bool {
        matches!(self.role, Role::Incumbent)
    }
}

/// How long a recycle waits that so many in a row have not cured: the minimum age, doubled up to ten minutes.
pub(crate) fn pause(min_age: Duration, in_a_row: u32) -> Duration {
    let first = min_age.max(Duration::from_secs(1));
    let doubled = first.saturating_mul(2_u32.saturating_pow(in_a_row - 1));
    doubled.min(first.max(Duration::from_mins(10)))
}
