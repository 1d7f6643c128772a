//! Metrics that are sent out by themselves: when.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Publishing {
    pause: Option<Duration>,
    due: Option<Instant>,
}

impl Publishing {
    pub(super) fn new(pause: Option<Duration>, now: Instant) -> Self {
        Self { pause, due: pause.map(|pause| now + pause) }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Are they sent at all?
    pub(super) fn is_wanted(&self) -> bool {
        self.pause.is_some()
    }

    /// Is it time? After a long time without a processor the missed ones are not made up for.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let (Some(pause), Some(due)) = (self.pause, self.due.filter(|due| now >= *due)) else { return false };
        let next = due + pause;
        self.due = Some(if next > now { next } else { now + pause });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_equal_steps_and_none_is_made_up_for() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut publishing = Publishing::new(Some(Duration::from_mins(1)), begin);
        let due: Vec<_> =
            [0, 59, 60, 61, 119, 125, 180, 600, 601, 660].map(|time| publishing.is_due(at(time))).into();
        assert_eq!(due, [false, false, true, false, false, true, true, true, false, true]);
        let mut never = Publishing::new(None, begin);
        assert_eq!((never.deadline(), never.is_due(at(9999))), (None, false));
    }
}
