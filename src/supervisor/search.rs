//! A leader has ended well, and a pid file is to name who leads on: a program that puts itself into the background does
//! that, and the file may come a moment later.

use super::State;
use super::action::{Action, Answer};
use super::departure::Departure;
use super::ending::{Ending, Then};
use super::event::Event;
use super::generation::Fate;
use super::notice::{Cause, Notice};
use super::policy::Follow;
use super::serving::Incumbent;
use super::terms::{ExitStatus, Outcome, Signal};
use super::turn::Turn;
use std::time::{Duration, Instant};

/// How often the file is read, and for how long.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Search {
    pub(super) incumbent: Incumbent,
    outcome: Outcome,
    look_at: Instant,
    until: Instant,
}

impl Search {
    /// Is there to be one for a leader that has ended like this?
    pub(super) fn is_called_for(outcome: &Outcome, turn: &Turn<'_>) -> bool {
        let ended_well = *outcome == Outcome::Ended(ExitStatus::Exited(0));
        ended_well && turn.policy.follow == Follow::PidFile
    }

    pub(super) fn begin(incumbent: Incumbent, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        turn.order(Action::SeekHeir(incumbent.generation.id));
        // What was asked to end has hardly left another one: one look is enough.
        let asked = incumbent.generation.fate == Fate::AskedToEnd;
        let patience = if asked { Duration::ZERO } else { PATIENCE };
        let (look_at, until) = (turn.now + LOOK, turn.now + patience);
        State::Searching(Self { incumbent, outcome, look_at, until })
    }

    pub(super) fn deadline(&self) -> Instant {
        self.look_at.min(self.until)
    }

    pub(super) fn step(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        self.incumbent.take_in(event, turn);
        let own = self.incumbent.generation.id;
        match event {
            Event::HeirSought { id, heir: Some(heir) } if *id == own => {
                self.incumbent.follow(*heir, turn);
                return State::Serving(self.incumbent);
            }
            Event::Signal(signal) if signal.asks_for_the_end() => return self.stop(*signal, turn),
            Event::Signal(signal) => turn.log(Notice::SignalDropped { signal: *signal }),
            Event::Asked { client, .. } => turn.refuse(*client, Answer::Nobody),
            Event::Tick if turn.now >= self.until => {
                if self.incumbent.generation.fate != Fate::AskedToEnd {
                    turn.log(Notice::NobodyToFollow { id: own });
                }
                return Ending::by_itself(self.incumbent.generation, &self.outcome, turn);
            }
            Event::Tick if turn.now >= self.look_at => {
                self.look_at = turn.now + LOOK;
                turn.order(Action::SeekHeir(own));
            }
            Event::Tick
            | Event::HeirSought { .. }
            | Event::Swept { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::KillRefused { .. }
            | Event::OrphansReaped { .. }
            | Event::RequestsServed { .. }
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
            | Event::GrownSearched { .. } => {}
        }
        State::Searching(self)
    }

    /// Whoever has started by now and is not known yet is told at the end of all.
    fn stop(self, signal: Signal, turn: &mut Turn<'_>) -> State {
        turn.stop(signal);
        let generation = self.incumbent.generation;
        let notice = generation.ended(turn.now, self.outcome.clone(), Cause::Stopped);
        Ending::alone(Departure::dead(generation, self.outcome, notice, turn), Then::Exit)
    }
}
