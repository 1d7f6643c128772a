//! How a generation is recycled: what `auto` chooses, and why.

use super::Config;
use crate::count::gunicorn::{Gunicorn, PID_FILE};
use crate::supervisor::{Meaning, Meanings, Recycle, Signal};

/// What the user wants (`OSTLER_RECYCLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A handover where there can be one.
    Auto,
    /// This one.
    Only(Recycle),
}

/// How generations will be recycled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// How.
    pub recycle: Recycle,
    /// What signals are taken for.
    pub signals: Meanings,
    /// For people: why.
    pub because: &'static str,
}

/// Decides how the generations of a command are recycled, given how many sockets are held for them.
///
/// # Errors
/// One line that says what to write instead.
pub fn strategy(config: &Config, held: usize, gunicorn: Option<&Gunicorn>) -> Result<Chosen, String> {
    // gunicorn's own upgrade fails on sockets that it has inherited, and what it stands for is a handover.
    let given = config.policy.signals;
    let signals = if held == 0 { given } else { given.or(Signal::USR2, Meaning::Recycle) };
    let chosen = |recycle, because| Ok(Chosen { recycle, signals, because });
    let has_pid_file = gunicorn.is_some_and(|gunicorn| gunicorn.get(&PID_FILE).is_some());
    match config.strategy {
        Strategy::Only(Recycle::Handover) if held == 0 => Err(
            "OSTLER_RECYCLE=handover: two generations need a socket that outlives them; write OSTLER_LISTEN too"
                .into(),
        ),
        Strategy::Only(Recycle::Handover) if config.pid_file.is_some() => Err(
            "OSTLER_RECYCLE=handover: a pid file is one generation's at a time; unset OSTLER_PIDFILE, or write \
             OSTLER_RECYCLE=restart"
                .into(),
        ),
        Strategy::Only(recycle) => chosen(recycle, "OSTLER_RECYCLE says so"),
        Strategy::Auto if held == 0 => chosen(Recycle::Restart, "no sockets are held"),
        Strategy::Auto if has_pid_file => {
            chosen(Recycle::Restart, "gunicorn's --pid allows only one generation at a time")
        }
        Strategy::Auto if config.pid_file.is_some() => {
            chosen(Recycle::Restart, "OSTLER_PIDFILE is one generation's at a time")
        }
        Strategy::Auto => chosen(Recycle::Handover, "sockets are held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::count::gunicorn::FileText;

    fn chosen(setting: &str, held: usize, flags: &str) -> Result<Recycle, String> {
        let pairs = [("OSTLER_RECYCLE".into(), setting.into())];
        let config = Config::read(&pairs, &Overrides::default()).unwrap();
        let gunicorn = Gunicorn::find(&[format!("gunicorn {flags}")], "", |_| FileText::Absent);
        strategy(&config, held, gunicorn.as_ref()).map(|chosen| chosen.recycle)
    }

    #[test]
    fn auto_hands_over_where_that_is_possible() {
        assert_eq!(chosen("auto", 1, ""), Ok(Recycle::Handover));
        assert_eq!(chosen("auto", 0, ""), Ok(Recycle::Restart));
        assert_eq!(chosen("auto", 1, "--pid /run/g.pid"), Ok(Recycle::Restart));
        assert_eq!(chosen("auto", 1, "-p /run/g.pid"), Ok(Recycle::Restart));
        assert_eq!(chosen("handover", 1, "--pid /run/g.pid"), Ok(Recycle::Handover));
        assert_eq!(chosen("restart", 1, ""), Ok(Recycle::Restart));
        assert!(chosen("handover", 0, "").unwrap_err().contains("OSTLER_LISTEN"));
        let with_pid_file = |setting: &str| {
            let pairs = [("OSTLER_RECYCLE", setting), ("OSTLER_PIDFILE", "/run/x.pid")];
            let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
            let config = Config::read(&pairs, &Overrides::default()).unwrap();
            strategy(&config, 1, None).map(|chosen| chosen.recycle)
        };
        assert_eq!(with_pid_file("auto"), Ok(Recycle::Restart));
        assert!(with_pid_file("handover").unwrap_err().contains("unset OSTLER_PIDFILE"));
    }
}
