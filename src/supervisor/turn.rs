//! One turn of the state machine: when it is, what it decides by, and the orders that it gives.

use super::action::{Action, Answer, Target};
use super::delay::Stop;
use super::notice::Notice;
use super::restart::Ends;
use super::silence::Silence;
use super::terms::{Client, GenerationId, Signal, Slot};
use super::{Policy, Recipient, Start, State};
use fastrand::Rng;
use std::time::Instant;

pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) policy: &'a Policy,
    pub(super) random: &'a mut Rng,
    /// The last number that a generation was given.
    pub(super) last_id: &'a mut GenerationId,
    /// Generations that even SIGKILL has not ended, and that ostler has gone on without.
    pub(super) left: &'a mut Vec<GenerationId>,
    /// So many generations in a row had spent their memory budget from the beginning.
    pub(super) too_big: &'a mut u32,
    pub(super) silence: &'a mut Silence,
    pub(super) stopping: &'a mut Stop,
    pub(super) ends: &'a mut Ends,
    pub(super) orders: Vec<Action>,
}

impl Turn<'_> {
    pub(super) fn order(&mut self, action: Action) {
        self.orders.push(action);
    }

    pub(super) fn log(&mut self, notice: Notice) {
        self.order(Action::Log(notice));
    }

    /// To the leader, or to the group if so configured.
    pub(super) fn send(&mut self, id: GenerationId, signal: Signal) {
        let target = match self.policy.recipient {
            Recipient::Leader => Target::Leader(id),
            Recipient::Group => Target::Group(id),
        };
        self.kill(target, signal);
    }

    /// As `send`, and told.
    pub(super) fn forward(&mut self, id: GenerationId, signal: Signal) {
        self.log(Notice::SignalForwarded { signal });
        self.send(id, signal);
    }

    pub(super) fn kill(&mut self, target: Target, signal: Signal) {
        self.order(Action::Kill { target, signal });
    }

    pub(super) fn answer(&mut self, client: Option<Client>, answer: Answer) {
        if let Some(client) = client {
            self.order(Action::Answer { client, answer });
        }
    }

    /// Tells that there is no recycle now, and why.
    pub(super) fn refuse(&mut self, client: Option<Client>, answer: Answer) {
        self.log(Notice::RecycleRefused { answer });
        self.answer(client, answer);
    }

    /// Tells that all is to stop, after the grace period by force.
    pub(super) fn stop(&mut self, signal: Signal) {
        self.log(Notice::Stopping { signal, grace: self.policy.grace_period });
    }

    /// The number of a generation that has never been.
    pub(super) fn next_id(&mut self) -> GenerationId {
        *self.last_id = self.last_id.next();
        *self.last_id
    }

    /// A start with nobody beside it.
    pub(super) fn spawn(&mut self, start: Start) -> State {
        self.order(Action::Spawn { id: start.id, slot: start.slot });
        State::Spawning(start)
    }

    /// A new generation, where the last one was.
    pub(super) fn spawn_next(&mut self, slot: Slot) -> State {
        let id = self.next_id();
        self.spawn(Start { id, slot, failures: 0 })
    }

    pub(super) fn exit(&mut self, code: u8) -> State {
        self.order(Action::Exit(code));
        State::Ended
    }
}
