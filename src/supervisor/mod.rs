//! The pure room: facts and the time in, orders out. It makes no system call and reads no clock.
//!
//! ```text
//! Waiting ⇄ Spawning ──▶ Serving ◀───────────────────────────┐
//!                        │  │  ▲ successor fails             │ outgoing gone
//!                        │  ▼  │                             │
//!                        │  HandingOver ──ready──▶ Retiring ─┘
//!    restart, SIGTERM,   │  │                      │
//!    leader dead         ▼  ▼ SIGTERM              ▼ SIGTERM
//!                        Departing ──▶ the next start, or Ended
//! ```

mod action;
mod budget;
mod departure;
mod ending;
mod event;
mod generation;
mod handover;
mod memory;
mod notice;
mod policy;
mod readiness;
mod restart;
mod retiring;
mod serving;
mod silence;
mod turn;
mod watch;

pub use action::{Action, Answer, Command, Target};
pub use budget::{Budget, Limits, RecycleReason};
pub use event::{
    Client, Door, Event, ExitStatus, GenerationId, Outcome, Pid, Queue, Sight, Signal, Slot, SpawnCause,
    SpawnError, View, Worker,
};
pub use notice::{Cause, Notice};
pub use policy::{Expected, Policy, Ready, Recipient, Recycle, Usr2};
pub use readiness::Lack;
pub use silence::Cure;

use ending::Ending;
use fastrand::Rng;
use generation::Generation;
use handover::{Handover, Successor};
use restart::{backoff, steer_again};
use retiring::Retirement;
use serving::Incumbent;
use silence::Silence;
use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};
use turn::Turn;

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    random: Rng,
    state: State,
    last_id: GenerationId,
    /// See `Turn::left`.
    left: Vec<GenerationId>,
    /// See `Turn::too_big`.
    too_big: u32,
    silence: Silence,
    steering: Steering,
    /// A start was ordered and is not answered yet; what else is told meanwhile comes after the answer.
    unanswered: Option<GenerationId>,
    deferred: VecDeque<Event>,
}

/// Whether new connections go where they should.
#[derive(Debug, Default)]
struct Steering {
    /// Of the last order, in a row.
    failures: u32,
    /// It has failed; it is given again then.
    again: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Nothing runs; a start is due at `until`.
    Waiting { start: Start, until: Instant },
    /// A start with nobody beside it was ordered.
    Spawning(Start),
    /// The incumbent serves.
    Serving(Incumbent),
    /// The incumbent serves, and a successor gets ready.
    HandingOver(Handover, Successor),
    /// The incumbent serves, and another generation goes.
    Retiring(Retirement),
    /// Nobody serves: the last generation stops.
    Departing(Ending),
    /// `Exit` has been ordered.
    Ended,
}

/// A start with nobody beside it.
#[derive(Clone, Copy, Debug)]
struct Start {
    id: GenerationId,
    slot: Slot,
    /// How many starts of this generation have failed before.
    failures: u32,
}

impl Supervisor {
    /// A supervisor that wants to start its first generation at `now`. `seed` is where all jitter comes from.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Instant) -> Self {
        let start = Start { id: GenerationId(1), slot: Slot::A, failures: 0 };
        Self {
            silence: Silence::new(policy.cure.as_ref(), now),
            too_big: 0,
            policy,
            random: Rng::with_seed(seed),
            state: State::Waiting { start, until: now },
            last_id: start.id,
            left: Vec::new(),
            steering: Steering::default(),
            unanswered: None,
            deferred: VecDeque::new(),
        }
    }

    /// The time at which a `Tick` is wanted if nothing happens before. `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Serving(incumbent) => {
                let own = incumbent.deadline(&self.policy, &self.left);
                own.into_iter().chain(self.silence.deadline()).min()
            }
            State::HandingOver(_, successor) => successor.deadline(),
            State::Retiring(retirement) => Some(retirement.deadline()),
            State::Departing(ending) => ending.deadline(),
            State::Spawning(_) | State::Ended => None,
        };
        let steer =
            self.steering.again.filter(|_| self.state.incumbent().is_some() && self.unanswered.is_none());
        own.into_iter().chain(steer).min()
    }

    /// Takes one fact and answers with what is to be done, in order.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match (&event, self.unanswered) {
            (Event::OrphanReaped { pid, status }, _) => {
                return vec![Action::Log(Notice::OrphanReaped { pid: *pid, status: *status })];
            }
            (Event::Spawned { id, .. } | Event::SpawnFailed { id, .. }, Some(ordered)) if *id == ordered => {
                self.unanswered = None;
            }
            (Event::Tick, Some(_)) => return Vec::new(),
            (_, Some(_)) => {
                self.deferred.push_back(event);
                return Vec::new();
            }
            (_, None) => {}
        }
        let mut orders = self.decide(now, &event);
        while self.unanswered.is_none()
            && !matches!(self.state, State::Ended)
            && let Some(event) = self.deferred.pop_front()
        {
            orders.extend(self.decide(now, &event));
        }
        orders
    }

    fn decide(&mut self, now: Instant, event: &Event) -> Vec<Action> {
        if let State::Ended = self.state {
            return Vec::new();
        }
        let mut turn = Turn {
            now,
            policy: &self.policy,
            random: &mut self.random,
            last_id: &mut self.last_id,
            left: &mut self.left,
            too_big: &mut self.too_big,
            silence: &mut self.silence,
            orders: Vec::new(),
        };
        note(event, &mut turn);
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting { start, until } => while_waiting(start, until, event, &mut turn),
            State::Spawning(start) => while_spawning(start, event, &mut turn),
            State::Serving(incumbent) => incumbent.step(event, &mut turn),
            State::HandingOver(handover, successor) => handover.step(successor, event, &mut turn),
            State::Retiring(retirement) => retirement.step(event, &mut turn),
            State::Departing(ending) => ending.step(event, &mut turn),
            State::Ended => State::Ended,
        };
        let mut orders = turn.orders;
        if let Event::SteerFailed { .. } = event {
            let failures = self.steering.failures.saturating_add(1);
            self.steering = Steering { failures, again: Some(now + steer_again(failures)) };
        }
        self.remember(&orders);
        if *event == Event::Tick
            && let Some(incumbent) = self.state.incumbent()
            && self.steering.again.take_if(|at| now >= *at).is_some()
        {
            orders.push(Action::Steer(incumbent.slot()));
        }
        orders
    }

    /// What an order means for what may be done next.
    fn remember(&mut self, orders: &[Action]) {
        for order in orders {
            match order {
                Action::Spawn { id, .. } => self.unanswered = Some(*id),
                Action::Steer(_) => self.steering = Steering::default(),
                Action::Kill { .. }
                | Action::Reap(_)
                | Action::Follow { .. }
                | Action::Look(_)
                | Action::CheckDrain(_)
                | Action::CheckQueue(_)
                | Action::Measure { .. }
                | Action::CountConnections
                | Action::Shed(_)
                | Action::Answer { .. }
                | Action::Log(_)
                | Action::Exit(_) => {}
            }
        }
    }
}

impl State {
    /// Who serves.
    fn incumbent(&self) -> Option<&Incumbent> {
        match self {
            Self::Serving(incumbent) => Some(incumbent),
            Self::HandingOver(handover, _) => Some(&handover.incumbent),
            Self::Retiring(retirement) => Some(&retirement.incumbent),
            Self::Waiting { .. } | Self::Spawning(_) | Self::Departing(_) | Self::Ended => None,
        }
    }
}

/// What is the same in every state.
fn note(event: &Event, turn: &mut Turn<'_>) {
    // What SIGKILL had not ended has ended after all.
    if let Event::Exited { id, .. } = event
        && turn.left.contains(id)
    {
        turn.order(Action::Reap(*id));
    }
    if let Event::GroupGone { id } = event {
        turn.left.retain(|left| left != id);
    }
    if let Event::RequestsServed { .. } = event {
        turn.silence.is_broken();
    }
    if let Event::Shed { connections } = event {
        turn.log(Notice::ConnectionsShed { connections: *connections });
    }
    if let Event::OutputDropped { lines } = event {
        turn.log(Notice::OutputDropped { lines: *lines });
    }
    if let Event::SteerFailed { message } = event {
        turn.log(Notice::SteerFailed { message: message.clone() });
    }
}

fn while_waiting(start: Start, until: Instant, event: &Event, turn: &mut Turn<'_>) -> State {
    match event {
        Event::Tick if turn.now >= until => return turn.spawn(start),
        Event::Signal(signal) if signal.asks_for_the_end() => {
            turn.log(Notice::Stopping { signal: *signal, grace: Duration::ZERO });
            return turn.exit(signal.exit_code());
        }
        Event::Signal(Signal::USR2) if turn.policy.usr2 == Usr2::Recycle => {
            turn.refuse(None, Answer::Nobody);
        }
        Event::Signal(signal) => turn.log(Notice::SignalDropped { signal: *signal }),
        Event::Asked { client, .. } => turn.refuse(Some(*client), Answer::Nobody),
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::KillRefused { .. }
        | Event::OrphanReaped { .. }
        | Event::RequestsServed { .. }
        | Event::MemoryMeasured { .. }
        | Event::ConnectionsCounted { .. }
        | Event::Looked { .. }
        | Event::DrainChecked { .. }
        | Event::QueueSeen { .. }
        | Event::Shed { .. }
        | Event::SteerFailed { .. }
        | Event::OutputDropped { .. }
        | Event::Tick => {}
    }
    State::Waiting { start, until }
}

fn while_spawning(start: Start, event: &Event, turn: &mut Turn<'_>) -> State {
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

#[cfg(test)]
mod tests;
