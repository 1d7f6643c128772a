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
  --check  show the configuration; start nothing   In a container where it runs:
  --status [--watch] [--json]  what goes on   --health  end with 0 if it serves
  --recycle  a new generation  --metrics (Prometheus)  --doctor [DIR] [--json]
Environment, each with OSTLER_ in front (its default); docs/configuration.md:
  ULIMIT_CORE (0)      no core files (CORES=keep:N: the newest N); all ulimits
  MAX_REQUESTS (off)   recycle after so many requests, or so long, or with so
  MAX_AGE (off)        much memory (800MiB, 80%), each but the last with some
  MAX_MEMORY (off)     random _JITTER (0) more; nothing younger than MIN_AGE
  COUNT (auto)         statsd, access-log, ...; COUNT_SKIP, STATSD_FORWARD
  LISTEN (none)        0.0.0.0:8000; LISTEN_BACKLOG, LISTEN_MODE, LISTEN_OWNER
  RECYCLE (auto)       by handover, restart or reload[:SIGNAL]
  READY (accept)       or notify, delay:T; HEALTH_PATH, READY_TIMEOUT (60s),
                       LINGER (1s), STEERING (auto), WATCHDOG (off)
  STOP_SIGNAL (TERM)   DRAIN_DELAY (0) after SIGTERM; SIGKILL after another
                       GRACE_PERIOD (25s); SIGNALS (TERM=QUIT,HUP=) rewrites
  RESTART (never)      on-failure, always: RESTART_LIMIT (5/1m); PIDFILE
  USER (keep)          app, app:web; CAPS, NO_NEW_PRIVS (auto), UMASK (keep)
  METRICS (off)        emf:60s, statsd:host:port; DISK_WARN (off) such as 80%
  LOG (text)           json, off; LOG_LEVEL (info): error, warn, debug
Exit status: the program's; 128+N: signal N; 126, 127: not run; 1: bad setting
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
    /// Look at this container, for core files below this folder.
    Doctor(OsString, Form),
    /// Ask the ostler of this container for a recycle.
    Recycle,
    /// Show what it does.
    Status(Form, Show),
    /// Say whether requests are answered here.
    Health,
    /// Show its figures.
    Metrics,
    /// Run this command, which is not empty.
    Run(Overrides, Vec<OsString>),
}

/// Who is to read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// People.
    Table,
    /// Programs.
    Json,
}

/// How often it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Once.
    Once,
    /// Every second, until somebody has seen enough.
    Again,
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
            Arg::Long(word @ ("doctor" | "status" | "json" | "watch")) => {
                return look(word.to_owned(), &mut parser);
            }
            Arg::Long("recycle") => return Ok(Invocation::Recycle),
            Arg::Long("health") => return Ok(Invocation::Health),
            Arg::Long("metrics") => return Ok(Invocation::Metrics),
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

/// A line that has said one of these words already: the others of them, and a folder, in any order.
fn look(first: String, parser: &mut Parser) -> Result<Invocation, String> {
    const CURE: &str = "write ostler --status [--watch] [--json], or ostler --doctor [DIR] [--json]";
    let (mut words, mut folder) = (vec![first], None);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Long(word @ ("doctor" | "status" | "json" | "watch")) => words.push(word.to_owned()),
            Arg::Value(path) if folder.is_none() => folder = Some(path),
            Arg::Value(_) | Arg::Short(_) | Arg::Long(_) => {
                return Err(format!("{}; {CURE}", argument.unexpected()));
            }
        }
    }
    let said = |word: &str| words.iter().any(|said| said == word);
    let form = if said("json") { Form::Json } else { Form::Table };
    let show = if said("watch") { Show::Again } else { Show::Once };
    match (said("doctor"), said("status"), show, folder) {
        (true, false, Show::Once, folder) => {
            Ok(Invocation::Doctor(folder.unwrap_or_else(|| ".".into()), form))
        }
        (false, true, show, None) => Ok(Invocation::Status(form, show)),
        (_, _, _, _) => Err(format!(
            "{}: {CURE}",
            words.iter().map(|word| format!("--{word}")).collect::<Vec<_>>().join(" ")
        )),
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
        assert_eq!(parsed(&["--health"]), Ok(Invocation::Health));
        assert_eq!(parsed(&["--metrics"]), Ok(Invocation::Metrics));
        assert_eq!(parsed(&["--recycle"]), Ok(Invocation::Recycle));
        assert_eq!(parsed(&["--check"]), Ok(Invocation::Check(Overrides::default(), Vec::new())));
    }

    #[test]
    fn the_doctors_words_come_in_any_order() {
        let table = |folder: &str| Ok(Invocation::Doctor(folder.into(), Form::Table));
        let json = |folder: &str| Ok(Invocation::Doctor(folder.into(), Form::Json));
        for (arguments, expected) in [
            (&["--doctor"][..], table(".")),
            (&["--doctor", "/app"], table("/app")),
            (&["--doctor", "--", "--json"], table("--json")),
            (&["--doctor", "--json"], json(".")),
            (&["--json", "--doctor"], json(".")),
            (&["--doctor", "--json", "/app"], json("/app")),
            (&["--doctor", "/app", "--json"], json("/app")),
            (&["--json", "/app", "--doctor"], json("/app")),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
        let status = |form, show| Ok(Invocation::Status(form, show));
        for (arguments, expected) in [
            (&["--status"][..], status(Form::Table, Show::Once)),
            (&["--status", "--json"], status(Form::Json, Show::Once)),
            (&["--watch", "--status"], status(Form::Table, Show::Again)),
            (&["--json", "--watch", "--status"], status(Form::Json, Show::Again)),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
        // The control: behind a program they are the program's.
        assert_eq!(parsed(&["x", "--doctor"]), Ok(run(Overrides::default(), &["x", "--doctor"])));
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
            (&["--json"], "--json: write ostler --status [--watch] [--json], or ostler --doctor [DIR]"),
            (&["--json", "x"], "write ostler --status"),
            (&["--watch"], "write ostler --status"),
            (&["--status", "x"], "write ostler --status"),
            (&["--status", "--doctor"], "write ostler --status"),
            (&["--doctor", "--watch"], "write ostler --status"),
            (&["--doctor", "x", "y"], "or ostler --doctor [DIR] [--json]"),
            (&["--doctor", "-v"], "'-v'; write ostler --status"),
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
