//! What has happened so far, gathered from what was told: totals, and the last recycles.

use super::Recycle;
use super::action::Action;
use super::budget::RecycleReason;
use super::event::Event;
use super::notice::Notice;
use super::terms::GenerationId;
use super::workers::Manner;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many recycles are remembered.
const KEPT: usize = 10;
/// Workers that crash again and again are told of once a minute;
/// when that has stopped for twice as long, they do no more.
const CRASHING: Duration = Duration::from_mins(2);

/// How often what has happened since ostler has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were counted, of all generations.
    pub requests: u64,
    /// Recycles that have come to their end.
    pub recycles: u64,
    /// Recycles that have not: the old generation serves on.
    pub recycles_failed: u64,
    /// The child had ended by itself and was started again.
    pub restarts: u64,
    /// Workers that have ended as they should not.
    pub workers_crashed: u64,
    /// Generations that did not stop within the grace period.
    pub grace_expired: u64,
    /// Orphans that were reaped.
    pub orphans: u64,
    /// Lines of the child's stdout that nobody read.
    pub output_dropped: u64,
    /// Core files that were left, where they are looked for (`OSTLER_CORES`).
    pub cores: u64,
}

/// How a recycle has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It is under way.
    UnderWay,
    /// Another generation serves, or the same one anew; it took so long.
    Done(Duration),
    /// The old one serves on, or ostler was told to stop; why.
    Failed(String),
}

/// A recycle, and how it has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRecycle {
    /// Which generation was to be replaced.
    pub id: GenerationId,
    /// Why.
    pub reason: RecycleReason,
    /// How old it was.
    pub age: Duration,
    /// How it has gone.
    pub course: Course,
    /// When it began.
    pub began: Instant,
}

#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) totals: Totals,
    /// The newest last.
    pub(super) recycles: VecDeque<PastRecycle>,
    crashed: Option<Instant>,
    /// Connections come, and no request is ever counted.
    pub(super) silent: bool,
}

impl History {
    /// Takes in a fact, before it is decided on.
    pub(super) fn happened(&mut self, event: &Event) {
        if let Event::RequestsServed { count, .. } = event {
            self.totals.requests = self.totals.requests.saturating_add(*count);
            self.silent = false;
        }
        // Whether it is passed on or taken as ostler's own.
        if let Event::Signal(signal) = event
            && signal.asks_for_the_end()
        {
            self.given_up();
        }
    }

    /// Takes in what was told.
    pub(super) fn told(&mut self, orders: &[Action], recycle: Recycle, now: Instant) {
        for order in orders {
            if let Action::Log(notice) = order {
                self.take_in(notice, recycle, now);
            }
        }
    }

    /// Have workers crashed again and again until now?
    pub(super) fn crashes(&self, now: Instant) -> bool {
        self.crashed.is_some_and(|at| now.saturating_duration_since(at) < CRASHING)
    }

    fn take_in(&mut self, notice: &Notice, recycle: Recycle, now: Instant) {
        let totals = &mut self.totals;
        match notice {
            Notice::RecycleStarted { id, reason, age } => {
                if self.recycles.len() >= KEPT {
                    self.recycles.pop_front();
                }
                let (id, reason, age) = (*id, reason.clone(), *age);
                self.recycles.push_back(PastRecycle {
                    id,
                    reason,
                    age,
                    course: Course::UnderWay,
                    began: now,
                });
            }
            // A successor that is promoted takes over as it is.
            Notice::HandedOver { .. } | Notice::Promoted { .. } | Notice::Reloaded { .. } => self.done(now),
            // Beside an incumbent a start completes nothing yet.
            Notice::GenerationStarted { .. } => match recycle {
                Recycle::Restart => self.done(now),
                Recycle::Handover | Recycle::Reload(_) => {}
            },
            Notice::HandoverFailed { lack, .. } => self.failed(lack.to_string()),
            Notice::TakenBack { .. } => self.taken_back(),
            Notice::SpawnFailed { error, .. } => match recycle {
                Recycle::Handover => self.failed(error.message.clone()),
                Recycle::Restart | Recycle::Reload(_) => {}
            },
            Notice::Restarting { .. } => totals.restarts = totals.restarts.saturating_add(1),
            Notice::WorkerEnded { manner: Manner::Fault, .. } => {
                totals.workers_crashed = totals.workers_crashed.saturating_add(1);
            }
            Notice::WorkersCrash { .. } => self.crashed = Some(now),
            Notice::GraceExpired { .. } => totals.grace_expired = totals.grace_expired.saturating_add(1),
            Notice::OrphansReaped { dead } => {
                let count = u64::try_from(dead.len()).unwrap_or(u64::MAX);
                totals.orphans = totals.orphans.saturating_add(count);
            }
            Notice::OutputDropped { lines } => {
                totals.output_dropped = totals.output_dropped.saturating_add(*lines);
            }
            Notice::CoreLeft { .. } => totals.cores = totals.cores.saturating_add(1),
            Notice::CountSilent { .. } => self.silent = true,
            Notice::Stopping { .. }
            | Notice::Draining { .. }
            | Notice::CoreStuck { .. }
            | Notice::CoreDeleted { .. }
            | Notice::MemoryBudgetSmall { .. }
            | Notice::MemoryUnclear { .. }
            | Notice::WorkerEnded { manner: Manner::Normal, .. }
            | Notice::DrainExpired { .. }
            | Notice::SteerFailed { .. }
            | Notice::ConnectionsShed { .. }
            | Notice::LeaderFollowed { .. }
            | Notice::RecycleRefused { .. }
            | Notice::GenerationEnded { .. }
            | Notice::GaveUp { .. }
            | Notice::NobodyToFollow { .. }
            | Notice::OthersLeft { .. }
            | Notice::OthersKilled { .. }
            | Notice::GroupLeft { .. }
            | Notice::SignalForwarded { .. }
            | Notice::SignalRewritten { .. }
            | Notice::SignalRefused { .. }
            | Notice::SignalDropped { .. }
            | Notice::DiskFills { .. }
            | Notice::DiskGrown { .. } => {}
        }
    }

    fn under_way(&mut self) -> Option<&mut PastRecycle> {
        self.recycles.back_mut().filter(|recycle| recycle.course == Course::UnderWay)
    }

    fn done(&mut self, now: Instant) {
        if let Some(recycle) = self.under_way() {
            recycle.course = Course::Done(now.saturating_duration_since(recycle.began));
            self.totals.recycles = self.totals.recycles.saturating_add(1);
        }
    }

    fn failed(&mut self, why: String) {
        if let Some(recycle) = self.under_way() {
            recycle.course = Course::Failed(why);
            self.totals.recycles_failed = self.totals.recycles_failed.saturating_add(1);
        }
    }

    /// It was done, and that was in vain. It counts as both: figures that only grow must not sink.
    fn taken_back(&mut self) {
        if let Some(recycle) = self.recycles.back_mut() {
            recycle.course = Course::Failed("the successor ended, and the one before it serves again".into());
            self.totals.recycles_failed = self.totals.recycles_failed.saturating_add(1);
        }
    }

    fn given_up(&mut self) {
        if let Some(recycle) = self.under_way() {
            recycle.course = Course::Failed("ostler was told to stop".into());
        }
    }
}
