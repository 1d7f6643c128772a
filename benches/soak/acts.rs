//! What goes wrong, and how it is drawn.

use fastrand::Rng;
use nix::sys::signal::Signal;
use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

/// How many orphans one act makes.
pub(crate) const ORPHANS: u32 = 500;
/// How many signals one burst has.
pub(crate) const BURST: u32 = 1_000;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Somebody below ostler gets a signal that ends it.
    Strike(Signal, Whom),
    /// Somebody below ostler is stopped for a while.
    Stop(Whom, Duration),
    /// ostler gets a signal that it is to pass on.
    Order(Signal),
    /// `ostler --recycle`, inside.
    Recycle,
    /// ostler itself is stopped for a while.
    Freeze(Duration),
    /// Many orphans at once, inside.
    Orphans,
    /// The same signal to ostler, again and again.
    Burst(Signal),
    /// Nobody reads ostler's log for a while.
    Deaf(Duration),
}

/// Who of those below ostler.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    Leader,
    Worker,
    Anybody,
}

impl Act {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..11) {
            0..4 => {
                let signals = [Signal::SIGKILL, Signal::SIGABRT, Signal::SIGTERM, Signal::SIGSEGV];
                Self::Strike(one_of(rng, &signals), Whom::draw(rng))
            }
            4 => Self::Stop(Whom::draw(rng), time(rng, 100, 8_000)),
            5 => {
                let signals =
                    [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGWINCH];
                Self::Order(one_of(rng, &signals))
            }
            6 => Self::Recycle,
            7 => Self::Freeze(time(rng, 100, 3_000)),
            8 => Self::Orphans,
            9 => {
                // Not those of which each makes gunicorn start processes: the machine is small.
                let signals =
                    [Signal::SIGUSR1, Signal::SIGWINCH, Signal::SIGCONT, Signal::SIGCHLD, Signal::SIGUSR2];
                Self::Burst(one_of(rng, &signals))
            }
            _ => Self::Deaf(time(rng, 1_000, 10_000)),
        }
    }

    /// The kind it is counted with, and the variety of that.
    pub(crate) fn kind(self) -> (String, &'static str) {
        match self {
            Self::Strike(signal, whom) => (format!("{signal} below ostler"), whom.name()),
            Self::Stop(whom, _) => ("SIGSTOP below ostler, for 0.1 to 8 s".into(), whom.name()),
            Self::Order(signal) => ("a signal to ostler, to pass on".into(), signal.as_str()),
            Self::Recycle => ("`ostler --recycle`".into(), ""),
            Self::Freeze(_) => ("SIGSTOP to ostler itself, for 0.1 to 3 s".into(), ""),
            Self::Orphans => ("500 orphans at once".into(), ""),
            Self::Burst(signal) => ("1,000 signals to ostler at once".into(), signal.as_str()),
            Self::Deaf(_) => ("nobody reads the log, for 1 to 10 s".into(), ""),
        }
    }
}

impl Display for Act {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Strike(signal, whom) => write!(f, "{signal} to {}", whom.name()),
            Self::Stop(whom, time) => write!(f, "SIGSTOP to {} for {time:?}", whom.name()),
            Self::Order(signal) => write!(f, "{signal} to ostler"),
            Self::Recycle => write!(f, "ostler --recycle"),
            Self::Freeze(time) => write!(f, "SIGSTOP to ostler for {time:?}"),
            Self::Orphans => write!(f, "{ORPHANS} orphans"),
            Self::Burst(signal) => write!(f, "{BURST} times {signal} to ostler"),
            Self::Deaf(time) => write!(f, "nobody reads the log for {time:?}"),
        }
    }
}

impl Whom {
    fn draw(rng: &mut Rng) -> Self {
        one_of(rng, &[Self::Leader, Self::Worker, Self::Anybody])
    }

    fn name(self) -> &'static str {
        match self {
            Self::Leader => "a leader",
            Self::Worker => "a worker",
            Self::Anybody => "anybody",
        }
    }
}

fn one_of<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn time(rng: &mut Rng, least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rng.u64(least_ms..=most_ms))
}
