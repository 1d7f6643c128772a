//! What a generation may use before it is recycled: limits with jitter in, a reason to recycle out.

use fastrand::Rng;
use std::time::Duration;

/// The budgets of every generation, as configured. `None` is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Requests, before jitter.
    pub requests: Option<u64>,
    /// At most this many requests more, drawn anew for every generation, so that a fleet does not recycle as one.
    pub requests_jitter: u64,
}

/// The limits of one generation: the budget with this generation's jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: Option<u64>,
}

/// What a generation has used so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests counted.
    pub requests: u64,
}

/// Why a generation is recycled, with the figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecycleReason {
    /// The request budget.
    Requests {
        /// Requests counted.
        used: u64,
        /// The limit of this generation.
        limit: u64,
    },
    /// Somebody asked for it.
    Command,
    /// Connections waited this long, and none of them was accepted.
    Hung(Duration),
}

impl Budget {
    /// Draws the limits of a new generation.
    pub fn draw(&self, random: &mut Rng) -> Limits {
        let jitter = random.u64(0..=self.requests_jitter);
        Limits { requests: self.requests.map(|requests| requests.saturating_add(jitter)) }
    }
}

impl Limits {
    /// The first budget that is spent, if one is.
    #[must_use]
    pub fn spent(&self, usage: &Usage) -> Option<RecycleReason> {
        let limit = self.requests?;
        (usage.requests >= limit).then_some(RecycleReason::Requests { used: usage.requests, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    #[test]
    fn off_is_never_spent() {
        let limits = Budget::default().draw(&mut Rng::with_seed(1));
        assert_eq!(limits.spent(&Usage { requests: u64::MAX }), None);
    }

    #[test]
    fn spent_at_the_limit_not_before() {
        let limits = Limits { requests: Some(500) };
        assert_eq!(limits.spent(&Usage { requests: 499 }), None);
        let reason = RecycleReason::Requests { used: 500, limit: 500 };
        assert_eq!(limits.spent(&Usage { requests: 500 }), Some(reason));
    }

    #[test]
    fn every_jitter_is_drawn() {
        let budget = Budget { requests: Some(10), requests_jitter: 3 };
        let mut random = Rng::with_seed(7);
        let mut seen: Vec<_> = (0..200).filter_map(|_| budget.draw(&mut random).requests).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [10, 11, 12, 13]);
    }

    proptest! {
        #[test]
        fn a_limit_lies_between_budget_and_budget_plus_jitter(
            requests in any::<u64>(), requests_jitter in any::<u64>(), seed in any::<u64>(),
        ) {
            let limits = Budget { requests: Some(requests), requests_jitter }.draw(&mut Rng::with_seed(seed));
            let limit = limits.requests.unwrap();
            prop_assert!(requests <= limit && limit <= requests.saturating_add(requests_jitter));
        }
    }
}
