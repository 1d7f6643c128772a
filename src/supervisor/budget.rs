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
    /// Age, before jitter.
    pub age: Option<Duration>,
    /// At most so much later, drawn anew for every generation, to the millisecond.
    pub age_jitter: Duration,
    /// Memory, in bytes. It has no jitter: no two servers grow alike.
    pub memory: Option<u64>,
}

/// The limits of one generation: the budget with this generation's jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: Option<u64>,
    /// Age.
    pub age: Option<Duration>,
    /// Memory, in bytes.
    pub memory: Option<u64>,
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
    /// The age budget.
    Age {
        /// The limit of this generation.
        limit: Duration,
    },
    /// The memory budget.
    Memory {
        /// Bytes, by the last of the measurements.
        used: u64,
        /// The limit.
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
        let more = random.u64(0..=self.requests_jitter);
        let later = random.u64(0..=u64::try_from(self.age_jitter.as_millis()).unwrap_or(u64::MAX));
        Limits {
            requests: self.requests.map(|requests| requests.saturating_add(more)),
            age: self.age.map(|age| age.saturating_add(Duration::from_millis(later))),
            memory: self.memory,
        }
    }
}

/// When so much is used of a limit, at the rate of `time` so far. Nothing is known of what was never used.
pub(super) fn until_spent(used: u64, limit: u64, time: Duration) -> Option<Duration> {
    let left = limit.saturating_sub(used);
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let millis = time.as_millis().checked_mul(left.into())?.checked_div(used.into())?;
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    #[test]
    fn off_stays_off() {
        let budget = Budget { requests_jitter: 9, age_jitter: Duration::from_secs(9), ..Budget::default() };
        let limits = budget.draw(&mut Rng::with_seed(1));
        assert_eq!(limits, Limits { requests: None, age: None, memory: None });
    }

    #[test]
    fn every_jitter_is_drawn() {
        let budget = Budget { requests: Some(10), requests_jitter: 3, ..Budget::default() };
        let mut random = Rng::with_seed(7);
        let mut seen: Vec<_> = (0..200).filter_map(|_| budget.draw(&mut random).requests).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [10, 11, 12, 13]);
    }

    proptest! {
        #[test]
        fn a_limit_lies_between_budget_and_budget_plus_jitter(
            requests in any::<u64>(), requests_jitter in any::<u64>(), age in any::<u32>(), later in any::<u32>(),
            seed in any::<u64>(),
        ) {
            let [age, age_jitter] = [age, later].map(|millis| Duration::from_millis(millis.into()));
            let budget = Budget { requests: Some(requests), requests_jitter, age: Some(age), age_jitter, memory: Some(1) };
            let limits = budget.draw(&mut Rng::with_seed(seed));
            let limit = limits.requests.unwrap();
            prop_assert!(requests <= limit && limit <= requests.saturating_add(requests_jitter));
            let limit = limits.age.unwrap();
            prop_assert!(age <= limit && limit <= age + age_jitter);
            prop_assert_eq!(limits.memory, Some(1));
        }
    }
}
