//! When a start that failed for want of something is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after the `failures`th failure in a row: 100 ms, doubled each time, at most 30 s.
pub(super) fn backoff(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST.saturating_mul(factor).min(LONGEST)
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
    }
}
