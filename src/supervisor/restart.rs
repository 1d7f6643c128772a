//! When what has failed is tried again: a start for want of something, a handover to a successor that did not serve,
//! steering.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after the `failures`th failed start in a row: 100 ms, doubled each time, at most 30 s.
pub(super) fn backoff(failures: u32) -> Duration {
    doubled(FIRST, failures).min(LONGEST)
}

const SHORTEST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(10);

/// How long to wait after the `failures`th failed handover in a row: the minimum age of a generation (a second at least),
/// doubled each time, at most 10 minutes. A server serves meanwhile, and every try costs it the memory of a second one.
pub(super) fn retry(min_age: Duration, failures: u32) -> Duration {
    let first = min_age.max(SHORTEST_RETRY);
    doubled(first, failures).min(LONGEST_RETRY.max(first))
}

/// How long to wait after steering has failed for the `failures`th time in a row: a second, doubled each time, at most
/// 30 s. Clients may wait meanwhile where nobody serves.
pub(super) fn steer_again(failures: u32) -> Duration {
    doubled(SHORTEST_RETRY, failures).min(LONGEST)
}

fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound() {
        let millis: Vec<_> = (1..=5).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600]);
        assert_eq!(backoff(0), FIRST);
        assert_eq!(backoff(10), LONGEST);
        assert_eq!(backoff(u32::MAX), LONGEST);
        let seconds: Vec<_> = (1..=6).map(|n| steer_again(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30]);
        assert_eq!(steer_again(u32::MAX), LONGEST);
    }

    #[test]
    fn a_handover_is_tried_again_after_the_minimum_age_at_first() {
        let seconds = |min_age, failures| retry(Duration::from_secs(min_age), failures).as_secs();
        assert_eq!([1, 2, 3, 9].map(|n| seconds(30, n)), [30, 60, 120, 600]);
        assert_eq!([1, 2, 3].map(|n| seconds(0, n)), [1, 2, 4]);
        assert_eq!([1, 2].map(|n| seconds(3600, n)), [3600, 3600]);
        assert_eq!(seconds(30, u32::MAX), 600);
    }
}
