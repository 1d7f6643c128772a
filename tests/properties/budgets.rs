//! What a generation may use, as far as that is told, and when that calls for a recycle.

use crate::member::Member;
use crate::memory::Gauge;
use ostler::supervisor::{Budget, Limits, Policy};
use std::time::{Duration, Instant};

/// A limit that was drawn: so much at least, so much at most, since not every draw is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn<T> {
    least: T,
    most: T,
}

impl<T: Copy> Drawn<T> {
    fn exactly(limit: T) -> Self {
        Self { least: limit, most: limit }
    }
}

/// The limits of one generation that have jitter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draw {
    requests: Option<Drawn<u64>>,
    age: Option<Drawn<Duration>>,
}

impl Draw {
    /// Nothing of it was told.
    pub(crate) fn from(budget: &Budget) -> Self {
        let requests = |least: u64| Drawn { least, most: least.saturating_add(budget.requests_jitter) };
        let age = |least: Duration| Drawn { least, most: least.saturating_add(budget.age_jitter) };
        Self { requests: budget.requests.map(requests), age: budget.age.map(age) }
    }

    pub(crate) fn told(limits: &Limits) -> Self {
        Self { requests: limits.requests.map(Drawn::exactly), age: limits.age.map(Drawn::exactly) }
    }

    /// Can these limits have been drawn?
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        fits(self.requests, limits.requests) && fits(self.age, limits.age)
    }

    pub(crate) fn requests_may_be(&self, limit: u64) -> bool {
        fits(self.requests, Some(limit))
    }

    pub(crate) fn age_may_be(&self, limit: Duration) -> bool {
        fits(self.age, Some(limit))
    }
}

fn fits<T: PartialOrd>(drawn: Option<Drawn<T>>, limit: Option<T>) -> bool {
    match (drawn, limit) {
        (Some(drawn), Some(limit)) => drawn.least <= limit && limit <= drawn.most,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// From when on the budgets let a generation be recycled, and from when
/// on they demand it. The two differ where a limit is not known exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    pub(crate) may: Option<Instant>,
    pub(crate) must: Option<Instant>,
}

impl Member {
    pub(crate) fn calls(&self, policy: &Policy) -> Calls {
        let from = self.recyclable_from(policy);
        let at_age = |limit| from.max(self.started + limit);
        let Draw { requests, age } = self.draw;
        let memory = self.memory_calls_from(policy);
        let may = [
            requests.filter(|drawn| self.used >= drawn.least).map(|_| from),
            age.map(|drawn| at_age(drawn.least)),
            memory,
        ];
        let must = [
            requests.filter(|drawn| self.used >= drawn.most).map(|_| from),
            age.map(|drawn| at_age(drawn.most)),
            memory,
        ];
        Calls { may: may.into_iter().flatten().min(), must: must.into_iter().flatten().min() }
    }

    /// From when on it may be recycled for the memory that it holds, if it holds too much.
    pub(crate) fn memory_calls_from(&self, policy: &Policy) -> Option<Instant> {
        let spent = self.gauge.as_ref().filter(|gauge| gauge.is_spent());
        spent.map(|_| self.recyclable_from(policy).max(self.too_big_until))
    }

    /// Is it to be replaced, sooner or later, for what it has used? Its age, which only ever grows, is left out.
    pub(crate) fn is_spent(&self) -> bool {
        let requests = self.draw.requests.is_some_and(|drawn| self.used >= drawn.most);
        requests || self.gauge.as_ref().is_some_and(Gauge::is_spent)
    }
}
