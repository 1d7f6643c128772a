//! The drain delay: asked to stop, ostler lets the child serve on for a while, since a load balancer goes on sending
//! requests until it has heard of it.

use super::notice::Notice;
use super::turn::Turn;
use std::time::Instant;

/// Has ostler been asked to stop?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    NotAsked,
    /// It has, and the child is told then.
    Delayed(Instant),
    /// It has, and the child is told.
    Asked,
}

/// What being asked to stop means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The child serves on for now.
    Later,
    Now,
}

impl Stop {
    /// When the child is to be told, if that is yet to come.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Delayed(until) => Some(until),
            Self::NotAsked | Self::Asked => None,
        }
    }
}

impl Turn<'_> {
    /// ostler was asked to stop. The second time, and when the delay is over, there is no more delay.
    pub(super) fn asked_to_stop(&mut self) -> Pace {
        let delay = self.policy.drain_delay;
        if *self.stopping == Stop::NotAsked && !delay.is_zero() {
            *self.stopping = Stop::Delayed(self.now + delay);
            self.log(Notice::Draining { delay });
            return Pace::Later;
        }
        *self.stopping = Stop::Asked;
        Pace::Now
    }
}
