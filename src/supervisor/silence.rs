//! A source of counts that stays silent while connections come: told once,
//! for a budget that never comes to its end is as if there were none.

use super::action::Action;
use super::notice::Notice;
use super::turn::Turn;
use std::time::{Duration, Instant};

/// So many connections without a request that was counted are no chance: health checks are connections too.
const CONNECTIONS: u64 = 20;
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What to write instead, if requests are to be counted and none are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cure(pub String);

/// What has been heard so far.
#[derive(Debug)]
pub(super) enum Silence {
    /// Nothing yet; the connections are counted at `look_at`.
    Lasts { look_at: Instant, pause: Duration, opened: Option<u64> },
    /// It spoke, or was told of, or nobody listens.
    Over,
}

impl Silence {
    pub(super) fn new(cure: Option<&Cure>, now: Instant) -> Self {
        match cure {
            Some(_) => Self::Lasts { look_at: now, pause: FIRST_PAUSE, opened: None },
            None => Self::Over,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Lasts { look_at, .. } => Some(*look_at),
            Self::Over => None,
        }
    }

    /// A request was told of, even if it is one that is left out of the count.
    pub(super) fn is_broken(&mut self) {
        *self = Self::Over;
    }

    /// Asks how many connections there were, if it is time to.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Action> {
        let Self::Lasts { look_at, pause, .. } = self else { return None };
        if now < *look_at {
            return None;
        }
        *look_at = now + *pause;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Some(Action::CountConnections)
    }

    /// Takes in how many connections there have been. Where that cannot be known, there is no answer.
    pub(super) fn counted(total: u64, turn: &mut Turn<'_>) {
        let Self::Lasts { opened, .. } = turn.silence else { return };
        let connections = total.saturating_sub(*opened.get_or_insert(total));
        if connections < CONNECTIONS {
            return;
        }
        *turn.silence = Self::Over;
        if let Some(cure) = turn.policy.cure.clone() {
            turn.log(Notice::CountSilent { connections, cure });
        }
    }
}
