//! The rules, told from events and orders alone: what must be ordered on an event, and what must never be.

use crate::member::{Fate, Member, Need, Role, Stage};
use crate::silence::Silence;
use crate::stopping::{Revival, Sweep};
use ostler::supervisor::{
    Action, Answer, Client, Event, ExitStatus, GenerationId, Notice, Policy, Recipient, Signal, Slot, Target,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::time::{Duration, Instant};

/// How long ostler waits for what has got SIGKILL before it goes on without it.
pub(crate) const KILL_WAIT: Duration = Duration::from_secs(5);

pub(crate) type Verdict = Result<(), TestCaseError>;

/// Takes in what was told and ordered. Events that make no sense are no facts to it, as they must be none to ostler.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) policy: Policy,
    /// Those that are there or ordered. At most two, one of which is the incumbent unless all are to stop.
    pub(crate) members: Vec<Member>,
    /// Those that even SIGKILL has not ended.
    pub(crate) left: Vec<GenerationId>,
    pub(crate) start: Option<Start>,
    pub(crate) end: Option<End>,
    pub(crate) steering: Steering,
    /// How many in a row have spent their memory budget too soon.
    pub(crate) too_big: u32,
    /// `None`: nobody cares, a request was counted, or it was told.
    pub(crate) silence: Option<Silence>,
    pub(crate) newest: GenerationId,
    pub(crate) exit: Option<u8>,
    /// Asked to stop, and when the child is told if that is put off.
    pub(crate) stopping: bool,
    pub(crate) stop_at: Option<Instant>,
    /// When generations have ended by themselves.
    pub(crate) ends: Vec<Instant>,
    pub(crate) revival: Option<Revival>,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) turn: Turn,
}

/// A start with nobody beside it, when it is due.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) id: GenerationId,
    pub(crate) slot: Slot,
    pub(crate) failures: u32,
    pub(crate) due: Instant,
}

/// ostler is to end, with the exit status of this generation.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) of: GenerationId,
    pub(crate) since: Instant,
    pub(crate) code: Option<u8>,
    /// What was left of its grace period then.
    pub(crate) until: Option<Instant>,
}

/// Where new connections go.
#[derive(Debug)]
pub(crate) struct Steering {
    pub(crate) to: Slot,
    /// Before the last order, as long as that may still be told to have failed.
    pub(crate) before: Option<Slot>,
    /// The last order has failed, and is to be given again then.
    pub(crate) again: Option<Instant>,
    /// How often it has failed, in a row.
    pub(crate) failures: u32,
}

/// One event, and what is still owed to it.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) now: Instant,
    pub(crate) event: Event,
    /// What must be ordered now. Nothing else may be, but where a rule says so.
    pub(crate) owed: Vec<Action>,
    /// What must be told, in words that are not all known before.
    pub(crate) news: Vec<News>,
    pub(crate) recycle: Recycling,
    pub(crate) need: Need,
    /// What must be ordered now unless a recycle begins.
    pub(crate) otherwise: Vec<Action>,
    /// Who waits for an answer.
    pub(crate) asked: Option<Client>,
    /// Who wants to be shown something.
    pub(crate) curious: Option<Client>,
}

/// Is a recycle to begin now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recycling {
    Not,
    /// The limit is not known exactly.
    Maybe,
    Must,
    Begun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Started(GenerationId),
    /// No process came of a successor's start.
    NotStarted(GenerationId),
    HandoverFailed(GenerationId, Failure),
    TakenBack(GenerationId),
    /// There is no recycle now.
    Refused,
    /// As `Refused`, or dropped as any signal that nobody is there for.
    Unheard,
    /// A signal was sent on, or there was nobody to send it to.
    Signal,
}

/// Why a successor has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TooLate,
    WorkerLost,
    Ended,
}

impl Judge {
    pub(crate) fn new(policy: Policy, now: Instant) -> Self {
        let first = GenerationId(1);
        Self {
            silence: policy.cure.as_ref().map(|_| Silence::from(now)),
            too_big: 0,
            policy,
            members: Vec::new(),
            left: Vec::new(),
            start: Some(Start { id: first, slot: Slot::A, failures: 0, due: now }),
            end: None,
            steering: Steering { to: Slot::A, before: None, again: None, failures: 0 },
            newest: first,
            exit: None,
            stopping: false,
            stop_at: None,
            ends: Vec::new(),
            revival: None,
            sweep: None,
            turn: Turn::new(now, Event::Tick),
        }
    }

    /// Judges what was ordered on an event.
    pub(crate) fn step(&mut self, now: Instant, event: &Event, orders: &[Action]) -> Verdict {
        self.turn = Turn::new(now, event.clone());
        if self.has_exited() {
            let silent =
                orders.iter().all(|order| matches!(order, Action::Log(Notice::OrphansReaped { .. })));
            prop_assert!(silent, "{orders:?} after the end, on {event:?}");
            return Ok(());
        }
        self.learn();
        for order in orders {
            prop_assert!(!self.has_exited(), "{order:?} after the end");
            self.ordered(order)?;
        }
        self.is_complete()?;
        self.holds()
    }

    /// The start that is not answered yet.
    pub(crate) fn unanswered(&self) -> Option<GenerationId> {
        self.members.iter().find(|member| member.stage == Stage::Ordered).map(|member| member.id)
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// After a stop ostler ends in time, whatever the children do.
    pub(crate) fn in_time(&self, now: Instant) -> Verdict {
        let sweep = self.sweep.as_ref().map(Sweep::latest);
        let end = self.end.as_ref().map(|end| end.since + self.policy.grace_period + KILL_WAIT);
        let latest = sweep.or(end);
        prop_assert!(latest.is_none_or(|latest| now <= latest), "too late to end");
        Ok(())
    }

    /// Nothing will happen any more and no time is waited for: is this a state to stay in?
    pub(crate) fn at_rest(&self) -> Verdict {
        prop_assert!(self.is_settled(), "nobody serves well, and nothing is waited for: {self:#?}");
        Ok(())
    }

    /// Is there one generation that serves and need not be replaced?
    pub(crate) fn is_settled(&self) -> bool {
        let stays =
            |member: &Member| member.fate != Fate::Replaceable || !self.left.is_empty() || !member.is_spent();
        self.end.is_none() && self.alone().is_some_and(stays)
    }

    /// When ostler must do something at the latest if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.has_exited() || self.unanswered().is_some() {
            return None;
        }
        let start = self.start.as_ref().map(|start| start.due);
        let alone = self.alone().into_iter().flat_map(|member| {
            let recycle = member.calls(&self.policy).must.filter(|_| self.may_be_recycled(member));
            let watch = self.policy.watchdog.map(|_| member.watch.look_at);
            let measure = member.gauge.as_ref().map(|gauge| gauge.measure_at);
            let ask = self.silence.as_ref().map(|silence| silence.ask_at);
            [recycle, watch, measure, ask].into_iter().flatten()
        });
        let members = self.members.iter().filter_map(|member| match &member.role {
            Role::Incumbent => None,
            Role::Successor(preparation) => Some(preparation.look_at.min(preparation.by)),
            Role::Former(drain) => Some(drain.check_at.min(drain.until)),
            Role::Leaving(_) => self.pressed_at(member),
        });
        let steer = self.steering.again.filter(|_| self.incumbent().is_some());
        let stop = self.stop_at.filter(|_| self.incumbent().is_some());
        let sweep = self.sweep.as_ref().map(Sweep::due);
        start.into_iter().chain(alone).chain(steer).chain(members).chain(stop).chain(sweep).min()
    }

    pub(crate) fn member(&mut self, id: GenerationId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub(crate) fn incumbent(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_incumbent())
    }

    /// The incumbent, if nobody is beside it.
    pub(crate) fn alone(&self) -> Option<&Member> {
        self.incumbent().filter(|member| self.members.len() == 1 && member.stage == Stage::Alive)
    }

    pub(crate) fn beside(&self, id: GenerationId) -> Option<&Member> {
        self.members.iter().find(|member| member.id != id)
    }

    /// May a recycle of it begin, as far as it is not a matter of time?
    pub(crate) fn may_be_recycled(&self, member: &Member) -> bool {
        member.fate == Fate::Replaceable && self.left.is_empty()
    }

    pub(crate) fn recipient(&self, id: GenerationId) -> Target {
        match self.policy.recipient {
            Recipient::Leader => Target::Leader(id),
            Recipient::Group => Target::Group(id),
        }
    }

    pub(crate) fn owe(&mut self, order: Action) {
        self.turn.owed.push(order);
    }

    pub(crate) fn owe_kill(&mut self, target: Target, signal: Signal) {
        self.owe(Action::Kill { target, signal });
    }

    /// With which answers may a recycle be refused?
    pub(crate) fn refusals(&self) -> &'static [Answer] {
        match (self.alone(), self.incumbent()) {
            (Some(_), _) => &[Answer::Nobody],
            (None, Some(_)) => &[Answer::Busy],
            (None, None) => &[Answer::Nobody, Answer::Busy],
        }
    }

    fn is_complete(&self) -> Verdict {
        let Turn { event, owed, news, recycle, otherwise, asked, .. } = &self.turn;
        if self.has_exited() {
            return Ok(());
        }
        prop_assert!(owed.is_empty(), "not ordered: {owed:?}, on {event:?}");
        prop_assert!(news.is_empty(), "not told: {news:?}, on {event:?}");
        prop_assert!(*recycle != Recycling::Must, "not recycled, on {event:?}");
        prop_assert_eq!(*asked, None, "not answered");
        prop_assert_eq!(self.turn.curious, None, "not shown");
        prop_assert!(otherwise.is_empty(), "not ordered: {otherwise:?}, on {event:?}");
        Ok(())
    }

    /// What is so after every event.
    fn holds(&self) -> Verdict {
        prop_assert!(self.members.len() <= 2, "more than two generations");
        // Its zombie hides the other dead from the edge.
        let zombie = self.members.iter().find(|member| member.stage == Stage::Dead);
        prop_assert!(zombie.is_none(), "not reaped: {zombie:?}");
        let goes_on = |member: &&Member| matches!(member.role, Role::Leaving(_)) && member.told.is_none();
        prop_assert_eq!(
            self.members.iter().find(goes_on).map(|member| member.id),
            None,
            "is not told to stop"
        );
        if let Some(incumbent) = self.incumbent().filter(|_| self.steering.again.is_none()) {
            prop_assert_eq!(self.steering.to, incumbent.slot, "new connections do not go to the incumbent");
        }
        let somebody = self.incumbent().is_some() || self.start.is_some();
        let recycled = self.members.len() == 1;
        let ends = self.end.is_some() || self.sweep.is_some() || self.has_exited();
        prop_assert!(somebody || ends || recycled || self.revival.is_some(), "nobody serves");
        if let Some(end) = &self.end {
            prop_assert!(self.incumbent().is_none() && self.start.is_none(), "serves on after {end:?}");
            let swept = self.sweep.is_some() || self.has_exited();
            prop_assert!(!self.members.is_empty() || swept, "nobody is left, and ostler is");
        }
        Ok(())
    }
}

impl Turn {
    fn new(now: Instant, event: Event) -> Self {
        let (owed, news) = (Vec::new(), Vec::new());
        Self {
            now,
            event,
            owed,
            news,
            recycle: Recycling::Not,
            need: Need::Renewal,
            otherwise: Vec::new(),
            asked: None,
            curious: None,
        }
    }
}

/// The exit status that tells of a generation.
pub(crate) fn code(member: &Member) -> u8 {
    let killed = || ExitStatus::Signaled(Signal::KILL).code();
    member.outcome.as_ref().map_or_else(killed, ostler::supervisor::Outcome::code)
}

pub(crate) fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT)
}
