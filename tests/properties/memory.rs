//! How much memory the incumbent holds, as it was measured, and what is to be told of that.

use crate::judge::Judge;
use crate::member::pause;
use ostler::supervisor::{Action, GenerationId, Notice, View};
use std::time::{Duration, Instant};

/// So many measurements in a row: a peak that passes recycles nobody.
const ENOUGH: usize = 3;
/// Whoever holds too much so soon after it serves has always held it, whatever the minimum age is.
const FRESH: Duration = Duration::from_secs(10);

/// Whoever is too big from the beginning counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    Fits,
    TooBig,
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
    /// When, and how many bytes, one measurement after another.
    measured: Vec<(Instant, u64)>,
    /// What they cost that no pause has made up for yet.
    cost: Duration,
    view: View,
}

impl Gauge {
    /// It is known to serve from a later time on, maybe.
    pub(crate) fn from(limit: u64, min_age: Duration, measure_at: Instant, known_from: Instant) -> Self {
        Self {
            limit,
            measure_at,
            known_from,
            fresh: min_age.max(FRESH),
            size: Size::Unknown,
            measured: Vec::new(),
            cost: Duration::ZERO,
            view: View::Clear,
        }
    }

    /// A measurement was ordered. It may fail: then the next one is as if it had cost nothing.
    pub(crate) fn ordered(&mut self, now: Instant) {
        self.measure_at = now + Duration::from_secs(1);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.are_over(self.measured.len())
    }

    /// Was it spent by the last measurement, and not before?
    fn is_spent_now(&self) -> bool {
        self.is_spent() && !self.are_over(self.measured.len() - 1)
    }

    /// Were the last of these measurements over the limit?
    fn are_over(&self, measurements: usize) -> bool {
        let last = measurements.checked_sub(ENOUGH).and_then(|first| self.measured.get(first..measurements));
        last.is_some_and(|last| last.iter().all(|(_, bytes)| *bytes >= self.limit))
    }

    /// Bytes, by the last measurement.
    pub(crate) fn used(&self) -> Option<u64> {
        self.measured.last().map(|(_, bytes)| *bytes)
    }

    /// Was it fresh then?
    fn was_fresh(&self, at: Instant) -> bool {
        let first = self.measured.first().map_or(at, |(first, _)| *first);
        at < first.max(self.known_from) + self.fresh
    }

    /// It is spent now: was it fresh when it began to be over the limit?
    fn was_over_when_fresh(&self) -> bool {
        let first = self.measured.len().checked_sub(ENOUGH).and_then(|first| self.measured.get(first));
        first.is_some_and(|(at, _)| self.was_fresh(*at))
    }

    /// Has it been seen below the limit when it was no longer fresh?
    fn fits_now(&self) -> bool {
        self.measured.last().is_some_and(|(at, bytes)| *bytes < self.limit && !self.was_fresh(*at))
    }

    /// A thousandth of the time, but each second at most and every five minutes at least. Once it is over the limit, the
    /// next two come soon, and cost the pause after them.
    fn measured(&mut self, bytes: u64, cost: Duration, now: Instant) {
        self.measured.push((now, bytes));
        self.cost = self.cost.saturating_add(cost);
        let pause = if bytes < self.limit || self.is_spent() {
            std::mem::take(&mut self.cost).saturating_mul(1000)
        } else {
            Duration::ZERO
        };
        self.measure_at = now + pause.max(Duration::from_secs(1)).min(Duration::from_mins(5));
    }
}

impl Judge {
    pub(crate) fn memory_measured(&mut self, id: GenerationId, bytes: u64, view: View, cost: Duration) {
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
        gauge.measured(bytes, cost, now);
        match gauge.size {
            Size::Unknown if gauge.is_spent_now() && gauge.was_over_when_fresh() => {
                // A recycle cures nothing there, so the next one comes later.
                gauge.size = Size::TooBig;
                member.too_big_until = member.started + pause(min_age, too_big + 1);
                self.too_big += 1;
            }
            Size::Unknown if gauge.fits_now() => {
                gauge.size = Size::Fits;
                self.too_big = 0;
            }
            Size::Unknown | Size::Fits if gauge.is_spent_now() => self.too_big = 0,
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
