//! `--doctor`, the pure part: facts in, findings out, and how findings are written. It makes no system call.

mod facts;
mod findings;
mod page;
mod text;

pub use facts::{
    Capabilities, Core, Cores, Cpu, Disk, Facts, Files, Filter, Holder, Init, Kind, Life, Memory, Namespace,
    Pattern, Pids, Process, Reach, Room, Seccomp, Sight, Socket, Subreaper, Usage, Version,
};
pub use findings::findings;
pub use page::{json, table};
pub use text::Text;
pub(crate) use text::{percent, size};

use serde_json::Value;

/// How much a finding matters. The last one counts most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be seen, and the finding says why.
    Unknown,
    /// Good to know.
    Note,
    /// Something is to be done, and a hint says what.
    Attention,
}

impl State {
    /// As programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Note => "note",
            Self::Attention => "attention",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// A stable name.
    pub name: &'static str,
    /// How much it matters.
    pub state: State,
    /// One sentence for people.
    pub message: String,
    /// What belongs to it, a line each.
    pub lines: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// The same for programs: stable names.
    pub fields: Vec<(&'static str, Value)>,
}

impl Finding {
    fn new(name: &'static str, state: State, message: impl Into<String>) -> Self {
        Self {
            name,
            state,
            message: message.into(),
            lines: Vec::new(),
            hints: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// What could not be seen, and why.
    fn unseen(name: &'static str, why: &Text) -> Self {
        Self::new(name, State::Unknown, format!("cannot be seen: {why}"))
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Does anything need attention? The state that counts most.
#[must_use]
pub fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
}
