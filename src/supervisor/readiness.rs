//! When a successor counts as ready: what it has to show, and what shows that it will never be.

use super::terms::{Door, Sight};
use super::{Policy, Ready};
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

/// A gunicorn starts its workers one after another: so long must no new one have come (it waits 0.1 s at most).
const SETTLE: Duration = Duration::from_millis(500);

/// What has been seen of a successor so far.
#[derive(Debug)]
pub(super) struct Readiness {
    started: Instant,
    /// The heartbeat files of its workers.
    workers: BTreeSet<u64>,
    /// When they became what they are, or it said that it is ready.
    changed: Instant,
    said_ready: bool,
}

/// What a look at a successor says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready,
    NotYet(Lack),
    /// It will not become ready.
    Failed(Lack),
}

/// What a successor lacks to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It has not been looked at, or `OSTLER_READY=delay:T` is not over.
    Time,
    /// It has not said `READY=1`.
    Word,
    /// It has not accepted the probe connection.
    Accept,
    /// It has not answered the health request with 2xx, but with this.
    Health(String),
    /// No probe connection comes to it.
    Reach(String),
    /// These many of its workers have not begun to serve.
    Workers {
        /// So many do.
        serving: usize,
        /// So many are there.
        all: usize,
    },
    /// A worker ended before all served.
    WorkerLost,
    /// Nothing tells from outside whether it serves.
    Sight,
    /// Its leader ended.
    Leader,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time => f.write_str("it is too young"),
            Self::Word => f.write_str("it has not said READY=1"),
            Self::Accept => f.write_str("it has not accepted a connection"),
            Self::Health(what) => write!(f, "the health path: {what}"),
            Self::Reach(why) => write!(f, "it cannot be reached: {why}"),
            Self::Workers { serving, all } => write!(f, "{serving} of its {all} workers serve"),
            Self::WorkerLost => f.write_str("a worker ended before all of them served"),
            Self::Sight => f.write_str(
                "the sockets are shared, so nobody can tell from outside; write OSTLER_READY=delay:10s",
            ),
            Self::Leader => f.write_str("it ended"),
        }
    }
}

impl Readiness {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, workers: BTreeSet::new(), changed: now, said_ready: false }
    }

    /// Takes in what was seen and says what that means.
    pub(super) fn judge(&mut self, sight: &Sight, policy: &Policy, now: Instant) -> Verdict {
        let files: BTreeSet<_> = sight.workers.iter().map(|worker| worker.file).collect();
        if !self.workers.is_subset(&files) {
            return Verdict::Failed(Lack::WorkerLost);
        }
        if self.workers != files || self.said_ready != sight.said_ready {
            (self.workers, self.said_ready, self.changed) = (files, sight.said_ready, now);
        }
        self.lack(sight, policy, now).map_or(Verdict::Ready, Verdict::NotYet)
    }

    fn lack(&self, sight: &Sight, policy: &Policy, now: Instant) -> Option<Lack> {
        let all = sight.workers.len();
        let serving = sight.workers.iter().filter(|worker| worker.beats).count();
        let settled = now.saturating_duration_since(self.changed) >= SETTLE;
        let asked_for = match (policy.ready, &sight.door) {
            (Ready::Delay(delay), _) => {
                (now.saturating_duration_since(self.started) < delay).then_some(Lack::Time)
            }
            (Ready::Notify, _) if !sight.said_ready => Some(Lack::Word),
            (Ready::Notify | Ready::Accept, Door::Closed) => Some(Lack::Accept),
            (Ready::Notify | Ready::Accept, Door::Unhealthy(what)) => Some(Lack::Health(what.clone())),
            (Ready::Notify | Ready::Accept, Door::Unreachable(why)) => Some(Lack::Reach(why.clone())),
            (Ready::Accept, Door::Blind) => (all == 0).then_some(Lack::Sight),
            // A gunicorn says it before its workers have begun, so give it the time to show them.
            (Ready::Notify, Door::Blind) => (all == 0 && !settled).then_some(Lack::Time),
            (Ready::Notify | Ready::Accept, Door::Open) => None,
        };
        let workers = (serving < all || (all > 0 && !settled)).then_some(Lack::Workers { serving, all });
        asked_for.or(workers)
    }
}

#[cfg(test)]
mod tests;
