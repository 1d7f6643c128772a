//! What the supervisor decides by, as configured.

use super::budget::Budget;
use super::meaning::Meanings;
use super::silence::Cure;
use super::terms::Signal;
use std::num::NonZeroUsize;
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
    /// Asked to stop, it serves on so long before.
    pub drain_delay: Duration,
    /// The time between the stop signal and SIGKILL.
    pub grace_period: Duration,
    /// What happens when the child ends by itself.
    pub restart: Restart,
    /// How often.
    pub restart_limit: RestartLimit,
    /// Who leads on when a leader has ended well.
    pub follow: Follow,
    /// Is the child a gunicorn, whose workers are watched?
    pub workers: Workers,
    /// Who gets the signals that ostler gets.
    pub recipient: Recipient,
    /// How a generation is recycled.
    pub recycle: Recycle,
    /// So many core files are kept, and older ones deleted; `None`: all are left alone.
    pub cores: Option<NonZeroUsize>,
    /// `OSTLER_METRICS`: so often they are sent out.
    pub metrics: Option<Duration>,
    /// `OSTLER_DISK_WARN`: so many per cent of the disk may be used.
    pub disk_warn: Option<u8>,
    /// What makes a successor count as ready.
    pub ready: Ready,
    /// A successor that is not ready after this time is stopped.
    pub ready_timeout: Duration,
    /// How long an outgoing generation's accept queue must stay empty before it is told to stop.
    pub linger: Duration,
    /// A server whose accept queue has not moved for this long is hung.
    pub watchdog: Option<Duration>,
    /// What the signals are taken for that ostler gets.
    pub signals: Meanings,
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

/// What happens when the child ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// ostler ends with its status.
    Never,
    /// It is started again, unless its status was 0, or counts as that.
    OnFailure,
    /// It is started again.
    Always,
}

/// How often it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimit {
    /// With more ends than this
    pub ends: u32,
    /// in so much time ostler gives up.
    pub window: Duration,
}

/// Who leads on when a leader has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Nobody.
    Nobody,
    /// Whom a pid file names: a daemon that it has started.
    PidFile,
}

/// Are a child's workers watched?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// It is a gunicorn.
    Watched,
    /// Nothing is known of its workers.
    Unwatched,
}
