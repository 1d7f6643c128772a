//! Judges what is told: the log must say what is so.

use crate::judge::{Failure, Judge, News, Recycling, Verdict};
use crate::member::{Fate, Limit, Need};
use ostler::supervisor::{Action, Cause, Event, GenerationId, Lack, Notice, Recycle, RecycleReason};
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
            Notice::GenerationStarted { id, pid, max_requests } => {
                prop_assert_eq!(&Event::Spawned { id: *id, pid: *pid }, &self.turn.event);
                self.started(*id, *max_requests)
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
            | Notice::GraceExpired { .. }
            | Notice::GroupLeft { .. }
            | Notice::SignalRefused { .. }
            | Notice::OrphanReaped { .. } => {
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

    fn started(&mut self, id: GenerationId, limit: Option<u64>) -> Verdict {
        self.was_news(News::Started(id))?;
        let budget = Limit::drawn_from(&self.policy.budget);
        prop_assert_eq!(limit.is_some(), budget.is_some());
        if let (Some(limit), Some(budget)) = (limit, budget) {
            prop_assert!(budget.least <= limit && limit <= budget.most, "a limit of {limit}");
        }
        if let Some(member) = self.member(id) {
            member.limit = limit.map(|limit| Limit { least: limit, most: limit });
        }
        Ok(())
    }

    /// When is the next handover tried, if one will be?
    fn next_try_is(&self, told: Option<Duration>) -> Verdict {
        let Some(incumbent) = self.incumbent() else {
            return Err(TestCaseError::fail("there is nobody to be handed over"));
        };
        let replaceable = incumbent.fate == Fate::Replaceable;
        let at = incumbent.recyclable_from(&self.policy);
        let (may, must) = match self.turn.need {
            Need::Rescue => (true, true),
            Need::Renewal => {
                (replaceable && incumbent.maybe_spent(), replaceable && incumbent.surely_spent())
            }
        };
        match told {
            Some(pause) => {
                prop_assert!(may, "nothing calls for another try");
                prop_assert_eq!(self.turn.now + pause, at, "when it is tried again");
            }
            None => prop_assert!(!must, "it is not tried again"),
        }
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
            (Event::Tick, RecycleReason::Requests { used, limit }) => {
                let drawn = member.limit.is_some_and(|drawn| drawn.least <= *limit && *limit <= drawn.most);
                drawn && *used == member.used && used >= limit
            }
            (Event::QueueSeen { .. }, RecycleReason::Hung(standing)) => member.watch.stands(now) == *standing,
            (Event::Asked { .. } | Event::Signal(_), RecycleReason::Command) => true,
            (_, RecycleReason::Requests { .. } | RecycleReason::Hung(_) | RecycleReason::Command) => false,
        };
        prop_assert!(fits, "{reason:?} on {:?}", self.turn.event);
        let (slot, requests) = (member.slot, member.used);
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
                    member.serves_from(now, now + policy.ready_timeout);
                }
            }
        }
        Ok(())
    }
}
