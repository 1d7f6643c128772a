//! How much memory the incumbent holds, as it was measured, and what is to be told of that.

use crate::judge::Judge;
use crate::member::pause;
use ostler::supervisor::{Action, GenerationId, Notice, Policy, View};
use std::time::{Duration, Instant};

/// So many measurements in a row: a peak that passes recycles nobody.
const ENOUGH: usize = 3;
/// Whoever holds too much so soon after it serves has always held it, whatever the minimum age is.
const FRESH: Duration = Duration::from_secs(10);

/// What measuring three times and its end take, and how long a successor is taken to need that nobody has seen.
const ROW: Duration = Duration::from_secs(4);
const UNSEEN: Duration = Duration::from_millis(2500);

/// What may be owed where the next measurement is needed at once.
const CREDIT: Duration = Duration::from_mins(1);

/// Whoever is too big from the beginning counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    Fits,
    TooBig,
}

/// One measurement.
#[derive(Debug)]
struct Measured {
    at: Instant,
    bytes: u64,
    /// Was it over the line, and over the limit?
    over: bool,
    full: bool,
}

#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) limit: u64,
    pub(crate) measure_at: Instant,
    /// From then on it is known to serve.
    known_from: Instant,
    /// So long it is fresh, once it is known to serve and has been measured.
    fresh: Duration,
    size: Size,
    /// From being over the line to its end, if it is replaced.
    lead: Duration,
    /// For the measurement that was ordered.
    line: u64,
    /// What is shared, by the last exact measurement, and when another one is due.
    shared: u64,
    exact_at: Instant,
    /// By the first measurement that has shown that it fits.
    settled: Option<(Instant, u64)>,
    measured: Vec<Measured>,
    /// What they cost that time has not made up for yet, by the last one.
    debt: Duration,
    since: Instant,
    view: View,
}

impl Gauge {
    /// It is known to serve from a later time on, maybe; or to have served so long after its start.
    pub(crate) fn from(
        limit: u64,
        policy: &Policy,
        measure_at: Instant,
        known_from: Instant,
        ready_after: Option<Duration>,
    ) -> Self {
        let min_age = policy.min_age;
        Self {
            limit,
            lead: ROW + 2 * ready_after.unwrap_or(UNSEEN) + policy.linger,
            line: limit,
            shared: 0,
            exact_at: measure_at,
            settled: None,
            measure_at,
            known_from,
            fresh: min_age.max(FRESH),
            size: Size::Unknown,
            measured: Vec::new(),
            debt: Duration::ZERO,
            since: measure_at,
            view: View::Clear,
        }
    }

    /// A measurement was ordered. It may fail: then the next one is as if it had cost nothing.
    pub(crate) fn ordered(&mut self, now: Instant) {
        self.measure_at = now + Duration::from_secs(1);
        self.line = self.line(now);
    }

    /// Whoever has grown since it was known to fit goes on so, and is not to be over the limit before it is gone.
    pub(crate) fn line(&self, now: Instant) -> u64 {
        let grown = self.settled.and_then(|(since, first)| Some((since, self.used()?.checked_sub(first)?)));
        let Some((since, bytes)) = grown else { return self.limit };
        let time = self.lead.max(now - since).as_millis();
        let more = u128::from(bytes) * self.lead.as_millis() / time;
        u64::try_from(u128::from(self.limit).saturating_sub(more)).unwrap_or_default()
    }

    /// What is known to be shared, unless it is time to look anew.
    pub(crate) fn known_shared(&self, now: Instant) -> u64 {
        if self.exact_at <= now { 0 } else { self.shared }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.are_over(self.measured.len())
    }

    /// Were the last of these measurements over the limit, or over the line in a row in which it went on growing?
    fn are_over(&self, measurements: usize) -> bool {
        let Some(made) = self.measured.get(..measurements) else { return false };
        let (full, row) = (trailing(made, |each| each.full), trailing(made, |each| each.over));
        let (Some(first), Some(last)) = (row.first(), row.last()) else { return false };
        let grows = self.settled.is_some_and(|(since, bytes)| {
            let grown = |from: u64| u128::from(last.bytes.saturating_sub(from));
            let time = |since: Instant| last.at.saturating_duration_since(since).as_millis();
            // Half of what it should have grown by in this row.
            2 * grown(first.bytes) * time(since) >= grown(bytes) * time(first.at)
        });
        full.len() >= ENOUGH || row.len() >= ENOUGH && grows
    }

    /// Bytes, by the last measurement.
    pub(crate) fn used(&self) -> Option<u64> {
        self.measured.last().map(|measured| measured.bytes)
    }

    /// Was it fresh then?
    fn was_fresh(&self, at: Instant) -> bool {
        let first = self.measured.first().map_or(at, |first| first.at);
        at < first.max(self.known_from) + self.fresh
    }

    /// It is spent now: was it fresh when it began to be over the limit?
    fn was_over_when_fresh(&self) -> bool {
        let row = trailing(&self.measured, |each| each.over);
        row.first().is_some_and(|first| self.was_fresh(first.at))
    }

    /// Has it been seen below the limit when it was no longer fresh?
    fn fits_now(&self) -> bool {
        self.measured.last().is_some_and(|last| !last.over && !self.was_fresh(last.at))
    }

    /// A thousandth of the time, but each second at most and every five minutes at least. Once it is over the line, the
    /// next two come soon. After an exact one cheap ones come soon, and each of those rests for itself alone. What is
    /// owed for all that is a minute's worth at most.
    fn measured(&mut self, bytes: u64, shared: Option<u64>, cost: Duration, now: Instant) {
        let (over, full) = (bytes >= self.line, bytes >= self.limit);
        self.measured.push(Measured { at: now, bytes, over, full });
        let paid = now.saturating_duration_since(self.since) / 1000;
        (self.debt, self.since) = (self.debt.saturating_sub(paid) + cost, now);
        let row = trailing(&self.measured, |each| each.over).len();
        let due = self.exact_at <= now;
        let soon = Duration::from_secs(1);
        let rest = |cost: Duration| cost.saturating_mul(1000).max(soon).min(Duration::from_mins(5));
        let too_much = self.debt.saturating_mul(1000) >= CREDIT;
        let pause = if over {
            let unclear = row < ENOUGH || (!too_much && !self.is_spent());
            if unclear { soon } else { rest(self.debt) }
        } else if shared.is_some() && due {
            soon
        } else if too_much {
            rest(self.debt)
        } else if shared.is_some() {
            soon
        } else {
            rest(cost)
        };
        self.measure_at = now + pause;
        if let Some(shared) = shared {
            self.shared = shared;
            if due {
                self.exact_at = now + if over { pause } else { rest(self.debt) };
            }
        }
    }
}

/// The last of them that are so.
fn trailing(made: &[Measured], so: impl Fn(&Measured) -> bool) -> &[Measured] {
    let first = made.iter().rposition(|each| !so(each)).map_or(0, |place| place + 1);
    made.get(first..).unwrap_or_default()
}

impl Judge {
    pub(crate) fn memory_measured(
        &mut self,
        id: GenerationId,
        bytes: u64,
        shared: Option<u64>,
        view: View,
        cost: Duration,
    ) {
        let (now, too_big, min_age) = (self.turn.now, self.too_big, self.policy.min_age);
        if self.alone().is_none_or(|member| member.id != id) {
            return;
        }
        let Some(member) = self.member(id) else { return };
        let Some(gauge) = &mut member.gauge else { return };
        let (before, limit) = (gauge.view, gauge.limit);
        if view == View::Hidden {
            gauge.view = view;
        }
        gauge.measured(bytes, shared, cost, now);
        match gauge.size {
            Size::Unknown if gauge.is_spent() && gauge.was_over_when_fresh() => {
                // A recycle cures nothing there, so the next one comes later.
                gauge.size = Size::TooBig;
                member.too_big_until = member.started + pause(min_age, too_big + 1);
                self.too_big += 1;
            }
            Size::Unknown if gauge.fits_now() => {
                (gauge.size, gauge.settled) = (Size::Fits, Some((now, bytes)));
                self.too_big = 0;
            }
            Size::Unknown | Size::Fits if gauge.is_spent() => self.too_big = 0,
            Size::Unknown | Size::Fits | Size::TooBig => {}
        }
        if (before, view) == (View::Clear, View::Hidden) {
            self.owe(Action::Log(Notice::MemoryUnclear { id }));
        }
        if (too_big, self.too_big) == (0, 1) {
            self.owe(Action::Log(Notice::MemoryBudgetSmall { id, used: bytes, limit }));
        }
    }
}
