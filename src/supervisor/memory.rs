//! The memory budget: a generation is measured again and again, and has spent it when it was
//! over the line in three measurements in a row. The line is the limit, or so far below it
//! that whoever leaks is replaced before it is there. What measuring costs says how often.

use super::action::Action;
use super::budget::until_spent;
use super::terms::{GenerationId, View};
use super::turn::Turn;
use std::mem;
use std::time::{Duration, Instant};

/// So many in a row: a peak that passes recycles nobody.
const IN_A_ROW: u32 = 3;
/// From one measurement to the next, where that is cheap, and within a row.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// Three measurements, the pause before the first of them, and what its end takes.
const ROW: Duration = Duration::from_secs(4);
/// So many times what measuring has taken of a processor it pauses then: 0.1 %.
const PAUSE: u32 = 1000;

/// So long a pause may be owed where the next measurement is needed at once.
const CREDIT: Duration = Duration::from_mins(1);

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
    /// When it had settled, and at how many bytes.
    settled: Option<(Instant, u64)>,
    /// Between a measurement that calls for its replacement and its end.
    lead: Duration,
    /// In bytes, for the measurement that was ordered.
    line: u64,
    /// Bytes, by the last measurement.
    used: u64,
    /// What the cheap sum counts too often, by the last exact measurement; the next one is due then.
    shared: u64,
    exact_at: Instant,
    /// The last ones, if they were over the line.
    row: Option<Row>,
    /// The bytes, if the last one showed that the budget is spent.
    spent: Option<u64>,
    /// What measuring has taken of a processor, less what time has made up for, by the last measurement.
    debt: Duration,
    measured_at: Instant,
    view: View,
}

/// Measurements over the line, one after another.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// When the first one was made, and what it showed.
    since: Instant,
    first: u64,
    count: u32,
    /// So many of the last ones were over the limit itself.
    at_limit: u32,
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
    /// `to_replace` is how long that takes.
    pub(super) fn new(
        limit: Option<u64>,
        from: Instant,
        serves_from: Instant,
        fresh: Duration,
        to_replace: Duration,
    ) -> Self {
        Self {
            measure_at: limit.map(|_| from),
            serves_from,
            fresh,
            settles_at: None,
            size: Size::Unknown,
            settled: None,
            lead: ROW + to_replace,
            line: limit.unwrap_or(u64::MAX),
            used: 0,
            shared: 0,
            exact_at: from,
            row: None,
            spent: None,
            debt: Duration::ZERO,
            measured_at: from,
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
            self.line = self.line(limit, turn.now);
            let shared = if turn.now >= self.exact_at { 0 } else { self.shared };
            turn.order(Action::Measure { id, limit: self.line, shared });
            self.measure_at = Some(turn.now + SHORTEST);
        }
    }

    /// So far below the limit as it grows while it is being replaced,
    /// at the rate at which it has grown since it had settled.
    fn line(&self, limit: u64, now: Instant) -> u64 {
        let Some((since, first)) = self.settled else { return limit };
        let growth = u128::from(self.used.saturating_sub(first));
        let time = now.saturating_duration_since(since).max(self.lead);
        let reserve = growth * self.lead.as_millis() / time.as_millis().max(1);
        limit.saturating_sub(u64::try_from(reserve).unwrap_or(u64::MAX))
    }

    /// Is this the first time that shared pages cannot be seen?
    pub(super) fn is_newly_unclear(&mut self, view: View) -> bool {
        match view {
            View::Clear => false,
            View::Hidden => mem::replace(&mut self.view, View::Hidden) == View::Clear,
        }
    }

    /// Takes in what was measured, how much of it is shared if it was measured exactly, and at what cost.
    pub(super) fn measured(
        &mut self,
        bytes: u64,
        shared: Option<u64>,
        limit: u64,
        cost: Duration,
        now: Instant,
    ) -> Verdict {
        self.used = bytes;
        let rested = now.saturating_duration_since(mem::replace(&mut self.measured_at, now));
        self.debt = self.debt.saturating_sub(rested / PAUSE).saturating_add(cost);
        let settles_at = *self.settles_at.get_or_insert(self.serves_from.max(now) + self.fresh);
        self.row = (bytes >= self.line).then(|| {
            let row = self.row.unwrap_or(Row { since: now, first: bytes, count: 0, at_limit: 0 });
            let at_limit = if bytes >= limit { row.at_limit.saturating_add(1) } else { 0 };
            Row { count: row.count.saturating_add(1), at_limit, ..row }
        });
        self.spent = self.row.filter(|row| self.is_spent(row, now)).map(|_| bytes);
        // A cheap one pays for itself alone. One that was due is followed by cheap ones, and the next that is due waits
        // until all is paid. One that these have called for, and that shows that they are wrong, is followed by the
        // next at once too, since a leak is about to be there. So is a row that does not show yet whether it is one: a
        // leak goes by fits and starts. All that up to a point, for it may stay so for good.
        let pays = |cost: Duration| cost.saturating_mul(PAUSE).clamp(SHORTEST, LONGEST);
        let was_due = now >= self.exact_at;
        let may_owe = self.debt.saturating_mul(PAUSE) < CREDIT;
        let pause = match (self.row, shared) {
            (Some(Row { count: 1..IN_A_ROW, .. }), _) => SHORTEST,
            (Some(_), _) if may_owe && self.spent.is_none() => SHORTEST,
            (None, Some(_)) if was_due || may_owe => SHORTEST,
            (None, None) if may_owe => pays(cost),
            (Some(_) | None, _) => pays(self.debt),
        };
        self.measure_at = Some(now + pause);
        if let Some(shared) = shared {
            self.shared = shared;
            if was_due {
                self.exact_at = now + if self.row.is_some() { pause } else { pays(self.debt) };
            }
        }
        match (self.size, self.row) {
            (Size::Unknown, Some(row)) if self.spent.is_some() && row.since < settles_at => {
                self.size = Size::TooBig;
                Verdict::TooSmall
            }
            (Size::Unknown | Size::Fits, Some(_)) if self.spent.is_some() => Verdict::Spent,
            (Size::Unknown, None) if now >= settles_at => {
                (self.size, self.settled) = (Size::Fits, Some((now, bytes)));
                Verdict::Fits
            }
            (Size::Unknown | Size::Fits | Size::TooBig, _) => Verdict::AsBefore,
        }
    }

    /// Is it over the limit for good, or over the line and growing on: at half the
    /// rate at least at which it has grown since it had settled? One step is no leak.
    fn is_spent(&self, row: &Row, now: Instant) -> bool {
        let millis = |since: Instant| now.saturating_duration_since(since).as_millis();
        let grown = |from: u64| u128::from(self.used.saturating_sub(from));
        let grows_on = self.settled.is_some_and(|(since, first)| {
            2 * grown(row.first) * millis(since) >= grown(first) * millis(row.since)
        });
        row.at_limit >= IN_A_ROW || row.count >= IN_A_ROW && grows_on
    }

    /// Bytes, by the last measurement, if there was one.
    pub(super) fn used(&self) -> Option<u64> {
        (self.used > 0).then_some(self.used)
    }

    /// When it will be full, at the rate at which it has grown since it had settled.
    pub(super) fn full_in(&self, limit: u64, now: Instant) -> Option<Duration> {
        let (since, first) = self.settled?;
        let grown = self.used.saturating_sub(first);
        until_spent(grown, limit.saturating_sub(first), now.saturating_duration_since(since))
    }

    /// The bytes, if the budget is spent.
    pub(super) fn spent(&self) -> Option<u64> {
        self.spent
    }
}
