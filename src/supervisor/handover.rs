//! A successor is being started beside the incumbent, which serves on untouched until the successor is ready. If that
//! never happens, nothing has happened.

use super::State;
use super::action::{Action, Answer};
use super::budget::RecycleReason;
use super::delay::Pace;
use super::departure::Departure;
use super::ending::{Ending, Then};
use super::event::Event;
use super::generation::{Fate, Generation};
use super::notice::{Cause, Notice};
use super::readiness::{Lack, Readiness, Verdict};
use super::retiring::{Outgoing, Retirement};
use super::serving::Incumbent;
use super::terms::{Outcome, Signal, View};
use super::turn::Turn;
use std::time::{Duration, Instant};

/// A successor is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Handover {
    pub(super) incumbent: Incumbent,
    reason: RecycleReason,
    began: Instant,
}

#[derive(Debug)]
pub(super) enum Successor {
    /// Its start was ordered; the answer is the next that is told.
    Ordered,
    Starting(Box<Starting>),
}

#[derive(Debug)]
pub(super) struct Starting {
    pub(super) generation: Generation,
    readiness: Readiness,
    /// What it lacked at the last look.
    lack: Lack,
    look_at: Instant,
    /// If it is not ready by then, it has failed.
    by: Instant,
}

impl Successor {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Ordered => None,
            Self::Starting(starting) => Some(starting.look_at.min(starting.by)),
        }
    }
}

impl Handover {
    pub(super) fn begin(incumbent: Incumbent, reason: RecycleReason, turn: &mut Turn<'_>) -> State {
        let id = turn.next_id();
        turn.order(Action::Spawn { id, slot: incumbent.slot().other() });
        let handover = Self { incumbent, reason, began: turn.now };
        State::HandingOver(handover, Successor::Ordered)
    }

    pub(super) fn step(mut self, successor: Successor, event: &Event, turn: &mut Turn<'_>) -> State {
        self.incumbent.take_in(event, turn);
        match successor {
            Successor::Ordered => self.answered(event, turn),
            Successor::Starting(starting) => self.prepare(starting, event, turn),
        }
    }

    /// Nothing is told before the answer to the order.
    fn answered(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        if let Event::Spawned { id, pid } = event {
            let slot = self.incumbent.slot().other();
            let starting = Starting {
                generation: Generation::new(*id, slot, *pid, 0, turn),
                readiness: Readiness::new(turn.now),
                lack: Lack::Time,
                look_at: turn.now + LOOK,
                by: turn.now + turn.policy.ready_timeout,
            };
            return State::HandingOver(self, Successor::Starting(Box::new(starting)));
        }
        if let Event::SpawnFailed { id, error } = event {
            let retry_in = self.incumbent.failed(&self.reason, turn);
            turn.log(Notice::SpawnFailed { id: *id, error: error.clone(), retry_in });
            return State::Serving(self.incumbent);
        }
        State::HandingOver(self, Successor::Ordered)
    }

    fn prepare(mut self, mut starting: Box<Starting>, event: &Event, turn: &mut Turn<'_>) -> State {
        let (old, new) = (self.incumbent.generation.id, starting.generation.id);
        match event {
            Event::Looked { id, sight } if *id == new => {
                match starting.readiness.judge(sight, turn.policy, turn.now) {
                    Verdict::Ready => return self.complete(starting.generation, sight.view, turn),
                    Verdict::Failed(lack) => return self.fail(starting.generation, lack, turn),
                    Verdict::NotYet(lack) => starting.lack = lack,
                }
            }
            Event::Tick if turn.now >= starting.by => {
                return self.fail(starting.generation, starting.lack, turn);
            }
            Event::Tick if turn.now >= starting.look_at => {
                starting.look_at = turn.now + LOOK;
                turn.order(Action::Look(new));
            }
            Event::Exited { id, outcome, .. } if *id == new => {
                return self.lose(starting.generation, outcome.clone(), turn);
            }
            Event::Exited { id, heir: Some(heir), .. } if *id == old => self.incumbent.follow(*heir, turn),
            Event::Exited { id, outcome, heir: None } if *id == old => {
                return self.promote(starting.generation, outcome.clone(), turn);
            }
            Event::Signal(Signal::TERM) => {
                if turn.asked_to_stop() == Pace::Later {
                    self.incumbent.generation.fate = Fate::AskedToEnd;
                    return self.give_up(starting.generation, turn);
                }
                turn.stop(Signal::TERM);
                let last = Departure::told(self.incumbent.generation, Cause::Stopped, turn);
                let beside = Departure::told(starting.generation, Cause::Stopped, turn);
                return Ending::both(last, beside, Then::Exit);
            }
            Event::Asked { client, .. } => turn.refuse(*client, Answer::Busy),
            Event::Signal(signal) => {
                self.incumbent.signal(*signal, turn);
                if signal.asks_for_the_end() {
                    return self.give_up(starting.generation, turn);
                }
            }
            Event::RequestsServed { id, count } => starting.generation.count(*id, *count),
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
            | Event::MemoryMeasured { .. }
            | Event::ConnectionsCounted { .. }
            | Event::Looked { .. }
            | Event::DrainChecked { .. }
            | Event::QueueSeen { .. }
            | Event::Shed { .. }
            | Event::SteerFailed { .. }
            | Event::OutputDropped { .. }
            | Event::FolderWritten
            | Event::CoresTidied { .. }
            | Event::PageAsked { .. }
            | Event::DiskSeen { .. }
            | Event::GrownSearched { .. }
            | Event::Tick => {}
        }
        State::HandingOver(self, Successor::Starting(starting))
    }

    /// The successor serves: from here on all new connections are its.
    fn complete(self, mut successor: Generation, view: View, turn: &mut Turn<'_>) -> State {
        let (from, to) = (self.incumbent.generation.id, successor.id);
        turn.order(Action::Steer(successor.slot));
        let took = turn.now.saturating_duration_since(self.began);
        turn.log(Notice::HandedOver { from, to, took, view });
        successor.ready_after = Some(successor.age(turn.now));
        let incumbent = Incumbent::again(successor, turn);
        let outgoing = match self.reason {
            // It takes nothing from its queue, however long that is waited for.
            RecycleReason::Hung(_) => {
                Outgoing::Departing(Departure::told(self.incumbent.generation, Cause::Recycled, turn))
            }
            RecycleReason::Requests { .. }
            | RecycleReason::Age { .. }
            | RecycleReason::Memory { .. }
            | RecycleReason::Command => Outgoing::draining(self.incumbent, self.reason, turn),
        };
        Retirement::begin(incumbent, outgoing)
    }

    /// All is to end, so there is nothing to hand over to the successor any more.
    fn give_up(self, successor: Generation, turn: &mut Turn<'_>) -> State {
        turn.order(Action::Steer(self.incumbent.slot()));
        let departure = Departure::told(successor, Cause::Stopped, turn);
        Retirement::begin(self.incumbent, Outgoing::Departing(departure))
    }

    /// The successor will not serve, or not in time.
    fn fail(mut self, successor: Generation, lack: Lack, turn: &mut Turn<'_>) -> State {
        turn.order(Action::Steer(self.incumbent.slot()));
        let retry_in = self.incumbent.failed(&self.reason, turn);
        turn.log(Notice::HandoverFailed { id: successor.id, lack, retry_in });
        let departure = Departure::told(successor, Cause::NotReady, turn);
        Retirement::begin(self.incumbent, Outgoing::Departing(departure))
    }

    /// The successor's leader has ended before it was ready.
    fn lose(mut self, successor: Generation, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        turn.order(Action::Steer(self.incumbent.slot()));
        let notice = match &outcome {
            Outcome::Ended(_) => successor.ended(turn.now, outcome.clone(), Cause::NotReady),
            Outcome::NeverRan(error) => {
                Notice::SpawnFailed { id: successor.id, error: error.clone(), retry_in: None }
            }
        };
        let id = successor.id;
        let departure = Departure::dead(successor, outcome, notice, turn);
        let retry_in = self.incumbent.failed(&self.reason, turn);
        turn.log(Notice::HandoverFailed { id, lack: Lack::Leader, retry_in });
        Retirement::begin(self.incumbent, Outgoing::Departing(departure))
    }

    /// The incumbent has died: a server that still boots is better than none.
    fn promote(self, successor: Generation, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        let dead = self.incumbent.generation;
        turn.order(Action::Steer(successor.slot));
        let notice = dead.ended(turn.now, outcome.clone(), Cause::ByItself);
        let id = successor.id;
        let departure = Departure::dead(dead, outcome, notice, turn);
        turn.log(Notice::Promoted { id });
        Retirement::begin(Incumbent::first(successor, turn), Outgoing::Departing(departure))
    }
}
