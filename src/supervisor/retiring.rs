//! The incumbent serves, and beside it another generation goes: the one that has handed over to it, first drained and
//! then told to stop, or a successor that has failed.

use super::State;
use super::action::{Action, Answer};
use super::budget::RecycleReason;
use super::delay::Pace;
use super::departure::Departure;
use super::ending::{Ending, Then};
use super::event::Event;
use super::generation::{Fate, Generation};
use super::notice::{Cause, Notice};
use super::serving::Incumbent;
use super::terms::{Outcome, Queue, Signal};
use super::turn::Turn;
use std::time::{Duration, Instant};

/// The queue of a generation that is being drained is looked at this often.
const CHECK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Retirement {
    pub(super) incumbent: Incumbent,
    pub(super) outgoing: Outgoing,
}

#[derive(Debug)]
pub(super) enum Outgoing {
    /// It has handed over, and still serves what had been its before.
    Draining(Box<Drain>),
    /// It has been told to stop, or is dead.
    Departing(Departure),
}

#[derive(Debug)]
pub(super) struct Drain {
    former: Incumbent,
    /// Why it was to be replaced.
    reason: RecycleReason,
    /// Nothing waits for it since then.
    empty_since: Instant,
    check_at: Instant,
    /// It is told to stop by then, whatever waits.
    until: Instant,
}

impl Outgoing {
    pub(super) fn draining(former: Incumbent, reason: RecycleReason, turn: &Turn<'_>) -> Self {
        let until = turn.now + turn.policy.linger + turn.policy.grace_period;
        Self::Draining(Box::new(Drain { former, reason, empty_since: turn.now, check_at: turn.now, until }))
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Draining(drain) => drain.check_at.min(drain.until),
            Self::Departing(departure) => departure.deadline(),
        }
    }

    /// It is to go now, whatever still waits for it.
    fn stopped(self, turn: &mut Turn<'_>) -> Departure {
        match self {
            Self::Draining(drain) => Departure::told(drain.former.generation, Cause::Recycled, turn),
            Self::Departing(departure) => departure,
        }
    }

    pub(super) fn generation(&self) -> &Generation {
        match self {
            Self::Draining(drain) => &drain.former.generation,
            Self::Departing(departure) => &departure.generation,
        }
    }
}

impl Retirement {
    pub(super) fn begin(incumbent: Incumbent, outgoing: Outgoing) -> State {
        State::Retiring(Self { incumbent, outgoing })
    }

    pub(super) fn deadline(&self) -> Instant {
        self.outgoing.deadline()
    }

    pub(super) fn step(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        self.incumbent.take_in(event, turn);
        match event {
            Event::Signal(Signal::TERM) => match turn.asked_to_stop() {
                Pace::Later => self.incumbent.generation.fate = Fate::AskedToEnd,
                Pace::Now => {
                    turn.stop(Signal::TERM);
                    let last = Departure::told(self.incumbent.generation, Cause::Stopped, turn);
                    return Ending::both(last, self.outgoing.stopped(turn), Then::Exit);
                }
            },
            Event::Signal(signal) => self.incumbent.signal(*signal, turn),
            Event::Asked { client, .. } => turn.refuse(*client, Answer::Busy),
            Event::SteerFailed { .. } => return self.turn_back(turn),
            Event::Exited { id, outcome, heir } if *id == self.incumbent.generation.id => match heir {
                Some(heir) => self.incumbent.follow(*heir, turn),
                None => return self.lose(outcome.clone(), turn),
            },
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::HeirSought { .. }
            | Event::Swept { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::KillRefused { .. }
            | Event::OrphansReaped { .. }
            | Event::RequestsServed { .. }
            | Event::MemoryMeasured { .. }
            | Event::ConnectionsCounted { .. }
            | Event::Looked { .. }
            | Event::DrainChecked { .. }
            | Event::QueueSeen { .. }
            | Event::Shed { .. }
            | Event::OutputDropped { .. }
            | Event::FolderWritten
            | Event::CoresTidied { .. }
            | Event::PageAsked { .. }
            | Event::DiskSeen { .. }
            | Event::GrownSearched { .. }
            | Event::Tick => {}
        }
        match self.outgoing {
            Outgoing::Draining(drain) => drain.step(self.incumbent, event, turn),
            Outgoing::Departing(mut departure) => {
                if let Event::KillRefused { id } = event
                    && *id == departure.generation.id
                {
                    // It stays, and so would the next one: two are enough.
                    self.incumbent.generation.keep();
                }
                match departure.step(event, turn) {
                    Some(gone) => {
                        turn.order(Action::Shed(gone.generation.slot));
                        State::Serving(self.incumbent)
                    }
                    None => Self::begin(self.incumbent, Outgoing::Departing(departure)),
                }
            }
        }
    }

    /// New connections still go to the one before: it stays, and the new one goes.
    fn turn_back(self, turn: &mut Turn<'_>) -> State {
        let Self { incumbent, outgoing } = self;
        match outgoing {
            Outgoing::Draining(drain) => {
                let mut former = drain.former;
                // Where it did not fail, back again.
                turn.order(Action::Steer(former.slot()));
                let departure = Departure::told(incumbent.generation, Cause::NotReady, turn);
                let retry_in = former.failed(&drain.reason, turn);
                turn.log(Notice::TakenBack { id: former.generation.id, retry_in });
                Self::begin(former, Outgoing::Departing(departure))
            }
            Outgoing::Departing(_) => Self::begin(incumbent, outgoing),
        }
    }

    /// The incumbent has died so soon: the one before it takes over again if it still can.
    fn lose(self, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        let dead = self.incumbent.generation.clone();
        let notice = dead.ended(turn.now, outcome.clone(), Cause::ByItself);
        match self.outgoing {
            // It was asked to end, and all with it.
            Outgoing::Draining(_) if dead.fate == Fate::AskedToEnd => {
                let last = Departure::dead(dead, outcome, notice, turn);
                Ending::both(last, self.outgoing.stopped(turn), Then::Exit)
            }
            Outgoing::Draining(drain) => {
                let mut former = drain.former;
                turn.order(Action::Steer(former.slot()));
                let departure = Departure::dead(dead, outcome, notice, turn);
                let retry_in = former.failed(&drain.reason, turn);
                turn.log(Notice::TakenBack { id: former.generation.id, retry_in });
                Self::begin(former, Outgoing::Departing(departure))
            }
            Outgoing::Departing(beside) => {
                let last = Departure::dead(dead, outcome.clone(), notice, turn);
                let then = match outcome {
                    Outcome::Ended(_) => Then::after(&last.generation, &outcome, turn),
                    Outcome::NeverRan(_) => Then::Exit,
                };
                Ending::both(last, beside, then)
            }
        }
    }
}

impl Drain {
    fn step(mut self: Box<Self>, incumbent: Incumbent, event: &Event, turn: &mut Turn<'_>) -> State {
        self.former.take_in(event, turn);
        let (id, own) = (self.former.generation.id, self.former.slot());
        if let Event::Exited { id: dead, outcome, .. } = event
            && *dead == id
        {
            let notice = self.former.generation.ended(turn.now, outcome.clone(), Cause::ByItself);
            let departure = Departure::dead(self.former.generation, outcome.clone(), notice, turn);
            return Retirement::begin(incumbent, Outgoing::Departing(departure));
        }
        if let Event::DrainChecked { slot, queue } = event
            && *slot == own
        {
            match queue {
                Queue::Waiting => self.empty_since = turn.now,
                Queue::Empty if turn.now >= self.empty_since + turn.policy.linger => {
                    return self.finish(incumbent, turn);
                }
                Queue::Empty => {}
            }
        }
        if *event == Event::Tick {
            if turn.now >= self.until {
                turn.log(Notice::DrainExpired { id });
                return self.finish(incumbent, turn);
            }
            if turn.now >= self.check_at {
                self.check_at = turn.now + CHECK;
                turn.order(Action::CheckDrain(own));
            }
        }
        Retirement::begin(incumbent, Outgoing::Draining(self))
    }

    fn finish(self, incumbent: Incumbent, turn: &mut Turn<'_>) -> State {
        let departure = Departure::told(self.former.generation, Cause::Recycled, turn);
        Retirement::begin(incumbent, Outgoing::Departing(departure))
    }
}
