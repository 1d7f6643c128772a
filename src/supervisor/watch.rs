//! The watchdog: a server whose accept queue is not empty and does not move is hung. One that is only busy moves.

use super::Policy;
use super::action::Action;
use super::terms::Slot;
use super::turn::Turn;
use std::time::{Duration, Instant};

/// So many looks for one verdict; what is hung is seen at most a quarter later than it might be.
const LOOKS: u32 = 4;

/// What has been seen of one generation's accept queue.
#[derive(Debug)]
pub(super) struct Watch {
    /// When it is looked at next; `None`: never.
    look_at: Option<Instant>,
    /// Who waited at `since`.
    waiting: Vec<u64>,
    since: Instant,
}

impl Watch {
    /// A watch that begins at `from`.
    pub(super) fn new(policy: &Policy, from: Instant) -> Self {
        Self { look_at: policy.watchdog.map(|_| from), waiting: Vec::new(), since: from }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks if it is time to.
    pub(super) fn tick(&mut self, slot: Slot, turn: &mut Turn<'_>) {
        if let (Some(limit), Some(look_at)) = (turn.policy.watchdog, self.look_at)
            && turn.now >= look_at
        {
            turn.order(Action::CheckQueue(slot));
            self.look_at = Some(turn.now + limit / LOOKS);
        }
    }

    /// Takes in who waits. For how long has nobody been accepted, if that is long enough?
    ///
    /// The queue is first in, first out (`listen(2)`), so while all who waited then still wait, nobody was accepted.
    pub(super) fn seen(&mut self, waiting: &[u64], turn: &Turn<'_>) -> Option<Duration> {
        let limit = turn.policy.watchdog?;
        let still = |connection: &u64| waiting.binary_search(connection).is_ok();
        if self.waiting.is_empty() || !self.waiting.iter().all(still) {
            (self.waiting, self.since) = (waiting.to_vec(), turn.now);
            return None;
        }
        let standing = turn.now.saturating_duration_since(self.since);
        (standing >= limit).then_some(standing)
    }
}
