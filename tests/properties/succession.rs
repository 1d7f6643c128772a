//! Who serves after whom: a successor that is ready or fails, an incumbent that dies, one that hands over.

use crate::judge::{Failure, Judge, News};
use crate::leaving::{backoff, is_worth_another_try};
use crate::member::{Drain, Fate, Need, Role, Stage};
use crate::sights::Verdict;
use ostler::supervisor::{Action, Cause, GenerationId, Notice, Outcome, Queue, Sight, Slot};
use std::time::Duration;

/// After these seconds steering is tried again that has failed once, twice, ...; and after the last ones from then on.
const STEER_AGAIN: [u64; 6] = [1, 2, 4, 8, 16, 30];

impl Judge {
    /// The incumbent has ended by itself: who is beside it takes over if it still can.
    pub(crate) fn incumbent_ended(&mut self, id: GenerationId, outcome: &Outcome) {
        let (now, policy) = (self.turn.now, self.policy.clone());
        let (alone, stopping) = (self.members.len() == 1, self.stopping);
        let Some(member) = self.member(id) else { return };
        let (requests, age, tries, fate) = (member.used, now - member.started, member.tries, member.fate);
        member.role = Role::Leaving(Cause::ByItself);
        let retry = match outcome {
            Outcome::NeverRan(error) if alone => {
                let retry_in = (is_worth_another_try(error) && !stopping).then(|| backoff(tries + 1));
                self.owe(Action::Log(Notice::SpawnFailed { id, error: error.clone(), retry_in }));
                retry_in
            }
            Outcome::NeverRan(_) | Outcome::Ended(_) => {
                let cause = if fate == Fate::Asked { Cause::Asked } else { Cause::ByItself };
                let outcome = outcome.clone();
                self.owe(Action::Log(Notice::GenerationEnded { id, outcome, cause, requests, age }));
                None
            }
        };
        self.bury(id, outcome.clone());
        let beside = self.members.iter_mut().find(|member| member.id != id);
        match beside.map(|member| (member.id, &member.role)) {
            // A server that still boots is better than none.
            Some((successor, Role::Successor(_))) => {
                if let Some(member) = self.member(successor) {
                    member.serves_from(&policy, now, now + policy.ready_timeout);
                }
                self.steer_to(successor);
                self.owe(Action::Log(Notice::Promoted { id: successor }));
            }
            // It was not asked to end, so this is a crash, and the one before it can still serve.
            Some((former, Role::Former(_))) if fate != Fate::Asked => self.take_back(former),
            Some((former, Role::Former(_))) => {
                self.end(id);
                self.leave(former, Cause::Recycled);
            }
            Some((_, Role::Leaving(_) | Role::Incumbent)) => self.end_or_revive(id, outcome, fate),
            None if retry.is_none() => self.end_or_revive(id, outcome, fate),
            None => {}
        }
    }

    /// A successor was looked at: is it ready, or will it never be?
    pub(crate) fn looked(&mut self, id: GenerationId, sight: &Sight) {
        let (now, policy) = (self.turn.now, self.policy.clone());
        let Some(member) = self.member(id).filter(|member| member.stage == Stage::Alive) else { return };
        let Role::Successor(preparation) = &mut member.role else { return };
        let (began, need) = (preparation.began, preparation.need);
        match preparation.sights.add(now, sight, &policy) {
            Verdict::NotYet => {}
            Verdict::Broken => {
                self.fail(id, Failure::WorkerLost);
                self.leave(id, Cause::NotReady);
            }
            Verdict::Ready => {
                member.ready_after = Some(now - member.started);
                member.serves_from(&policy, now, now);
                self.steer_to(id);
                let Some(from) = self.beside(id).map(|member| member.id) else { return };
                let (took, view) = (now - began, sight.view);
                self.owe(Action::Log(Notice::HandedOver { from, to: id, took, view }));
                match need {
                    // It takes nothing from its queue, however long that is waited for.
                    Need::Rescue => self.leave(from, Cause::Recycled),
                    Need::Renewal => {
                        let until = now + policy.linger + policy.grace_period;
                        if let Some(member) = self.member(from) {
                            member.role = Role::Former(Drain { empty_since: now, check_at: now, until });
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn drain_checked(&mut self, slot: Slot, queue: Queue) {
        let (now, linger) = (self.turn.now, self.policy.linger);
        let Some(member) = self.members.iter_mut().find(|member| member.slot == slot) else { return };
        let Role::Former(drain) = &mut member.role else { return };
        match queue {
            Queue::Waiting => drain.empty_since = now,
            Queue::Empty if now >= drain.empty_since + linger => {
                let id = member.id;
                self.leave(id, Cause::Recycled);
            }
            Queue::Empty => {}
        }
    }

    /// New connections go where they went before.
    pub(crate) fn steer_failed(&mut self) {
        self.steering.to = self.steering.before.take().unwrap_or(self.steering.to);
        let pause = STEER_AGAIN.get(self.steering.failures as usize).copied().unwrap_or(30);
        self.steering.again = Some(self.turn.now + Duration::from_secs(pause));
        self.steering.failures += 1;
        let former = self.members.iter().find(|member| matches!(member.role, Role::Former(_)));
        let (former, incumbent) = (former.map(|member| member.id), self.incumbent().map(|member| member.id));
        if let (Some(former), Some(incumbent)) = (former, incumbent) {
            // That is to the one before: it stays, and the new one goes.
            self.take_back(former);
            self.leave(incumbent, Cause::NotReady);
        }
    }

    /// A successor will not serve: nothing changes for the incumbent.
    pub(crate) fn fail(&mut self, id: GenerationId, failure: Failure) {
        let Some(incumbent) = self.incumbent().map(|member| member.id) else { return };
        if let Some(Role::Successor(preparation)) = self.member(id).map(|member| &member.role) {
            self.turn.need = preparation.need;
        }
        self.handover_failed(incumbent);
        self.steer_to(incumbent);
        self.turn.news.push(News::HandoverFailed(id, failure));
    }

    /// The former incumbent serves again.
    pub(crate) fn take_back(&mut self, former: GenerationId) {
        if let Some(member) = self.member(former) {
            member.role = Role::Incumbent;
        }
        self.handover_failed(former);
        self.steer_to(former);
        self.turn.news.push(News::TakenBack(former));
    }

    pub(crate) fn handover_failed(&mut self, incumbent: GenerationId) {
        let (now, policy) = (self.turn.now, self.policy.clone());
        if let Some(member) = self.member(incumbent) {
            member.has_failed_successor(&policy, now);
        }
    }

    /// New connections are to be given to it, and what probes a successor is to end.
    pub(crate) fn steer_to(&mut self, id: GenerationId) {
        self.steering.failures = 0;
        // An order that had failed before need not be given again.
        self.turn.owed.retain(|order| !matches!(order, Action::Steer(_)));
        if let Some(slot) = self.member(id).map(|member| member.slot) {
            self.owe(Action::Steer(slot));
        }
    }
}
