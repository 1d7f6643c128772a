//! One generation of the child: what it may use, what it has used.

use super::budget::{Limits, RecycleReason};
use super::notice::{Cause, Notice};
use super::terms::{GenerationId, Outcome, Pid, Slot};
use super::turn::Turn;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) id: GenerationId,
    pub(super) slot: Slot,
    pub(super) started: Instant,
    pub(super) limits: Limits,
    requests: u64,
    /// How many starts in a row had failed before this one.
    pub(super) failures: u32,
    /// So long after its start it was seen to serve.
    pub(super) ready_after: Option<Duration>,
    pub(super) fate: Fate,
    reach: Reach,
}

/// May it be replaced?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Replaceable,
    /// No: it was asked to end, and may take its time.
    AskedToEnd,
    /// No: it cannot be told to stop.
    Deaf,
}

/// Do signals arrive there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Open,
    /// The kernel has refused one, and that was told.
    Refused,
}

impl Generation {
    pub(super) fn new(id: GenerationId, slot: Slot, pid: Pid, failures: u32, turn: &mut Turn<'_>) -> Self {
        let limits = turn.policy.budget.draw(turn.random);
        let generation = Self {
            id,
            slot,
            started: turn.now,
            limits,
            requests: 0,
            failures,
            ready_after: None,
            fate: Fate::Replaceable,
            reach: Reach::Open,
        };
        turn.log(Notice::GenerationStarted { id, pid, limits: generation.limits.clone() });
        generation
    }

    /// The request budget, if it is spent.
    pub(super) fn requests_spent(&self) -> Option<RecycleReason> {
        let (used, limit) = (self.requests, self.limits.requests?);
        (used >= limit).then_some(RecycleReason::Requests { used, limit })
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// How many requests were counted for it.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// Adds to the requests of this generation if `id` names it.
    pub(super) fn count(&mut self, id: GenerationId, requests: u64) {
        if id == self.id {
            self.requests = self.requests.saturating_add(requests);
        }
    }

    /// All that it has used is as if given back: it has replaced its processes by itself.
    pub(super) fn renew(&mut self, turn: &mut Turn<'_>) {
        self.started = turn.now;
        self.limits = turn.policy.budget.draw(turn.random);
        self.requests = 0;
    }

    /// The one beside it cannot be told to stop, so it is not replaced.
    pub(super) fn keep(&mut self) {
        if self.fate == Fate::Replaceable {
            self.fate = Fate::Deaf;
        }
    }

    /// Tells, once, that signals do not reach it. It cannot be told to stop, so it is not replaced.
    pub(super) fn refused(&mut self, turn: &mut Turn<'_>) {
        self.fate = Fate::Deaf;
        if self.reach == Reach::Open {
            turn.log(Notice::SignalRefused { id: self.id });
            self.reach = Reach::Refused;
        }
    }

    pub(super) fn ended(&self, now: Instant, outcome: Outcome, cause: Cause) -> Notice {
        let cause = match (cause, self.fate) {
            (Cause::ByItself, Fate::AskedToEnd) => Cause::Asked,
            (cause, Fate::AskedToEnd | Fate::Replaceable | Fate::Deaf) => cause,
        };
        let (id, requests, age) = (self.id, self.requests, self.age(now));
        Notice::GenerationEnded { id, outcome, cause, requests, age }
    }
}
