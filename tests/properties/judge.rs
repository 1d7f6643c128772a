//! The rules, told from events and orders alone: what must never be ordered, and what must be ordered at once.

use ostler::supervisor::{
    Action, Event, GenerationId, Notice, Outcome, Policy, Recipient, RecycleReason, Signal, SpawnCause,
    Target,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::time::{Duration, Instant};

/// How long ostler waits for what has got SIGKILL before it ends without it.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(5);

type Verdict = Result<(), TestCaseError>;

/// Takes in what was told and ordered. Events that make no sense are no facts to it, as they must be none to ostler.
pub(crate) struct Judge {
    policy: Policy,
    /// The generation that was ordered last, or the first before that.
    id: GenerationId,
    stage: Stage,
    limit: Option<u64>,
    used: u64,
    started: Instant,
    /// When it was told to stop, or its leader had ended.
    told: Option<Instant>,
    killed: Option<Instant>,
    outcome: Option<Outcome>,
    fate: Fate,
    stopping: Option<Instant>,
    exit: Option<u8>,
    /// How many generations were recycled.
    pub(crate) recycled: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was started, or nothing came of it.
    Nobody,
    /// A start was ordered.
    Ordered,
    Alive,
    /// The leader is dead, and nobody has dealt with what it leaves behind.
    Dead,
    /// The leader is dead, and its group was told to end.
    Told,
    Reaped,
    Gone,
}

/// What is to become of ostler when this generation is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ended by itself, or still serves.
    Exit,
    Replace,
    Retry,
}

impl Judge {
    pub(crate) fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            id: GenerationId(1),
            stage: Stage::Nobody,
            limit: None,
            used: 0,
            started: now,
            told: None,
            killed: None,
            outcome: None,
            fate: Fate::Exit,
            stopping: None,
            exit: None,
            recycled: 0,
        }
    }

    pub(crate) fn current(&self) -> GenerationId {
        self.id
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Judges what was ordered on an event.
    pub(crate) fn step(&mut self, now: Instant, event: &Event, orders: &[Action]) -> Verdict {
        let (ended, kill_is_due) = (self.has_exited(), self.grace_is_over(now));
        self.learn(now, event);
        for order in orders {
            if let Action::Log(Notice::OrphanReaped { .. }) = order {
                continue;
            }
            prop_assert!(!self.has_exited(), "{order:?} after the end");
            match order {
                Action::Spawn(id) => self.spawn(*id)?,
                Action::Kill { target, signal } => self.kill(now, event, *target, *signal)?,
                Action::Reap(id) => {
                    prop_assert_eq!((*id, self.stage), (self.id, Stage::Told), "reaped");
                    self.stage = Stage::Reaped;
                }
                Action::Log(notice) => self.notice(now, notice)?,
                Action::Exit(code) => self.end(now, event, *code)?,
            }
        }
        if ended { Ok(()) } else { self.at_once(now, event, kill_is_due) }
    }

    /// After TERM ostler ends in time, whatever the children do.
    pub(crate) fn in_time(&self, now: Instant) -> Verdict {
        let latest = self.stopping.map(|stopping| stopping + self.policy.grace_period + KILL_WAIT);
        prop_assert!(latest.is_none_or(|latest| now <= latest), "too late to end");
        Ok(())
    }

    /// Nothing will happen any more and no time is waited for: is this a state to stay in?
    pub(crate) fn at_rest(&self) -> Verdict {
        prop_assert_eq!(self.stopping, None, "stopped, and never ended");
        prop_assert!(self.serves(), "nobody serves, and nothing is waited for: {:?}", self.stage);
        Ok(())
    }

    /// Is a generation there, that nobody has told to stop and that has budget left?
    pub(crate) fn serves(&self) -> bool {
        self.stage == Stage::Alive && self.told.is_none() && !self.is_spent()
    }

    fn is_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }

    /// SIGKILL may be sent, and is due.
    fn grace_is_over(&self, now: Instant) -> bool {
        self.told.is_some_and(|told| now >= told + self.policy.grace_period)
    }

    /// SIGKILL was sent, and waited for.
    fn given_up(&self, now: Instant) -> bool {
        self.killed.is_some_and(|killed| now >= killed + KILL_WAIT)
    }

    fn learn(&mut self, now: Instant, event: &Event) {
        match (self.stage, event) {
            (Stage::Ordered, Event::Spawned { id, .. }) if *id == self.id => {
                self.stage = Stage::Alive;
                self.started = now;
            }
            (Stage::Ordered, Event::SpawnFailed { id, .. }) if *id == self.id => self.stage = Stage::Nobody,
            (Stage::Alive, Event::Exited { id, outcome }) if *id == self.id => {
                self.stage = Stage::Dead;
                self.outcome = Some(outcome.clone());
                if let Outcome::NeverRan(error) = outcome {
                    self.fate = if error.cause == SpawnCause::Resources { Fate::Retry } else { Fate::Exit };
                }
                self.told = self.told.or(Some(now));
            }
            (Stage::Reaped, Event::GroupGone { id }) if *id == self.id => self.stage = Stage::Gone,
            (Stage::Alive, Event::RequestsServed { id, count }) if *id == self.id => {
                self.used = self.used.saturating_add(*count);
            }
            // It never heard that it was to stop, so it serves on, and is not asked again.
            (Stage::Alive, Event::KillRefused { id })
                if *id == self.id
                    && self.fate == Fate::Replace
                    && self.killed.is_none()
                    && self.stopping.is_none() =>
            {
                (self.told, self.fate, self.limit) = (None, Fate::Exit, None);
            }
            (_, Event::Signal(signal)) => {
                let serving = self.stage == Stage::Alive && self.told.is_none();
                // A server that serves may have its own opinion of SIGINT and SIGQUIT.
                if *signal == Signal::TERM || (ends(*signal) && !serving) {
                    self.stopping = self.stopping.or(Some(now));
                } else if ends(*signal) {
                    // But it is not recycled any more.
                    self.limit = None;
                }
            }
            _ => {}
        }
    }

    fn spawn(&mut self, id: GenerationId) -> Verdict {
        prop_assert_eq!(self.stopping, None, "a start after a stop");
        let expected = match (self.stage, self.fate) {
            (Stage::Nobody, _) | (Stage::Gone, Fate::Retry) => self.id,
            (Stage::Gone, Fate::Replace) => self.id.next(),
            (stage, fate) => return Err(TestCaseError::fail(format!("start while {stage:?}, {fate:?}"))),
        };
        prop_assert_eq!(id, expected, "the number of the next generation");
        let (policy, recycled) = (self.policy.clone(), self.recycled);
        *self =
            Self { id, stage: Stage::Ordered, fate: Fate::Exit, recycled, ..Self::new(policy, self.started) };
        Ok(())
    }

    fn kill(&mut self, now: Instant, event: &Event, target: Target, signal: Signal) -> Verdict {
        let recipient = match self.policy.recipient {
            Recipient::Leader => Target::Leader(self.id),
            Recipient::Group => Target::Group(self.id),
        };
        let forwarded = *event == Event::Signal(signal) && target == recipient;
        let recycled = self.fate == Fate::Replace && self.told.is_none();
        let kill = signal == Signal::KILL && self.grace_is_over(now);
        let group = target == Target::Group(self.id);
        // What is left of a group hears of the end from ostler itself.
        let asked = group && ends(signal) && *event == Event::Signal(signal);
        let leader = target == Target::Leader(self.id);
        let allowed = match self.stage {
            Stage::Alive if kill => group || leader,
            Stage::Alive => forwarded || (recycled && signal == Signal::TERM && target == recipient),
            Stage::Dead | Stage::Told => group && (kill || matches!(signal, Signal::TERM | Signal::CONT)),
            Stage::Reaped => group && (kill || asked),
            Stage::Nobody | Stage::Ordered | Stage::Gone => false,
        };
        prop_assert!(allowed, "{signal:?} to {target:?} while {:?}, on {event:?}", self.stage);
        match signal {
            Signal::TERM => self.told = self.told.or(Some(now)),
            Signal::KILL => self.killed = self.killed.or(Some(now)),
            Signal(_) => {}
        }
        if self.stage == Stage::Dead && signal != Signal::CONT {
            self.stage = Stage::Told;
        }
        Ok(())
    }

    fn notice(&mut self, now: Instant, notice: &Notice) -> Verdict {
        if let Notice::GenerationStarted { id, max_requests, .. } = notice {
            prop_assert_eq!((*id, self.stage), (self.id, Stage::Alive));
            let budget = &self.policy.budget;
            let most = budget.requests.map(|requests| requests.saturating_add(budget.requests_jitter));
            prop_assert!(budget.requests <= *max_requests && *max_requests <= most);
            self.limit = *max_requests;
        }
        if let Notice::GroupLeft { id } = notice {
            prop_assert_eq!(*id, self.id);
            prop_assert!(self.given_up(now), "left too soon");
            if self.stage == Stage::Reaped {
                self.stage = Stage::Gone;
            }
        }
        if let Notice::RecycleStarted { id, reason, age } = notice {
            let RecycleReason::Requests { used, limit } = reason;
            prop_assert_eq!((*id, self.stage), (self.id, Stage::Alive));
            prop_assert_eq!((*used, Some(*limit)), (self.used, self.limit), "what was used of what");
            prop_assert_eq!(*age, now - self.started);
            prop_assert!(self.is_spent(), "recycled below its limit");
            prop_assert!(*age >= self.policy.min_age, "recycled too young");
            prop_assert!(self.told.is_none(), "recycled twice");
            self.fate = Fate::Replace;
            self.recycled += 1;
        }
        Ok(())
    }

    fn end(&mut self, now: Instant, event: &Event, code: u8) -> Verdict {
        let expected = match (self.stage, event, &self.outcome) {
            // Only a signal ends ostler while it has no child, and tells how.
            (Stage::Nobody | Stage::Ordered, Event::Signal(signal), _) if ends(*signal) => signal.exit_code(),
            (Stage::Gone, Event::Signal(signal), _) if self.fate == Fate::Retry && ends(*signal) => {
                signal.exit_code()
            }
            (Stage::Gone, _, Some(outcome)) => outcome.code(),
            // It did all that it could.
            (Stage::Alive, ..) => {
                prop_assert!(self.given_up(now), "ended before the group was gone");
                Signal::KILL.exit_code()
            }
            (stage, _, _) => return Err(TestCaseError::fail(format!("end while {stage:?}, on {event:?}"))),
        };
        // A leader that even SIGKILL does not end cannot be replaced.
        let hangs = self.stage == Stage::Alive && self.given_up(now);
        prop_assert!(hangs || self.stopping.is_some() || self.fate == Fate::Exit, "ended without a reason");
        prop_assert_eq!(code, expected, "exit status");
        self.exit = Some(code);
        Ok(())
    }

    /// What may not wait for another event.
    fn at_once(&self, now: Instant, event: &Event, kill_is_due: bool) -> Verdict {
        if self.has_exited() {
            return Ok(());
        }
        // Its zombie hides the other dead from the edge.
        prop_assert!(!matches!(self.stage, Stage::Dead | Stage::Told), "not reaped");
        let alive = self.stage == Stage::Alive;
        if self.stopping.is_some() {
            prop_assert!(
                if alive { self.told.is_some() } else { self.stage == Stage::Reaped },
                "does not stop"
            );
        }
        if self.stage == Stage::Gone {
            prop_assert!(self.fate == Fate::Retry, "neither replaced nor ended");
        }
        if *event == Event::Tick && (alive || self.stage == Stage::Reaped) {
            let old_enough = now >= self.started + self.policy.min_age;
            let due = alive && self.told.is_none() && self.is_spent() && old_enough;
            prop_assert!(!due, "spent, old enough, and not recycled");
            prop_assert!(self.killed.is_some() || !kill_is_due, "no SIGKILL");
        }
        Ok(())
    }
}

fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT)
}
