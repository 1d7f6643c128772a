//! tini's own command line and variables, which mean to ostler what they mean to tini.

use super::{Level, values};
use crate::supervisor::{Expected, Recipient, Signal};
use std::ffi::OsString;

/// What tini's flags and variables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// `-g`, `TINI_KILL_PROCESS_GROUP`: who gets forwarded signals.
    pub recipient: Recipient,
    /// `-v`: the log level.
    pub level: Option<Level>,
    /// `-w`: the level at which reaped orphans are told.
    pub orphans: Level,
    /// `-e`: which statuses of the child are as good as 0.
    pub expected: Expected,
    /// `-p`: what ostler gets when its own parent ends.
    pub parent_death: Option<Signal>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            recipient: Recipient::Leader,
            level: None,
            orphans: Level::Debug,
            expected: Expected::default(),
            parent_death: None,
        }
    }
}

impl Overrides {
    /// The same, and what tini's variables say. The command line and `OSTLER_LOG_LEVEL` win over them.
    /// (`TINI_SUBREAPER` asks for what ostler does by itself.)
    pub(super) fn with_tinis(self, environment: &[(OsString, OsString)]) -> Self {
        let find = |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        // To be there is enough, whatever is in it.
        let group = find("TINI_KILL_PROCESS_GROUP").map(|_| Recipient::Group);
        let verbosity = find("TINI_VERBOSITY").filter(|value| !value.is_empty());
        let own = find("OSTLER_LOG_LEVEL").is_some_and(|value| !value.is_empty());
        // What is no number is 0 to tini (atoi(3)).
        let number = verbosity.map(|value| value.to_string_lossy().trim().parse::<i64>().unwrap_or(0));
        let level =
            number.map(|number| values::verbosity(number.clamp(0, 3).unsigned_abs())).filter(|_| !own);
        Self { recipient: group.unwrap_or(self.recipient), level: self.level.or(level), ..self }
    }
}
