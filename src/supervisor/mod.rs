//! The pure room: facts and the time in, orders out. It makes no system call and reads no clock.
//!
//! ```text
//!            Spawned              budget spent            GroupGone
//! Waiting ──────────▶ Serving ─────────────────▶ Recycling ──────────▶ (Spawn) Serving …
//!    ▲  SpawnFailed      │ SIGTERM, or the leader      │ SIGTERM
//!    └─────────────      ▼ ended by itself             ▼
//!                     Stopping ◀───────────────────────┘  GroupGone ──▶ Exit
//! ```

mod budget;
mod event;
mod generation;
mod notice;
mod restart;

pub use budget::{Budget, Limits, RecycleReason, Usage};
pub use event::{
    Action, Event, ExitStatus, GenerationId, Outcome, Pid, Signal, SpawnCause, SpawnError, Target,
};
pub use notice::{Cause, Notice};

use fastrand::Rng;
use generation::{Departure, Force, Generation, Leader};
use restart::backoff;
use std::mem;
use std::time::{Duration, Instant};

/// How long ostler waits for a process that has got SIGKILL before it ends without it: the process hangs in the kernel
/// (state D), and only the end of the container can free it.
const KILL_WAIT: Duration = Duration::from_secs(5);

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

/// What comes after a departing generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Replace,
    Exit,
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
    /// The outgoing generation has been told to stop; another follows it.
    Recycling(Departure),
    /// The last generation has been told to stop, or has ended by itself; nothing follows it.
    Stopping(Departure),
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
                generation.spent().is_some().then(|| generation.started + self.policy.min_age)
            }
            State::Recycling(departure) => match departure.force {
                Force::At(time) => Some(time),
                Force::Sent(_) => None,
            },
            State::Stopping(departure) => match departure.force {
                Force::At(time) => Some(time),
                Force::Sent(time) => Some(time + KILL_WAIT),
            },
            State::Spawning { .. } | State::Ended => None,
        }
    }

    /// Takes one fact and answers with what is to be done, in order.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if let Event::OrphanReaped { pid, status } = event {
            return vec![Action::Log(Notice::OrphanReaped { pid, status })];
        }
        let mut orders = Vec::new();
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting { id, until, failures } => waiting(now, id, until, failures, &event, &mut orders),
            State::Spawning { id, failures } => self.spawning(now, id, failures, event, &mut orders),
            State::Serving(generation) => self.serving(now, generation, event, &mut orders),
            State::Recycling(departure) => self.departing(now, departure, event, Then::Replace, &mut orders),
            State::Stopping(departure) => self.departing(now, departure, event, Then::Exit, &mut orders),
            State::Ended => State::Ended,
        };
        orders
    }

    fn spawning(
        &mut self,
        now: Instant,
        id: GenerationId,
        failures: u32,
        event: Event,
        orders: &mut Vec<Action>,
    ) -> State {
        match event {
            Event::Spawned { id: spawned, pid } if spawned == id => {
                let limits = self.policy.budget.draw(&mut self.random);
                let generation =
                    Generation { id, pid, started: now, limits, usage: Usage::default(), failures };
                orders.push(Action::Log(generation.started()));
                State::Serving(generation)
            }
            Event::SpawnFailed { id: failed, error } if failed == id => {
                let failures = failures.saturating_add(1);
                let pause = backoff(failures);
                orders.push(Action::Log(Notice::SpawnFailed { id, error, retry_in: Some(pause) }));
                State::Waiting { id, until: now + pause, failures }
            }
            Event::Signal(signal) => match without_child(signal, orders) {
                Some(ended) => ended,
                None => State::Spawning { id, failures },
            },
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::OrphanReaped { .. }
            | Event::RequestsServed { .. }
            | Event::Tick => State::Spawning { id, failures },
        }
    }

    fn serving(
        &mut self,
        now: Instant,
        mut generation: Generation,
        event: Event,
        orders: &mut Vec<Action>,
    ) -> State {
        match event {
            Event::Signal(Signal::TERM) => {
                let grace = self.policy.grace_period;
                orders.push(Action::Log(Notice::Stopping { signal: Signal::TERM, grace }));
                State::Stopping(self.tell_to_stop(now, generation, orders))
            }
            Event::Signal(signal) => {
                self.forward(generation.id, signal, orders);
                State::Serving(generation)
            }
            Event::RequestsServed { id, count } => {
                generation.count(id, count);
                State::Serving(generation)
            }
            Event::Exited { id, outcome } if id == generation.id => {
                self.ended_by_itself(now, generation, outcome, orders)
            }
            Event::Tick => match generation.spent() {
                Some(reason) if generation.age(now) >= self.policy.min_age => {
                    let (id, age) = (generation.id, generation.age(now));
                    orders.push(Action::Log(Notice::RecycleStarted { id, reason, age }));
                    State::Recycling(self.tell_to_stop(now, generation, orders))
                }
                Some(_) | None => State::Serving(generation),
            },
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::OrphanReaped { .. } => State::Serving(generation),
        }
    }

    fn departing(
        &mut self,
        now: Instant,
        mut departure: Departure,
        event: Event,
        then: Then,
        orders: &mut Vec<Action>,
    ) -> State {
        let id = departure.generation.id;
        let mut then = then;
        match event {
            Event::Signal(signal) => {
                if ends(signal) && then == Then::Replace {
                    let grace = match departure.force {
                        Force::At(time) => time.saturating_duration_since(now),
                        Force::Sent(_) => Duration::ZERO,
                    };
                    orders.push(Action::Log(Notice::Stopping { signal, grace }));
                    then = Then::Exit;
                }
                match departure.leader {
                    Leader::Alive => self.forward(id, signal, orders),
                    Leader::Reaped(_) => orders.push(Action::Log(Notice::SignalDropped { signal })),
                }
            }
            Event::RequestsServed { id, count } => departure.generation.count(id, count),
            Event::Exited { id: exited, outcome } if exited == id => {
                if let Leader::Alive = departure.leader {
                    let cause = match then {
                        Then::Replace => Cause::Recycled,
                        Then::Exit => Cause::Stopped,
                    };
                    let ended = departure.generation.ended(now, outcome.clone(), cause);
                    orders.push(Action::Log(ended));
                    end_group(id, departure.force, orders);
                    departure.leader = Leader::Reaped(outcome);
                }
            }
            Event::GroupGone { id: gone } if gone == id => {
                if let Leader::Reaped(outcome) = &departure.leader {
                    return match then {
                        Then::Replace => follow(now, &departure.generation, outcome, orders),
                        Then::Exit => exit(outcome.code(), orders),
                    };
                }
            }
            Event::Tick => match departure.force {
                Force::At(time) if now >= time => {
                    orders.push(Action::Log(Notice::GraceExpired { id }));
                    orders.push(Action::Kill { target: Target::Group(id), signal: Signal::KILL });
                    departure.force = Force::Sent(now);
                }
                Force::Sent(time) if then == Then::Exit && now >= time + KILL_WAIT => {
                    return exit(departure.exit_code(), orders);
                }
                Force::At(_) | Force::Sent(_) => {}
            },
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::OrphanReaped { .. } => {}
        }
        match then {
            Then::Replace => State::Recycling(departure),
            Then::Exit => State::Stopping(departure),
        }
    }

    /// The leader of the incumbent has died and nobody had told it to.
    fn ended_by_itself(
        &mut self,
        now: Instant,
        generation: Generation,
        outcome: Outcome,
        orders: &mut Vec<Action>,
    ) -> State {
        let id = generation.id;
        let force = Force::At(now + self.policy.grace_period);
        let mut then = Then::Exit;
        match &outcome {
            Outcome::Ended(_) => {
                orders.push(Action::Log(generation.ended(now, outcome.clone(), Cause::ByItself)));
            }
            Outcome::NeverRan(error) => {
                let retry_in = match error.cause {
                    SpawnCause::Resources => Some(backoff(generation.failures.saturating_add(1))),
                    SpawnCause::NotFound | SpawnCause::NotExecutable => None,
                };
                if retry_in.is_some() {
                    then = Then::Replace;
                }
                orders.push(Action::Log(Notice::SpawnFailed { id, error: error.clone(), retry_in }));
            }
        }
        end_group(id, force, orders);
        let departure = Departure { generation, leader: Leader::Reaped(outcome), force };
        match then {
            Then::Replace => State::Recycling(departure),
            Then::Exit => State::Stopping(departure),
        }
    }

    fn tell_to_stop(&self, now: Instant, generation: Generation, orders: &mut Vec<Action>) -> Departure {
        self.send(generation.id, Signal::TERM, orders);
        Departure { generation, leader: Leader::Alive, force: Force::At(now + self.policy.grace_period) }
    }

    fn forward(&self, id: GenerationId, signal: Signal, orders: &mut Vec<Action>) {
        orders.push(Action::Log(Notice::SignalForwarded { signal }));
        self.send(id, signal, orders);
    }

    fn send(&self, id: GenerationId, signal: Signal, orders: &mut Vec<Action>) {
        let target = match self.policy.recipient {
            Recipient::Leader => Target::Leader(id),
            Recipient::Group => Target::Group(id),
        };
        orders.push(Action::Kill { target, signal });
    }
}

/// Does this signal ask for the end, when there is no child that could have its own opinion?
fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT)
}

fn waiting(
    now: Instant,
    id: GenerationId,
    until: Instant,
    failures: u32,
    event: &Event,
    orders: &mut Vec<Action>,
) -> State {
    match event {
        Event::Tick if now >= until => {
            orders.push(Action::Spawn(id));
            State::Spawning { id, failures }
        }
        Event::Signal(signal) => match without_child(*signal, orders) {
            Some(ended) => ended,
            None => State::Waiting { id, until, failures },
        },
        Event::Spawned { .. }
        | Event::SpawnFailed { .. }
        | Event::Exited { .. }
        | Event::GroupGone { .. }
        | Event::OrphanReaped { .. }
        | Event::RequestsServed { .. }
        | Event::Tick => State::Waiting { id, until, failures },
    }
}

/// A signal while no child is there to take it.
fn without_child(signal: Signal, orders: &mut Vec<Action>) -> Option<State> {
    if ends(signal) {
        orders.push(Action::Log(Notice::Stopping { signal, grace: Duration::ZERO }));
        return Some(exit(signal.exit_code(), orders));
    }
    orders.push(Action::Log(Notice::SignalDropped { signal }));
    None
}

/// Ends what the dead leader leaves behind (the `UvicornWorker`s of a killed master serve on for ever), and only then
/// reaps the leader: until then its pid, by which the group is named, cannot be another's.
fn end_group(id: GenerationId, force: Force, orders: &mut Vec<Action>) {
    let target = Target::Group(id);
    match force {
        Force::At(_) => {
            orders.push(Action::Kill { target, signal: Signal::TERM });
            // A stopped process takes SIGTERM only when it runs again.
            orders.push(Action::Kill { target, signal: Signal::CONT });
        }
        Force::Sent(_) => orders.push(Action::Kill { target, signal: Signal::KILL }),
    }
    orders.push(Action::Reap(id));
}

/// The outgoing generation is gone: the next one, or another try at one that could not be started.
fn follow(now: Instant, gone: &Generation, outcome: &Outcome, orders: &mut Vec<Action>) -> State {
    match outcome {
        Outcome::Ended(_) => {
            let id = gone.id.next();
            orders.push(Action::Spawn(id));
            State::Spawning { id, failures: 0 }
        }
        Outcome::NeverRan(_) => {
            let failures = gone.failures.saturating_add(1);
            State::Waiting { id: gone.id, until: now + backoff(failures), failures }
        }
    }
}

fn exit(code: u8, orders: &mut Vec<Action>) -> State {
    orders.push(Action::Exit(code));
    State::Ended
}

impl Departure {
    fn exit_code(&self) -> u8 {
        match &self.leader {
            Leader::Alive => Signal::KILL.exit_code(),
            Leader::Reaped(outcome) => outcome.code(),
        }
    }
}

#[cfg(test)]
mod tests;
