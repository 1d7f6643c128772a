//! What the supervisor decides by, as configured.

use super::budget::Budget;
use super::event::Signal;
use super::silence::Cure;
use std::time::Duration;

/// What the supervisor decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What a generation may use.
    pub budget: Budget,
    /// No budget recycles a generation younger than this.
    pub min_age: Duration,
    /// By which signal a generation is told to stop.
    pub stop_signal: Signal,
    /// The time between that and SIGKILL.
    pub grace_period: Duration,
    /// Who gets the signals that ostler gets.
    pub recipient: Recipient,
    /// How a generation is recycled.
    pub recycle: Recycle,
    /// What makes a successor count as ready.
    pub ready: Ready,
    /// A successor that is not ready after this time is stopped.
    pub ready_timeout: Duration,
    /// How long an outgoing generation's accept queue must stay empty before it is told to stop.
    pub linger: Duration,
    /// A server whose accept queue has not moved for this long is hung.
    pub watchdog: Option<Duration>,
    /// What SIGUSR2 means.
    pub usr2: Usr2,
    /// Which statuses of the child are as good as 0.
    pub expected: Expected,
    /// What to write instead if no request is counted although connections come; `None`: nobody listens for that.
    pub cure: Option<Cure>,
}

/// Exit statuses that count as 0 (tini's `-e`): 128 + n is the end by signal n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected([u64; 4]);

impl Expected {
    /// 0 alone is 0.
    pub const NONE: Self = Self([0; 4]);

    /// The same, and this one.
    #[must_use]
    pub fn and(mut self, status: u8) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(status / 64)) {
            *word |= 1 << (status % 64);
        }
        self
    }

    /// What ostler ends with for this status of the child.
    #[must_use]
    pub fn code(self, status: u8) -> u8 {
        let word = self.0.get(usize::from(status / 64)).copied().unwrap_or_default();
        if word >> (status % 64) & 1 == 1 { 0 } else { status }
    }
}

/// Who gets forwarded signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The leader alone: gunicorn's workers die of a SIGHUP that was meant for their master.
    Leader,
    /// The leader's process group (tini's `-g`).
    Group,
}

/// How a generation is recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recycle {
    /// A successor is started beside it, and takes over when it is ready.
    Handover,
    /// It is stopped, and the next one is started.
    Restart,
    /// It gets this signal, and replaces its processes by itself.
    Reload(Signal),
}

/// What makes a successor count as ready. In every case all workers of a gunicorn must have begun to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It has accepted a connection, and answered it where a health path is set.
    Accept,
    /// It has said `READY=1`, and then as `Accept`.
    Notify,
    /// It has lived this long.
    Delay(Duration),
}

/// What SIGUSR2 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usr2 {
    /// It is the child's, as any other signal.
    Forwarded,
    /// A recycle, now. gunicorn's own would fail on held sockets.
    Recycle,
}
