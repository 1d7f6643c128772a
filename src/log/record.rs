//! One event of the log: a stable name, a sentence for people, fields for programs.

use crate::config::Level;
use crate::sink::LONGEST_LINE;
use humantime::format_rfc3339_millis;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::fmt::Write;
use std::time::SystemTime;

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
                | Value::Object(_) => write!(line, " {name}={}", Harmless(&value.to_string())),
            };
        }
        line.truncate(line.floor_char_boundary(LONGEST_LINE - 1));
        line.push('\n');
        line
    }

    /// One JSON object: time, source, level, event, message, then the fields.
    #[must_use]
    pub fn json(&self, time: SystemTime) -> String {
        let line = |record| {
            serde_json::to_string(&Line { record, time }).map(|line| format!("{}\n", Harmless(&line)))
        };
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

/// Can it stand in a text line as it is?
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=')
}

/// Is it obeyed, by a terminal or by who reads lines, instead of being shown? Control characters, line and paragraph
/// separators, and what changes the direction in which a line is read.
fn is_obeyed(c: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'];
    c.is_control() || turns.contains(&c) || ('\u{2028}'..='\u{202e}').contains(&c)
}

/// Text on one line: a program's name may hold a line break, and must not forge a line.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| {
            if is_obeyed(c) { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}

/// JSON without those of them that it lets stand (DEL, and all from U+0080 on).
pub(crate) struct Harmless<'a>(pub(crate) &'a str);

impl std::fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| {
            if is_obeyed(c) { write!(f, "\\u{:04x}", u32::from(c)) } else { f.write_char(c) }
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
    use crate::supervisor::{
        ExitStatus, GenerationId, Notice, Pid, RecycleReason, Signal, SpawnCause, SpawnError,
    };
    use proptest::prelude::*;
    use std::time::Duration;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    fn told(notice: &Notice, orphans: Option<Level>) -> Vec<Record> {
        let mut told = Vec::new();
        Record::each(notice, orphans, |record| told.push(record.clone()));
        told
    }

    fn one(notice: &Notice) -> Record {
        let [record] = <[_; 1]>::try_from(told(notice, None)).unwrap();
        record
    }

    fn recycle() -> Record {
        let reason = RecycleReason::Requests { used: 5003, limit: 5000 };
        let age = Duration::from_micros(93_250_400);
        one(&Notice::RecycleStarted { id: GenerationId(2), reason, age })
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
    fn each_orphan_has_a_line_if_anybody_wants_it() {
        let dead = vec![(Pid(7), ExitStatus::Exited(0)), (Pid(9), ExitStatus::Signaled(Signal::TERM))];
        let notice = Notice::OrphansReaped { dead };
        let wanted = told(&notice, Some(Level::Warn));
        let lines: Vec<_> = wanted.iter().map(|record| record.text(EPOCH)).collect();
        assert!(lines.iter().all(|line| line.contains(" ostler warn orphan-reaped: ")), "{lines:?}");
        assert!(lines[0].ends_with(" pid=7 exit_code=0\n"), "{lines:?}");
        assert!(lines[1].ends_with(" pid=9 exit_code=143\n"), "{lines:?}");
        assert_eq!((lines.len(), told(&notice, None).len()), (2, 0));
    }

    #[test]
    fn a_line_is_one_line_and_fits_a_pipe() {
        let error = SpawnError { cause: SpawnCause::NotFound, message: "a\nb\"".repeat(3000) };
        let notice = Notice::SpawnFailed { id: GenerationId(1), error, retry_in: None };
        let record = one(&notice);
        for line in [record.text(EPOCH), record.json(EPOCH)] {
            assert!(line.len() <= LONGEST_LINE && line.ends_with('\n') && line.lines().count() == 1);
        }
        assert!(serde_json::from_str::<Value>(&record.json(EPOCH)).is_ok());
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_told_as_it_is() {
        // Escape, delete, and the one-character form of escape and bracket.
        let record =
            Record::new(Level::Info, "x", "\u{1b}[2J\u{7f}\u{9b}2J").with("v", "\u{1b}\u{7f}\u{9b}2J");
        assert_eq!(
            record.text(EPOCH),
            "1970-01-01T00:00:00.000Z ostler info x: \\u{1b}[2J\\u{7f}\\u{9b}2J v=\"\\u001b\\u007f\\u009b2J\"\n"
        );
        assert!(!record.json(EPOCH).trim_end().contains(char::is_control));
        // A line separator, and what lets the rest of the line be read from right to left.
        let record = Record::new(Level::Info, "x", "a\u{2028}b").with("v", "\u{202e}c\u{2066}");
        assert!(record.text(EPOCH).ends_with(" x: a\\u{2028}b v=\"\\u202ec\\u2066\"\n"));
        let json = record.json(EPOCH);
        assert!(json.is_ascii(), "{json}");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["v"], "\u{202e}c\u{2066}");
    }

    proptest! {
        #[test]
        fn any_text_stays_on_its_line(message in any::<String>(), value in any::<String>()) {
            let record = Record::new(Level::Info, "x", message.clone()).with("v", value.clone());
            for line in [record.text(EPOCH), record.json(EPOCH)] {
                prop_assert_eq!(line.find(char::is_control), Some(line.len() - 1), "{:?}", line);
            }
            let json: Value = serde_json::from_str(&record.json(EPOCH)).unwrap();
            prop_assert_eq!(json.get("message"), Some(&Value::from(message)));
            prop_assert_eq!(json.get("v"), Some(&Value::from(value)));
        }
    }
}
