//! What a signal that ostler gets is taken for.

use super::terms::Signal;
use std::fmt;

/// There are signals up to this number (signal(7)).
const LAST: usize = 64;

/// What one signal is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nobody said anything about it.
    Itself,
    /// This one, as if it had come instead.
    Other(Signal),
    /// Nothing.
    Nothing,
    /// A recycle, now.
    Recycle,
}

/// What each signal is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Meanings([Meaning; LAST + 1]);

impl fmt::Debug for Meanings {
    /// Those that are not themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.0.iter().enumerate().filter(|(_, meaning)| **meaning != Meaning::Itself);
        f.debug_map().entries(said).finish()
    }
}

impl Meanings {
    /// Each is itself.
    pub const PLAIN: Self = Self([Meaning::Itself; LAST + 1]);

    /// The same, but for this signal.
    #[must_use]
    pub fn with(mut self, signal: Signal, meaning: Meaning) -> Self {
        let place = usize::try_from(signal.0).ok().and_then(|place| self.0.get_mut(place));
        if let Some(place) = place {
            *place = meaning;
        }
        self
    }

    /// The same, if nothing was said about this signal; also of those that are taken for it.
    #[must_use]
    pub fn or(self, signal: Signal, meaning: Meaning) -> Self {
        if self.of(signal) != Meaning::Itself {
            return self;
        }
        let taken = |each: Meaning| if each == Meaning::Other(signal) { meaning } else { each };
        Self(self.0.map(taken)).with(signal, meaning)
    }

    /// What this signal is taken for.
    #[must_use]
    pub fn of(&self, signal: Signal) -> Meaning {
        let place = usize::try_from(signal.0).ok().and_then(|place| self.0.get(place));
        place.copied().unwrap_or(Meaning::Itself)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_counts_and_a_default_only_where_nothing_is() {
        let meanings = Meanings::PLAIN
            .with(Signal::HUP, Meaning::Nothing)
            .with(Signal::HUP, Meaning::Other(Signal::QUIT))
            .with(Signal::USR2, Meaning::Other(Signal::USR2))
            .or(Signal::USR2, Meaning::Recycle)
            .with(Signal(10), Meaning::Other(Signal::INT))
            .or(Signal::INT, Meaning::Recycle);
        for (signal, meaning) in [
            (Signal::HUP, Meaning::Other(Signal::QUIT)),
            (Signal::USR2, Meaning::Other(Signal::USR2)),
            (Signal::INT, Meaning::Recycle),
            (Signal(10), Meaning::Recycle),
            (Signal(64), Meaning::Itself),
            (Signal(0), Meaning::Itself),
            (Signal(-1), Meaning::Itself),
            (Signal(65), Meaning::Itself),
        ] {
            assert_eq!(meanings.of(signal), meaning, "{signal:?}");
        }
        assert_eq!(Meanings::PLAIN.with(Signal(65), Meaning::Nothing), Meanings::PLAIN);
    }
}
