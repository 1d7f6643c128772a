//! One event of the log: a stable name, a sentence for people, fields for programs.

use super::sink::LONGEST_LINE;
use crate::config::Level;
use crate::supervisor::{Cause, ExitStatus, Notice, Outcome, RecycleReason, Signal};
use humantime::format_rfc3339_millis;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// How important it is.
    pub level: Level,
    event: &'static str,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// An event by its stable name, and a sentence for people.
    pub fn new(level: Level, event: &'static str, message: impl Into<String>) -> Self {
        Self { level, event, message: message.into(), fields: Vec::new() }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The record of a notice. `orphans` is the level at which reaped orphans are told.
    #[must_use]
    pub fn of(notice: &Notice, orphans: Level) -> Self {
        match notice {
            Notice::GenerationStarted { id, pid, max_requests } => {
                let started = Self::new(Level::Info, "generation-started", "the program is being executed")
                    .with("generation", id.0)
                    .with("pid", pid.0);
                match max_requests {
                    Some(limit) => started.with("max_requests", *limit),
                    None => started,
                }
            }
            Notice::SpawnFailed { id, error, retry_in } => {
                let failed = Self::new(Level::Error, "spawn-failed", error.message.clone())
                    .with("generation", id.0)
                    .with("exit_code", error.code());
                match retry_in {
                    Some(pause) => failed.with("retry_in_s", seconds(*pause)),
                    None => failed,
                }
            }
            Notice::RecycleStarted { id, reason, age } => {
                let RecycleReason::Requests { used, limit } = reason;
                Self::new(Level::Info, "recycle-started", "the request budget is spent")
                    .with("generation", id.0)
                    .with("requests", *used)
                    .with("max_requests", *limit)
                    .with("age_s", seconds(*age))
            }
            Notice::GenerationEnded { id, outcome, cause, requests, age } => ended(outcome, *cause)
                .with("generation", id.0)
                .with("requests", *requests)
                .with("age_s", seconds(*age)),
            Notice::Stopping { signal, grace } => {
                Self::new(Level::Info, "stopping", "ostler has been told to stop")
                    .with("signal", name(*signal))
                    .with("grace_s", seconds(*grace))
            }
            Notice::GraceExpired { id } => {
                let message = "the grace period is over: SIGKILL to the process group";
                Self::new(Level::Warn, "grace-expired", message).with("generation", id.0)
            }
            Notice::GroupLeft { id } => {
                let message = "SIGKILL has not ended all of the process group; going on without it";
                Self::new(Level::Error, "group-left", message).with("generation", id.0)
            }
            Notice::SignalForwarded { signal } => {
                Self::new(Level::Debug, "signal-forwarded", "sent on").with("signal", name(*signal))
            }
            Notice::SignalRefused { id } => {
                let message = "signals do not reach the child, which is another user's, so it is not recycled; give ostler CAP_KILL";
                Self::new(Level::Error, "signal-refused", message).with("generation", id.0)
            }
            Notice::SignalDropped { signal } => {
                Self::new(Level::Info, "signal-dropped", "no leader is there to take it")
                    .with("signal", name(*signal))
            }
            Notice::OrphanReaped { pid, status } => Self::new(orphans, "orphan-reaped", describe(*status))
                .with("pid", pid.0)
                .with("exit_code", status.code()),
        }
    }

    /// `2026-01-31T12:00:00.000Z ostler info event: message field=value`
    #[must_use]
    pub fn text(&self, time: SystemTime) -> String {
        let Self { event, message, .. } = self;
        let level = self.level_name();
        let mut line =
            format!("{} ostler {level} {event}: {}", format_rfc3339_millis(time), OneLine(message));
        for (name, value) in &self.fields {
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => write!(line, " {name}={value}"),
            };
        }
        line.truncate(line.floor_char_boundary(LONGEST_LINE - 1));
        line.push('\n');
        line
    }

    /// One JSON object: time, source, level, event, message, then the fields.
    #[must_use]
    pub fn json(&self, time: SystemTime) -> String {
        let line = |record| serde_json::to_string(&Line { record, time }).map(|line| line + "\n");
        match line(self) {
            Ok(line) if line.len() <= LONGEST_LINE => line,
            // Only an absurdly long path or file name comes here; what is cut must still be JSON.
            Ok(_) | Err(_) => {
                line(&Self::new(self.level, self.event, "(too long for a line)")).unwrap_or_default()
            }
        }
    }

    fn level_name(&self) -> &'static str {
        match self.level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

fn ended(outcome: &Outcome, cause: Cause) -> Record {
    let status = match outcome {
        Outcome::Ended(status) => describe(*status),
        Outcome::NeverRan(error) => error.message.clone(),
    };
    let (level, why) = match (cause, outcome) {
        (Cause::Recycled, _) => (Level::Info, "as its budget was spent"),
        (Cause::Stopped, _) => (Level::Info, "as ostler was told to stop"),
        (Cause::ByItself, Outcome::Ended(ExitStatus::Exited(0))) => (Level::Info, "by itself"),
        (Cause::ByItself, _) => (Level::Warn, "by itself"),
    };
    Record::new(level, "generation-ended", format!("{status}, {why}")).with("exit_code", outcome.code())
}

/// A status in words.
fn describe(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(code) => format!("exited with status {code}"),
        ExitStatus::Signaled(signal) => format!("ended by {}", name(signal)),
        ExitStatus::Dumped(signal) => format!("ended by {}, core dumped", name(signal)),
    }
}

/// A signal's name: `SIGTERM`, `SIGRTMIN+1`. The first real-time signal is 34 to programs, 32 to the kernel (signal(7)).
fn name(signal: Signal) -> String {
    match (nix::sys::signal::Signal::try_from(signal.0), signal.0) {
        (Ok(known), _) => known.as_str().to_owned(),
        (Err(_), 34) => "SIGRTMIN".to_owned(),
        (Err(_), number @ 35..=64) => format!("SIGRTMIN+{}", number - 34),
        (Err(_), number) => format!("signal {number}"),
    }
}

/// Seconds, to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Can it stand in a text line as it is?
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=')
}

/// Text without control characters: a program's name may hold a line break, and must not forge a line.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}

struct Line<'a> {
    record: &'a Record,
    time: SystemTime,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &format_rfc3339_millis(self.time).to_string())?;
        map.serialize_entry("source", "ostler")?;
        map.serialize_entry("level", self.record.level_name())?;
        map.serialize_entry("event", self.record.event)?;
        map.serialize_entry("message", &self.record.message)?;
        for (name, value) in &self.record.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{GenerationId, SpawnCause, SpawnError};
    use proptest::prelude::*;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    fn recycle() -> Record {
        let reason = RecycleReason::Requests { used: 5003, limit: 5000 };
        let age = Duration::from_micros(93_250_400);
        Record::of(&Notice::RecycleStarted { id: GenerationId(2), reason, age }, Level::Debug)
    }

    #[test]
    fn text_reads_well() {
        assert_eq!(
            recycle().text(EPOCH),
            "1970-01-01T00:00:00.000Z ostler info recycle-started: the request budget is spent \
             generation=2 requests=5003 max_requests=5000 age_s=93.25\n"
        );
    }

    #[test]
    fn json_has_the_same_in_the_same_order() {
        assert_eq!(
            recycle().json(EPOCH),
            r#"{"time":"1970-01-01T00:00:00.000Z","source":"ostler","level":"info","event":"recycle-started","message":"the request budget is spent","generation":2,"requests":5003,"max_requests":5000,"age_s":93.25}"#
                .to_owned() + "\n"
        );
    }

    #[test]
    fn signals_have_names() {
        for (number, expected) in [(15, "SIGTERM"), (34, "SIGRTMIN"), (64, "SIGRTMIN+30"), (33, "signal 33")]
        {
            assert_eq!(name(Signal(number)), expected);
        }
    }

    #[test]
    fn a_line_is_one_line_and_fits_a_pipe() {
        let error = SpawnError { cause: SpawnCause::NotFound, message: "a\nb\"".repeat(3000) };
        let notice = Notice::SpawnFailed { id: GenerationId(1), error, retry_in: None };
        let record = Record::of(&notice, Level::Debug);
        for line in [record.text(EPOCH), record.json(EPOCH)] {
            assert!(line.len() <= LONGEST_LINE && line.ends_with('\n') && line.lines().count() == 1);
        }
        assert!(serde_json::from_str::<Value>(&record.json(EPOCH)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_stays_on_its_line(message in any::<String>(), value in any::<String>()) {
            let record = Record::new(Level::Info, "x", message.clone()).with("v", value.clone());
            prop_assert_eq!(record.text(EPOCH).matches('\n').count(), 1);
            let json: Value = serde_json::from_str(&record.json(EPOCH)).unwrap();
            prop_assert_eq!(json.get("message"), Some(&Value::from(message)));
            prop_assert_eq!(json.get("v"), Some(&Value::from(value)));
        }
    }
}
