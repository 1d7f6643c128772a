//! Judges what is told: the log must say what is so.

use crate::budgets::{Calls, Draw};
use crate::judge::{Failure, Judge, News, Recycling, Verdict};
use crate::member::{Fate, Member, Need};
use ostler::supervisor::{Action, Cause, Event, GenerationId, Lack, Limits, Notice, Recycle, RecycleReason};
use proptest::prelude::*;
use std::time::Duration;

impl Judge {
    /// A notice that was owed word by word.
    pub(crate) fn told_as_owed(&mut self, notice: &Notice) {
        if let Notice::GroupLeft { id } = notice {
            self.left.push(*id);
            self.is_gone(*id);
        }
    }

    pub(crate) fn told(&mut self, notice: &Notice) -> Verdict {
        match notice {
            Notice::GenerationStarted { id, pid, limits } => {
                prop_assert_eq!(&Event::Spawned { id: *id, pid: *pid }, &self.turn.event);
                self.started(*id, limits)
            }
            Notice::SpawnFailed { id, retry_in, .. } => {
                self.was_news(News::NotStarted(*id))?;
                self.next_try_is(*retry_in)
            }
            Notice::HandoverFailed { id, lack, retry_in } => {
                let failure = match lack {
                    Lack::Leader => Failure::Ended,
                    Lack::WorkerLost => Failure::WorkerLost,
                    Lack::Time
                    | Lack::Word
                    | Lack::Accept
                    | Lack::Health(_)
                    | Lack::Reach(_)
                    | Lack::Workers { .. }
                    | Lack::Sight => Failure::TooLate,
                };
                self.was_news(News::HandoverFailed(*id, failure))?;
                self.next_try_is(*retry_in)
            }
            Notice::TakenBack { id, retry_in } => {
                self.was_news(News::TakenBack(*id))?;
                self.next_try_is(*retry_in)
            }
            Notice::RecycleStarted { id, reason, age } => self.recycled(*id, reason, *age),
            Notice::RecycleRefused { answer } => {
                prop_assert!(self.refusals().contains(answer), "{notice:?} with {:#?}", self.members);
                self.was_news(self.heard(News::Refused))
            }
            Notice::SignalForwarded { signal } => {
                prop_assert_eq!(&Event::Signal(*signal), &self.turn.event);
                self.was_news(News::Signal)
            }
            Notice::SignalDropped { signal } => {
                prop_assert_eq!(&Event::Signal(*signal), &self.turn.event);
                self.was_news(self.heard(News::Signal))
            }
            Notice::HandedOver { .. }
            | Notice::Promoted { .. }
            | Notice::DrainExpired { .. }
            | Notice::SteerFailed { .. }
            | Notice::ConnectionsShed { .. }
            | Notice::LeaderFollowed { .. }
            | Notice::Reloaded { .. }
            | Notice::GenerationEnded { .. }
            | Notice::Stopping { .. }
            | Notice::WorkerEnded { .. }
            | Notice::WorkersCrash { .. }
            | Notice::Draining { .. }
            | Notice::Restarting { .. }
            | Notice::GaveUp { .. }
            | Notice::NobodyToFollow { .. }
            | Notice::OthersLeft { .. }
            | Notice::OthersKilled { .. }
            | Notice::GraceExpired { .. }
            | Notice::GroupLeft { .. }
            | Notice::SignalRewritten { .. }
            | Notice::SignalRefused { .. }
            | Notice::MemoryBudgetSmall { .. }
            | Notice::MemoryUnclear { .. }
            | Notice::CountSilent { .. }
            | Notice::CoreLeft { .. }
            | Notice::CoreDeleted { .. }
            | Notice::CoreStuck { .. }
            | Notice::DiskFills { .. }
            | Notice::DiskGrown { .. }
            | Notice::OutputDropped { .. }
            | Notice::OrphansReaped { .. } => {
                let Self { turn, members, .. } = self;
                Err(TestCaseError::fail(format!(
                    "{notice:?} on {:?} of {turn:?}, with {members:#?}",
                    turn.event
                )))
            }
        }
    }

    /// What is told if it was heard at all.
    fn heard(&self, news: News) -> News {
        if self.turn.news.contains(&News::Unheard) { News::Unheard } else { news }
    }

    fn started(&mut self, id: GenerationId, limits: &Limits) -> Verdict {
        self.was_news(News::Started(id))?;
        let budget = &self.policy.budget;
        prop_assert!(Draw::from(budget).fits(limits), "{limits:?} of {budget:?}");
        prop_assert_eq!(limits.memory, budget.memory, "memory has no jitter");
        if let Some(member) = self.member(id) {
            member.draw = Draw::told(limits);
        }
        Ok(())
    }

    /// When is the next handover tried, if one will be?
    fn next_try_is(&self, told: Option<Duration>) -> Verdict {
        let Some(incumbent) = self.incumbent() else {
            return Err(TestCaseError::fail("there is nobody to be handed over"));
        };
        let replaceable = incumbent.fate == Fate::Replaceable;
        let Calls { may, must } = match self.turn.need {
            Need::Rescue => {
                let at = Some(incumbent.recyclable_from(&self.policy));
                Calls { may: at, must: at }
            }
            Need::Renewal if replaceable => incumbent.calls(&self.policy),
            Need::Renewal => Calls { may: None, must: None },
        };
        let Some(at) = told.map(|pause| self.turn.now + pause) else {
            prop_assert_eq!(must, None, "it is not tried again");
            return Ok(());
        };
        prop_assert!(may.is_some_and(|may| may <= at), "tried again at {at:?}, but only from {may:?} on");
        prop_assert!(must.is_none_or(|must| at <= must), "tried again at {at:?}, and not by {must:?}");
        Ok(())
    }

    fn recycled(&mut self, id: GenerationId, reason: &RecycleReason, age: Duration) -> Verdict {
        let now = self.turn.now;
        let Some(member) = self.alone().filter(|member| member.id == id) else {
            return Err(TestCaseError::fail("who is recycled does not serve alone"));
        };
        prop_assert!(
            matches!(self.turn.recycle, Recycling::Maybe | Recycling::Must),
            "recycled without a reason"
        );
        prop_assert_eq!(age, now - member.started);
        let fits = match (&self.turn.event, reason) {
            (Event::Tick, reason) if self.is_spent(member, reason) => true,
            (Event::QueueSeen { .. }, RecycleReason::Hung(standing)) => member.watch.stands(now) == *standing,
            (Event::Asked { .. } | Event::Signal(_), RecycleReason::Command) => true,
            (
                _,
                RecycleReason::Requests { .. }
                | RecycleReason::Age { .. }
                | RecycleReason::Memory { .. }
                | RecycleReason::Hung(_)
                | RecycleReason::Command,
            ) => false,
        };
        prop_assert!(fits, "{reason:?} on {:?}", self.turn.event);
        let (slot, requests) = (member.slot, member.used);
        self.turn.otherwise.clear();
        (self.turn.recycle, self.turn.need) = (Recycling::Begun, self.need());
        match self.policy.recycle {
            Recycle::Handover => self.owe(Action::Spawn { id: self.newest.next(), slot: slot.other() }),
            Recycle::Restart => {
                // There is nobody to be given new connections until the next one has started.
                self.turn.owed.retain(|order| !matches!(order, Action::Steer(_)));
                self.leave(id, Cause::Recycled);
            }
            Recycle::Reload(signal) => {
                self.owe_kill(self.recipient(id), signal);
                self.owe(Action::Log(Notice::Reloaded { id, signal, requests }));
                let policy = self.policy.clone();
                if let Some(member) = self.member(id) {
                    member.renew(&policy, now);
                    // For a while it holds the memory of both.
                    let alone = now + policy.grace_period;
                    let known = now + policy.ready_timeout;
                    member.serves_from(&policy, now, known);
                    member.measured_from(&policy, alone, known);
                }
            }
        }
        Ok(())
    }

    /// Is this budget spent, by these figures? Several may be.
    fn is_spent(&self, member: &Member, reason: &RecycleReason) -> bool {
        let now = self.turn.now;
        match reason {
            RecycleReason::Requests { used, limit } => {
                member.draw.requests_may_be(*limit) && *used == member.used && used >= limit
            }
            RecycleReason::Age { limit } => member.draw.age_may_be(*limit) && now >= member.started + *limit,
            RecycleReason::Memory { used, limit } => {
                let figures = member.gauge.as_ref().map(|gauge| (gauge.used(), gauge.limit));
                let due = member.memory_calls_from(&self.policy).is_some_and(|at| now >= at);
                due && figures == Some((Some(*used), *limit))
            }
            RecycleReason::Command | RecycleReason::Hung(_) => false,
        }
    }
}
