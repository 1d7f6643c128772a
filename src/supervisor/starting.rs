//! Nobody serves, and nobody is beside the generation that is to:
//! it is waited for its time, or for the answer to its start.

use super::State;
use super::action::Answer;
use super::event::Event;
use super::generation::Generation;
use super::notice::Notice;
use super::restart::backoff;
use super::serving::Incumbent;
use super::sweep::Sweep;
use super::terms::{GenerationId, Slot};
use super::turn::Turn;
use std::time::{Duration, Instant};

/// A start with nobody beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) id: GenerationId,
    pub(super) slot: Slot,
    /// How many starts of this generation have failed before.
    pub(super) failures: u32,
}

pub(super) fn while_waiting(start: Start, until: Instant, event: &Event, turn: &mut Turn<'_>) -> State {
    match event {
        Event::Tick if turn.now >= until => return turn.spawn(start),
        Event::Signal(signal) if signal.asks_for_the_end() => {
            turn.log(Notice::Stopping { signal: *signal, grace: Duration::ZERO });
            return Sweep::begin(signal.exit_code(), turn.now + turn.policy.grace_period, turn);
        }
        Event::Signal(signal) => turn.log(Notice::SignalDropped { signal: *signal }),
        Event::Asked { client, .. } => turn.refuse(*client, Answer::Nobody),
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::HeirSought { .. }
        | Event::WorkersWatched { .. }
        | Event::WorkerEnded { .. }
        | Event::Swept { .. }
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
        | Event::GrownSearched { .. }
        | Event::Tick => {}
    }
    State::Waiting { start, until }
}

pub(super) fn while_spawning(start: Start, event: &Event, turn: &mut Turn<'_>) -> State {
    if let Event::Spawned { id, pid } = event {
        let generation = Generation::new(*id, start.slot, *pid, start.failures, turn);
        return State::Serving(Incumbent::first(generation, turn));
    }
    if let Event::SpawnFailed { id, error } = event {
        let failures = start.failures.saturating_add(1);
        let pause = backoff(failures);
        turn.log(Notice::SpawnFailed { id: *id, error: error.clone(), retry_in: Some(pause) });
        return State::Waiting { start: Start { failures, ..start }, until: turn.now + pause };
    }
    // All else comes after the answer.
    State::Spawning(start)
}
