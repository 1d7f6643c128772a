//! One generation of the child: what it may use, what it has used.

use super::budget::{Limits, RecycleReason, Usage};
use super::event::{GenerationId, Outcome, Pid};
use super::notice::{Cause, Notice};
use super::turn::Turn;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) id: GenerationId,
    pub(super) pid: Pid,
    pub(super) started: Instant,
    pub(super) limits: Limits,
    pub(super) usage: Usage,
    /// How many starts in a row had failed before this one.
    pub(super) failures: u32,
    pub(super) reach: Reach,
}

/// Do signals arrive there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Open,
    /// The kernel has refused one, and that was told.
    Refused,
}

impl Generation {
    pub(super) fn new(id: GenerationId, pid: Pid, failures: u32, turn: &mut Turn<'_>) -> Self {
        let limits = turn.policy.budget.draw(turn.random);
        let usage = Usage::default();
        Self { id, pid, started: turn.now, limits, usage, failures, reach: Reach::Open }
    }

    /// The budget that is spent, whatever the age.
    pub(super) fn spent(&self) -> Option<RecycleReason> {
        self.limits.spent(&self.usage)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Adds to the usage of this generation if `id` names it.
    pub(super) fn count(&mut self, id: GenerationId, requests: u64) {
        if id == self.id {
            self.usage.requests = self.usage.requests.saturating_add(requests);
        }
    }

    /// It will not be replaced any more, whatever it uses.
    pub(super) fn keep(&mut self) {
        self.limits = Limits::NONE;
    }

    /// Tells, once, that signals do not reach it.
    pub(super) fn refused(&mut self, turn: &mut Turn<'_>) {
        if self.reach == Reach::Open {
            turn.log(Notice::SignalRefused { id: self.id });
            self.reach = Reach::Refused;
        }
    }

    pub(super) fn started(&self) -> Notice {
        Notice::GenerationStarted { id: self.id, pid: self.pid, max_requests: self.limits.requests }
    }

    pub(super) fn ended(&self, now: Instant, outcome: Outcome, cause: Cause) -> Notice {
        let (id, requests, age) = (self.id, self.usage.requests, self.age(now));
        Notice::GenerationEnded { id, outcome, cause, requests, age }
    }
}
