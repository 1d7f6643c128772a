//! How the sources of counts are listened to: a busy server costs some wake-ups a second, and not one a request.

use super::counter::Speech;
use crate::count::Source;
use std::time::Duration;

/// For a source that fills its buffer in no time.
const SHORTEST: Duration = Duration::from_millis(5);
/// A wake-up costs as much as taking some ten requests (measured): the fewer the better.
const LONGEST: Duration = Duration::from_millis(100);
/// Lines of a log go on to somebody who may be looking.
const LONGEST_FOR_STDOUT: Duration = Duration::from_millis(25);
/// Connections are counted this often where nothing else is.
const ASK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Listening {
    manner: Manner,
    /// How long a source that has spoken is left alone.
    pause: Duration,
    longest: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// The first word wakes.
    Eager,
    /// They have just spoken, and will again: they are asked after this time.
    Asking(Duration),
}

impl Listening {
    pub(super) fn to(source: Option<Source>) -> Self {
        let (manner, longest) = match source {
            Some(Source::Statsd | Source::AccessLog) | None => (Manner::Eager, LONGEST),
            Some(Source::Stdout) => (Manner::Eager, LONGEST_FOR_STDOUT),
            // They do not speak by themselves.
            Some(Source::Connections) => (Manner::Asking(ASK), ASK),
        };
        Self { manner, pause: longest, longest }
    }

    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// Takes in what has been heard since the last time.
    pub(super) fn heard(&mut self, speech: Speech) {
        if self.longest == ASK {
            return;
        }
        self.pause = match speech {
            Speech::Silent | Speech::Steady => self.pause,
            Speech::Calm => self.longest.min(self.pause * 2),
            Speech::Lively => SHORTEST.max(self.pause / 2),
        };
        self.manner = match speech {
            Speech::Silent => Manner::Eager,
            Speech::Calm | Speech::Steady | Speech::Lively => Manner::Asking(self.pause),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_much_is_asked_often() {
        let mut listening = Listening::to(Some(Source::Statsd));
        assert_eq!(listening.manner(), Manner::Eager);
        let mut after = |speech| {
            listening.heard(speech);
            match listening.manner() {
                Manner::Eager => 0,
                Manner::Asking(pause) => pause.as_millis(),
            }
        };
        let millis: Vec<_> = [Speech::Calm, Speech::Lively, Speech::Lively, Speech::Steady, Speech::Silent]
            .into_iter()
            .chain([Speech::Lively; 4])
            .chain([Speech::Calm; 6])
            .map(&mut after)
            .collect();
        assert_eq!(millis, [100, 50, 25, 25, 0, 12, 6, 5, 5, 10, 20, 40, 80, 100, 100]);
    }

    #[test]
    fn who_does_not_speak_is_asked_each_second() {
        let mut listening = Listening::to(Some(Source::Connections));
        listening.heard(Speech::Silent);
        assert_eq!(listening.manner(), Manner::Asking(ASK));
        let mut stdout = Listening::to(Some(Source::Stdout));
        stdout.heard(Speech::Calm);
        assert_eq!(stdout.manner(), Manner::Asking(LONGEST_FOR_STDOUT));
    }
}
