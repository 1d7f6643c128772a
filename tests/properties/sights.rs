//! Is a successor ready? Told from all that was seen of it, by the words of the documentation.

use ostler::supervisor::{Door, Policy, Ready, Sight};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So long must no new worker have come, nor the word that it is ready.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Sights {
    started: Instant,
    seen: Vec<(Instant, Sight)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ready,
    NotYet,
    /// It has lost a worker.
    Broken,
}

impl Sights {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, seen: Vec::new() }
    }

    pub(crate) fn add(&mut self, now: Instant, sight: &Sight, policy: &Policy) -> Verdict {
        self.seen.push((now, sight.clone()));
        let current = files(sight);
        if self.seen.iter().any(|(_, earlier)| !files(earlier).is_subset(&current)) {
            return Verdict::Broken;
        }
        if self.shows_what_is_asked_for(now, sight, policy) && self.all_workers_serve(now, sight) {
            Verdict::Ready
        } else {
            Verdict::NotYet
        }
    }

    fn shows_what_is_asked_for(&self, now: Instant, sight: &Sight, policy: &Policy) -> bool {
        let is_gunicorn = !sight.workers.is_empty();
        // `None`: no door tells.
        let open = match sight.door {
            Door::Open => Some(true),
            Door::Closed | Door::Unhealthy(_) | Door::Unreachable(_) => Some(false),
            Door::Blind => None,
        };
        match policy.ready {
            Ready::Delay(delay) => now >= self.started + delay,
            Ready::Accept => open.unwrap_or(is_gunicorn),
            // A gunicorn says it before its workers have begun, and shows them a little later.
            Ready::Notify => sight.said_ready && open.unwrap_or(is_gunicorn || self.is_settled(now)),
        }
    }

    fn all_workers_serve(&self, now: Instant, sight: &Sight) -> bool {
        let all = sight.workers.iter().all(|worker| worker.beats);
        sight.workers.is_empty() || (all && self.is_settled(now))
    }

    fn is_settled(&self, now: Instant) -> bool {
        let mut changed = (self.started, (BTreeSet::new(), false));
        for (time, sight) in &self.seen {
            let shown = (files(sight), sight.said_ready);
            if shown != changed.1 {
                changed = (*time, shown);
            }
        }
        now >= changed.0 + SETTLE
    }
}

fn files(sight: &Sight) -> BTreeSet<u64> {
    sight.workers.iter().map(|worker| worker.file).collect()
}
