//! One turn of the state machine: when it is, what it decides by, and the orders that it gives.

use super::event::{Action, GenerationId, Signal, Target};
use super::notice::Notice;
use super::{Policy, Recipient, State};
use fastrand::Rng;
use std::time::Instant;

pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) policy: &'a Policy,
    pub(super) random: &'a mut Rng,
    pub(super) orders: Vec<Action>,
}

impl Turn<'_> {
    pub(super) fn log(&mut self, notice: Notice) {
        self.orders.push(Action::Log(notice));
    }

    /// To the leader, or to the group if so configured.
    pub(super) fn send(&mut self, id: GenerationId, signal: Signal) {
        let target = match self.policy.recipient {
            Recipient::Leader => Target::Leader(id),
            Recipient::Group => Target::Group(id),
        };
        self.orders.push(Action::Kill { target, signal });
    }

    /// As `send`, and told.
    pub(super) fn forward(&mut self, id: GenerationId, signal: Signal) {
        self.log(Notice::SignalForwarded { signal });
        self.send(id, signal);
    }

    pub(super) fn kill_group(&mut self, id: GenerationId, signal: Signal) {
        self.orders.push(Action::Kill { target: Target::Group(id), signal });
    }

    pub(super) fn kill_leader(&mut self, id: GenerationId, signal: Signal) {
        self.orders.push(Action::Kill { target: Target::Leader(id), signal });
    }

    pub(super) fn reap(&mut self, id: GenerationId) {
        self.orders.push(Action::Reap(id));
    }

    /// `failures`: how many starts of this generation have failed before.
    pub(super) fn spawn(&mut self, id: GenerationId, failures: u32) -> State {
        self.orders.push(Action::Spawn(id));
        State::Spawning { id, failures }
    }

    pub(super) fn exit(&mut self, code: u8) -> State {
        self.orders.push(Action::Exit(code));
        State::Ended
    }
}
