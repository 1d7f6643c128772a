//! The pure room: facts and the time in, orders out. It makes no system call and reads no clock.
//!
//! ```text
//!    ┌─ SpawnFailed ──┐               budget spent, SIGTERM,          group gone
//!    ▼                │               or the leader has died
//! Waiting ──▶ Spawning ──▶ Serving ─────────────────────▶ Departing ─┬─ Replace ─▶ Spawning
//!                  Spawned                                           └─ Exit ────▶ Ended
//! ```

mod budget;
mod departure;
mod event;
mod generation;
mod notice;
mod restart;
mod turn;

pub use budget::{Budget, Limits, RecycleReason, Usage};
pub use event::{
    Action, Event, ExitStatus, GenerationId, Outcome, Pid, Signal, SpawnCause, SpawnError, Target,
};
pub use notice::{Cause, Notice};

use departure::{Departure, Then};
use fastrand::Rng;
use generation::Generation;
use restart::backoff;
use std::mem;
use std::time::{Duration, Instant};
use turn::Turn;

/// What the supervisor decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What a generation may use.
    pub budget: Budget,
    /// No budget recycles a generation younger than this.
    pub min_age: Duration,
    /// The time between the child's SIGTERM and SIGKILL.
    pub grace_period: Duration,
    /// Who gets the signals that ostler gets.
    pub recipient: Recipient,
}

/// Who gets forwarded signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The leader alone: gunicorn's workers die of a SIGHUP that was meant for their master.
    Leader,
    /// The leader's process group (tini's `-g`).
    Group,
}

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    random: Rng,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing runs; a start is due at `until`.
    Waiting { id: GenerationId, until: Instant, failures: u32 },
    /// A start was ordered and is not answered yet.
    Spawning { id: GenerationId, failures: u32 },
    /// The incumbent serves.
    Serving(Generation),
    /// The outgoing generation stops; another one or the end follows.
    Departing(Departure),
    /// `Exit` has been ordered.
    Ended,
}

impl Supervisor {
    /// A supervisor that wants to start its first generation at `now`. `seed` is where all jitter comes from.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Instant) -> Self {
        let state = State::Waiting { id: GenerationId(1), until: now, failures: 0 };
        Self { policy, random: Rng::with_seed(seed), state }
    }

    /// The time at which a `Tick` is wanted if nothing happens before. `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Serving(generation) => {
                generation.spent().map(|_| generation.started + self.policy.min_age)
            }
            State::Departing(departure) => Some(departure.deadline()),
            State::Spawning { .. } | State::Ended => None,
        }
    }

    /// Takes one fact and answers with what is to be done, in order.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if let Event::OrphanReaped { pid, status } = event {
            return vec![Action::Log(Notice::OrphanReaped { pid, status })];
        }
        let mut turn = Turn { now, policy: &self.policy, random: &mut self.random, orders: Vec::new() };
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting { id, until, failures } => while_waiting(id, until, failures, &event, &mut turn),
            State::Spawning { id, failures } => while_spawning(id, failures, event, &mut turn),
            State::Serving(generation) => while_serving(generation, event, &mut turn),
            State::Departing(departure) => departure.step(event, &mut turn),
            State::Ended => State::Ended,
        };
        turn.orders
    }
}

fn while_waiting(
    id: GenerationId,
    until: Instant,
    failures: u32,
    event: &Event,
    turn: &mut Turn<'_>,
) -> State {
    match event {
        Event::Tick if turn.now >= until => turn.spawn(id, failures),
        Event::Signal(signal) => {
            without_child(*signal, turn).unwrap_or(State::Waiting { id, until, failures })
        }
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::KillRefused { .. }
        | Event::OrphanReaped { .. }
        | Event::RequestsServed { .. }
        | Event::Tick => State::Waiting { id, until, failures },
    }
}

fn while_spawning(id: GenerationId, failures: u32, event: Event, turn: &mut Turn<'_>) -> State {
    match event {
        Event::Spawned { id: spawned, pid } if spawned == id => {
            let generation = Generation::new(id, pid, failures, turn);
            turn.log(generation.started());
            State::Serving(generation)
        }
        Event::SpawnFailed { id: failed, error } if failed == id => {
            let failures = failures.saturating_add(1);
            let pause = backoff(failures);
            turn.log(Notice::SpawnFailed { id, error, retry_in: Some(pause) });
            State::Waiting { id, until: turn.now + pause, failures }
        }
        Event::Signal(signal) => without_child(signal, turn).unwrap_or(State::Spawning { id, failures }),
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::KillRefused { .. }
        | Event::OrphanReaped { .. }
        | Event::RequestsServed { .. }
        | Event::Tick => State::Spawning { id, failures },
    }
}

fn while_serving(mut generation: Generation, event: Event, turn: &mut Turn<'_>) -> State {
    match event {
        Event::Signal(Signal::TERM) => {
            let grace = turn.policy.grace_period;
            turn.log(Notice::Stopping { signal: Signal::TERM, grace });
            return Departure::told(generation, Then::Exit, turn);
        }
        Event::Signal(signal) => {
            turn.forward(generation.id, signal);
            if ends(signal) {
                // It may take its time to end, and must not be found to have spent its budget meanwhile.
                generation.keep();
            }
        }
        Event::KillRefused { id } if id == generation.id => generation.refused(turn),
        Event::RequestsServed { id, count } => generation.count(id, count),
        Event::Exited { id, outcome } if id == generation.id => {
            return Departure::by_itself(generation, outcome, turn);
        }
        Event::Tick => {
            let (id, age) = (generation.id, generation.age(turn.now));
            if let Some(reason) = generation.spent()
                && age >= turn.policy.min_age
            {
                turn.log(Notice::RecycleStarted { id, reason, age });
                return Departure::told(generation, Then::Replace, turn);
            }
        }
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::KillRefused { .. }
        | Event::OrphanReaped { .. } => {}
    }
    State::Serving(generation)
}

/// Does this signal ask for the end, when there is no child that could have its own opinion?
fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT)
}

/// A signal while no child is there to take it.
fn without_child(signal: Signal, turn: &mut Turn<'_>) -> Option<State> {
    if ends(signal) {
        turn.log(Notice::Stopping { signal, grace: Duration::ZERO });
        return Some(turn.exit(signal.exit_code()));
    }
    turn.log(Notice::SignalDropped { signal });
    None
}

#[cfg(test)]
mod tests;
