//! The memory budget: a generation is measured again and again, and has spent it when it was over the limit in three
//! measurements in a row. What measuring costs says how often.

use super::action::Action;
use super::event::{GenerationId, View};
use super::turn::Turn;
use std::mem;
use std::time::{Duration, Instant};

/// So many in a row: a peak that passes recycles nobody.
const IN_A_ROW: u32 = 3;
/// From one measurement to the next, where that is cheap, and within a row.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// So many times what measuring has taken of a processor it pauses then: 0.1 %.
const PAUSE: u32 = 1000;

/// What has been measured of one generation.
#[derive(Debug)]
pub(super) struct Gauge {
    /// When it is measured next; `None`: never.
    measure_at: Option<Instant>,
    /// It is known to serve from then on.
    serves_from: Instant,
    /// So long after that, or after the first measurement, whoever is over the limit has been so from the beginning.
    fresh: Duration,
    settles_at: Option<Instant>,
    size: Size,
    /// Bytes, by the last measurement.
    used: u64,
    /// How many of the last ones in a row were over the limit, and since when.
    over: u32,
    over_since: Option<Instant>,
    /// What it has cost since the last pause that was long enough for it.
    cost: Duration,
    view: View,
}

/// What is known of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    /// It has settled below the limit.
    Fits,
    /// It was over the limit from the beginning.
    TooBig,
}

/// What a measurement says of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing new.
    AsBefore,
    /// It is below the limit, and has settled.
    Fits,
    /// With this one it is spent, although it had been below it.
    Spent,
    /// With this one it is spent, and it was from the beginning: a recycle will cure nothing.
    TooSmall,
}

impl Gauge {
    /// One that begins at `from`, if there is a limit at all, for a generation that serves from a later time on, maybe.
    pub(super) fn new(limit: Option<u64>, from: Instant, serves_from: Instant, fresh: Duration) -> Self {
        Self {
            measure_at: limit.map(|_| from),
            serves_from,
            fresh,
            settles_at: None,
            size: Size::Unknown,
            used: 0,
            over: 0,
            over_since: None,
            cost: Duration::ZERO,
            view: View::Clear,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.measure_at
    }

    /// Orders a measurement if it is time to.
    pub(super) fn tick(&mut self, id: GenerationId, limit: Option<u64>, turn: &mut Turn<'_>) {
        if let (Some(limit), Some(measure_at)) = (limit, self.measure_at)
            && turn.now >= measure_at
        {
            turn.order(Action::Measure { id, limit });
            self.measure_at = Some(turn.now + SHORTEST);
        }
    }

    /// Is this the first time that shared pages cannot be seen?
    pub(super) fn is_newly_unclear(&mut self, view: View) -> bool {
        match view {
            View::Clear => false,
            View::Hidden => mem::replace(&mut self.view, View::Hidden) == View::Clear,
        }
    }

    /// Takes in what was measured, and at what cost.
    pub(super) fn measured(&mut self, bytes: u64, limit: u64, cost: Duration, now: Instant) -> Verdict {
        self.used = bytes;
        self.cost = self.cost.saturating_add(cost);
        let settles_at = *self.settles_at.get_or_insert(self.serves_from.max(now) + self.fresh);
        (self.over, self.over_since) = if bytes >= limit {
            (self.over.saturating_add(1), self.over_since.or(Some(now)))
        } else {
            (0, None)
        };
        let pause = if (1..IN_A_ROW).contains(&self.over) {
            SHORTEST
        } else {
            mem::take(&mut self.cost).saturating_mul(PAUSE).clamp(SHORTEST, LONGEST)
        };
        self.measure_at = Some(now + pause);
        match (self.size, self.over_since) {
            (Size::Unknown, Some(since)) if self.over == IN_A_ROW && since < settles_at => {
                self.size = Size::TooBig;
                Verdict::TooSmall
            }
            (Size::Unknown | Size::Fits, Some(_)) if self.over == IN_A_ROW => Verdict::Spent,
            (Size::Unknown, None) if now >= settles_at => {
                self.size = Size::Fits;
                Verdict::Fits
            }
            (Size::Unknown | Size::Fits | Size::TooBig, _) => Verdict::AsBefore,
        }
    }

    /// The bytes, if they are over the limit for good.
    pub(super) fn spent(&self) -> Option<u64> {
        (self.over >= IN_A_ROW).then_some(self.used)
    }
}
