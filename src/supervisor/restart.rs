//! When what has failed is tried again: a start for want of something, a child that
//! has ended by itself, a handover to a successor that did not serve, steering.

use super::RestartLimit;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after the `failures`th failed start in a row: 100 ms, doubled each time, at most 30 s.
pub(super) fn backoff(failures: u32) -> Duration {
    doubled(FIRST, failures).min(LONGEST)
}

/// When generations have ended by themselves, as far back as it counts.
#[derive(Debug, Default)]
pub(super) struct Ends(VecDeque<Instant>);

/// What one more end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The child is started again after this pause.
    Again(Duration),
    /// There were so many in the window that ostler gives up.
    GiveUp(usize),
}

impl Ends {
    /// One more.
    pub(super) fn another(&mut self, now: Instant, limit: RestartLimit) -> Next {
        self.0.retain(|at| now.saturating_duration_since(*at) < limit.window);
        self.0.push_back(now);
        match u32::try_from(self.0.len()) {
            Ok(ends) if ends <= limit.ends => Next::Again(backoff(ends)),
            Ok(_) | Err(_) => Next::GiveUp(self.0.len()),
        }
    }
}

const SHORTEST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(10);

/// How long to wait after the `failures`th failed handover in a row: the minimum
/// age of a generation (a second at least), doubled each time, at most 10 minutes.
/// A server serves meanwhile, and every try costs it the memory of a second one.
pub(super) fn retry(min_age: Duration, failures: u32) -> Duration {
    let first = min_age.max(SHORTEST_RETRY);
    doubled(first, failures).min(LONGEST_RETRY.max(first))
}

/// Whether new connections go where they should.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// Of the last order, in a row.
    failures: u32,
    /// It has failed; it is given again then.
    pub(super) again: Option<Instant>,
}

impl Steering {
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.again = Some(now + steer_again(self.failures));
    }
}

/// How long to wait after steering has failed for the `failures`th time in a row: a second, doubled each time, at most
/// 30 s. Clients may wait meanwhile where nobody serves.
fn steer_again(failures: u32) -> Duration {
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
    fn a_child_is_started_again_so_often_in_so_much_time() {
        let limit = RestartLimit { ends: 3, window: Duration::from_mins(1) };
        let origin = Instant::now();
        let mut ends = Ends::default();
        let again = |millis| Next::Again(Duration::from_millis(millis));
        for (second, expected) in [
            (0, again(100)),
            (10, again(200)),
            (20, again(400)),
            // The first one does not count any more.
            (60, again(400)),
            (69, Next::GiveUp(4)),
            (200, again(100)),
        ] {
            assert_eq!(ends.another(origin + Duration::from_secs(second), limit), expected, "{second}");
        }
        let never = RestartLimit { ends: 0, ..limit };
        assert_eq!(Ends::default().another(origin, never), Next::GiveUp(1));
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
