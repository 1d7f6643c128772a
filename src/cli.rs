//! tini's command line, and words beside it. Options end at the first operand: `ostler -g gunicorn -w 4`.

use crate::config::{Level, Overrides, signal};
use crate::supervisor::Recipient;
use lexopt::{Arg, Parser};
use std::ffi::OsString;

/// What `--help` prints: one screen.
pub const HELP: &str = "\
ostler: a PID 1 for containers that run gunicorn-style servers
Usage: ostler [OPTIONS] [--] PROGRAM [ARGS...]    also: -h --help -l --version
  -g  send signals to the whole process group   -s  reap orphans, PID 1 or not
  -v  tell more (OSTLER_LOG_LEVEL=debug)        -w  warn of every reaped orphan
  -e N  end with 0 where the program does with N    -p SIG  if the parent ends
  --check    show the configuration and where it comes from; start nothing
  --recycle  in a container where ostler runs: replace its program's processes
Environment (default):
  OSTLER_ULIMIT_CORE (0)          no core files; every ulimit has such a name
  OSTLER_MAX_REQUESTS (off)       recycle after so many requests,
  OSTLER_MAX_AGE (off)            or so long, each with a random _JITTER (0),
  OSTLER_MAX_MEMORY (off)         or with so much memory: 800MiB, 80%
  OSTLER_COUNT (auto)             by statsd, access-log, stdout, connections
  OSTLER_COUNT_SKIP (none), OSTLER_STATSD_FORWARD (none)
  OSTLER_MIN_AGE (30s)            nothing younger is recycled
  OSTLER_LISTEN (none)            sockets to hold open, such as 0.0.0.0:8000,
                                  with _BACKLOG (2048), _MODE (0777), _OWNER
  OSTLER_RECYCLE (auto)           by handover, restart or reload[:SIGNAL]
  OSTLER_READY (accept)           or notify, delay:T; OSTLER_HEALTH_PATH (none)
  OSTLER_READY_TIMEOUT (60s), OSTLER_LINGER (1s), OSTLER_STEERING (auto)
  OSTLER_WATCHDOG (off)           so long may nobody be accepted who waits
  OSTLER_GRACE_PERIOD (25s)       between OSTLER_STOP_SIGNAL (TERM) and SIGKILL
  OSTLER_LOG (text), OSTLER_LOG_LEVEL (info): json, off; error, warn, debug
Exit status: the program's own; 128+N if signal N ended it; 127 not found; 126
not executable; 1 bad configuration. Each variable: docs/configuration.md
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Show the help.
    Help,
    /// Show the version.
    Version,
    /// Show the licence.
    Licence,
    /// Show the configuration.
    Check(Overrides, Vec<OsString>),
    /// Ask the ostler of this container for a recycle.
    Recycle,
    /// Run this command, which is not empty.
    Run(Overrides, Vec<OsString>),
}

/// Reads the arguments, the program's own name not among them.
///
/// # Errors
/// One line that says what to write instead.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let mut parser = Parser::from_args(arguments);
    let mut overrides = Overrides::default();
    let mut check = None;
    let mut command = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('g') => overrides.recipient = Recipient::Group,
            // ostler becomes a sub-reaper by itself wherever it is not PID 1.
            Arg::Short('s') => {}
            Arg::Short('v') => overrides.level = Some(Level::Debug),
            Arg::Short('w') => overrides.orphans = Level::Warn,
            Arg::Short('e') => {
                let status = value(&mut parser)?;
                let status =
                    status.parse().map_err(|_| format!("-e {status}: write a status from 0 to 255"))?;
                overrides.expected = overrides.expected.and(status);
            }
            Arg::Short('p') => {
                let name = value(&mut parser)?;
                let cure = || format!("-p {name}: write a signal, such as SIGTERM");
                overrides.parent_death = Some(signal(&name).ok_or_else(cure)?);
            }
            Arg::Short('l') => return Ok(Invocation::Licence),
            Arg::Short('h') | Arg::Long("help") => return Ok(Invocation::Help),
            Arg::Long("version") => return Ok(Invocation::Version),
            Arg::Long("check") => check = Some(()),
            Arg::Long("recycle") => return Ok(Invocation::Recycle),
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args().map_err(|error| error.to_string())?);
                break;
            }
            Arg::Short(_) | Arg::Long(_) => {
                return Err(format!("{}; ostler --help lists the options", argument.unexpected()));
            }
        }
    }
    match (check, command.is_empty()) {
        (Some(()), _) => Ok(Invocation::Check(overrides, command)),
        (None, false) => Ok(Invocation::Run(overrides, command)),
        (None, true) => Err("no program to run; write ostler -- PROGRAM [ARGS...]".into()),
    }
}

fn value(parser: &mut Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    Ok(value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{Expected, Signal};

    fn parsed(arguments: &[&str]) -> Result<Invocation, String> {
        parse(arguments.iter().map(OsString::from))
    }

    fn run(overrides: Overrides, command: &[&str]) -> Invocation {
        Invocation::Run(overrides, command.iter().map(OsString::from).collect())
    }

    #[test]
    fn options_end_at_the_first_operand() {
        let plain = Overrides::default();
        for (arguments, command) in [
            (&["gunicorn"][..], &["gunicorn"][..]),
            (&["--", "gunicorn", "-g"], &["gunicorn", "-g"]),
            (&["gunicorn", "--", "-g"], &["gunicorn", "--", "-g"]),
            (&["gunicorn", "--version"], &["gunicorn", "--version"]),
            (&["-s", "--", "--check"], &["--check"]),
            (&["--", "--", "x"], &["--", "x"]),
        ] {
            assert_eq!(parsed(arguments), Ok(run(plain, command)), "{arguments:?}");
        }
    }

    #[test]
    fn tinis_flags_alone_and_together() {
        let all = Overrides {
            recipient: Recipient::Group,
            level: Some(Level::Debug),
            orphans: Level::Warn,
            ..Overrides::default()
        };
        for arguments in [&["-g", "-v", "-w", "x"][..], &["-gvw", "x"], &["-vvwsg", "--", "x"]] {
            assert_eq!(parsed(arguments), Ok(run(all, &["x"])), "{arguments:?}");
        }
        let expected = Expected::default().and(5).and(143);
        let all = Overrides { expected, parent_death: Some(Signal::TERM), ..Overrides::default() };
        for arguments in [
            &["-e", "5", "-e", "143", "-p", "SIGTERM", "x"][..],
            &["-e143", "-e5", "-pTERM", "x"],
            &["-se", "5", "-p15", "-e", "143", "--", "x"],
        ] {
            assert_eq!(parsed(arguments), Ok(run(all, &["x"])), "{arguments:?}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(parsed(&["-l"]), Ok(Invocation::Licence));
        assert_eq!(parsed(&["-h"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["--help"]), Ok(Invocation::Help));
        assert_eq!(parsed(&["--version"]), Ok(Invocation::Version));
        assert_eq!(parsed(&["--check"]), Ok(Invocation::Check(Overrides::default(), Vec::new())));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (arguments, cure) in [
            (&[][..], "ostler -- PROGRAM"),
            (&["--"], "ostler -- PROGRAM"),
            (&["-x", "y"], "'-x'; ostler --help"),
            (&["-e", "256", "y"], "-e 256: write a status from 0 to 255"),
            (&["-e"], "-e"),
            (&["-p", "NOPE", "y"], "-p NOPE: write a signal"),
            (&["--nonsense"], "'--nonsense'; ostler --help"),
            (&["--check=1", "x"], "--check"),
        ] {
            let error = parsed(arguments).unwrap_err();
            assert!(error.contains(cure), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn help_fits_one_screen() {
        assert!(HELP.lines().count() <= 25 && HELP.lines().all(|line| line.len() <= 80));
    }
}
