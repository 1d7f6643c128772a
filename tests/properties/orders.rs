//! Judges one order: whether it is owed, and what it changes.

use crate::judge::{Judge, News, Recycling, Verdict, ends};
use crate::member::{Member, Need, Preparation, Role, Stage};
use crate::sights::Sights;
use ostler::supervisor::{Action, Answer, Cause, Client, Event, GenerationId, Signal, Slot, Target};
use proptest::prelude::*;

impl Judge {
    pub(crate) fn ordered(&mut self, order: &Action) -> Verdict {
        match order {
            Action::Log(notice) if !self.turn.owed.contains(order) => return self.told(notice),
            Action::Answer { client, answer } => return self.answered(*client, *answer),
            Action::Show { client, status, .. } => return self.shown(*client, status),
            Action::Kill { target, signal } if *signal == self.policy.stop_signal => {
                self.former_may_go(*target);
            }
            Action::Log(_)
            | Action::Spawn { .. }
            | Action::Kill { .. }
            | Action::Reap(_)
            | Action::Follow { .. }
            | Action::SeekHeir(_)
            | Action::WatchWorkers(_)
            | Action::Sweep(_)
            | Action::TidyCores(_)
            | Action::Publish(_)
            | Action::LookAtDisk
            | Action::SearchGrown
            | Action::Look(_)
            | Action::Steer(_)
            | Action::CheckDrain(_)
            | Action::CheckQueue(_)
            | Action::Measure { .. }
            | Action::CountConnections
            | Action::Shed(_)
            | Action::Exit(_) => {}
        }
        if !take(&mut self.turn.owed, order) && !take(&mut self.turn.otherwise, order) {
            let event = &self.turn.event;
            return Err(TestCaseError::fail(format!("{order:?} on {event:?}, with {:#?}", self.members)));
        }
        match order {
            Action::Spawn { id, slot } => self.spawn(*id, *slot)?,
            Action::Kill { target, signal } => self.kill(*target, *signal)?,
            Action::Reap(id) => self.reap(*id)?,
            Action::Steer(slot) => {
                (self.steering.before, self.steering.to) = (Some(self.steering.to), *slot);
                self.steering.again = None;
            }
            Action::Shed(slot) => {
                prop_assert!(
                    self.steering.again.is_some() || *slot != self.steering.to,
                    "new connections are shed"
                );
            }
            Action::Log(notice) => self.told_as_owed(notice),
            Action::Exit(code) => {
                prop_assert!(self.turn.owed.is_empty(), "ends before {:?}", self.turn.owed);
                self.exit = Some(*code);
            }
            Action::CheckQueue(slot) => self.queue_is_looked_at(*slot),
            Action::Measure { id, .. } => self.is_measured(*id),
            Action::CountConnections => {
                let now = self.turn.now;
                self.silence.iter_mut().for_each(|silence| silence.asked(now));
            }
            Action::Follow { .. }
            | Action::SeekHeir(_)
            | Action::WatchWorkers(_)
            | Action::Sweep(_)
            | Action::TidyCores(_)
            | Action::Show { .. }
            | Action::Publish(_)
            | Action::LookAtDisk
            | Action::SearchGrown
            | Action::Look(_)
            | Action::CheckDrain(_)
            | Action::Answer { .. } => {}
        }
        Ok(())
    }

    fn spawn(&mut self, id: GenerationId, slot: Slot) -> Verdict {
        prop_assert!(self.end.is_none(), "a start after a stop");
        let now = self.turn.now;
        let tries = self.start.take().map_or(0, |start| start.failures);
        let role = match self.incumbent() {
            None => Role::Incumbent,
            Some(incumbent) => {
                prop_assert!(self.members.len() == 1 && self.left.is_empty(), "a third generation");
                prop_assert!(incumbent.slot != slot, "two generations on one socket");
                let need = self.turn.need;
                let sights = Sights::new(now);
                Role::Successor(Preparation { began: now, need, sights, look_at: now, by: now })
            }
        };
        self.members.push(Member::new(id, slot, role, tries, now));
        self.newest = self.newest.max(id);
        Ok(())
    }

    /// Whoever has another beside it that serves is told to stop only when new connections go there.
    fn kill(&self, target: Target, signal: Signal) -> Verdict {
        let (Target::Leader(id) | Target::Group(id) | Target::Gunicorn(id)) = target;
        let goes = self.members.iter().find(|member| member.id == id && !member.is_incumbent());
        if let (Some(member), Some(_)) =
            (goes.filter(|_| signal == self.policy.stop_signal), self.incumbent())
        {
            prop_assert!(
                self.steering.again.is_some() || member.slot != self.steering.to,
                "stopped while new connections go there"
            );
        }
        Ok(())
    }

    fn reap(&mut self, id: GenerationId) -> Verdict {
        let group = Target::Group(id);
        let kill = |order: &Action| matches!(order, Action::Kill { target, .. } if *target == group);
        prop_assert!(!self.turn.owed.iter().any(kill), "reaped before its group was told to end");
        if let Some(member) = self.member(id) {
            member.stage = Stage::Reaped;
        }
        Ok(())
    }

    /// When the incumbent is asked to end, who still drains may go at once, or drain on.
    fn former_may_go(&mut self, target: Target) {
        let former = self.members.iter().find(|member| matches!(member.role, Role::Former(_)));
        if let (Some(former), Event::Signal(signal)) = (former.map(|member| member.id), &self.turn.event)
            && ends(*signal)
            && target == self.recipient(former)
        {
            self.leave(former, Cause::Recycled);
        }
    }

    fn answered(&mut self, client: Client, answer: Answer) -> Verdict {
        prop_assert_eq!(self.turn.asked.take(), Some(client), "who is answered");
        let started = matches!(self.turn.recycle, Recycling::Must | Recycling::Begun);
        let fits = match answer {
            Answer::Started(id) => started && self.members.iter().any(|member| member.id == id),
            Answer::Busy | Answer::Nobody => !started && self.refusals().contains(&answer),
        };
        prop_assert!(fits, "{answer:?} with {:#?}", self.members);
        Ok(())
    }

    fn queue_is_looked_at(&mut self, slot: Slot) {
        let (now, limit) = (self.turn.now, self.policy.watchdog.unwrap_or_default());
        if let Some(member) = self.members.iter_mut().find(|member| member.slot == slot) {
            member.watch.looked(now, limit);
        }
    }

    fn is_measured(&mut self, id: GenerationId) {
        let now = self.turn.now;
        if let Some(gauge) = self.member(id).and_then(|member| member.gauge.as_mut()) {
            gauge.ordered(now);
        }
    }

    /// Takes this off the list of what must be told.
    pub(crate) fn was_news(&mut self, news: News) -> Verdict {
        let Some(place) = self.turn.news.iter().position(|awaited| *awaited == news) else {
            return Err(TestCaseError::fail(format!("{news:?} is no news on {:?}", self.turn.event)));
        };
        self.turn.news.remove(place);
        Ok(())
    }

    /// What a recycle is for, by what it began on.
    pub(crate) fn need(&self) -> Need {
        if let Event::QueueSeen { .. } = self.turn.event { Need::Rescue } else { Need::Renewal }
    }
}

/// Takes it off the list, if it is there.
fn take(owed: &mut Vec<Action>, order: &Action) -> bool {
    let place = owed.iter().position(|owed| owed == order);
    place.map(|place| owed.remove(place)).is_some()
}
