//! What was done and what was broken, and when.

use crate::acts::Act;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Display, Write};
use std::time::{Duration, Instant};

/// So many of the last acts are remembered.
const REMEMBERED: usize = 100;
/// So many of them are told with a violation.
const TOLD: usize = 10;

pub(crate) struct Journal {
    pub(crate) begin: Instant,
    seed: u64,
    recent: VecDeque<(Instant, String)>,
    /// How often, by kind and variety.
    pub(crate) acts: BTreeMap<String, BTreeMap<&'static str, u32>>,
    pub(crate) violations: Vec<Violation>,
}

pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) at: Duration,
    pub(crate) words: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Alive,
    TwoGenerations,
    NoZombies,
    Descriptors,
    Memory,
    AnswersAgain,
    Idle,
    Control,
    NoPanic,
    NoCores,
    End,
    NothingLeft,
}

impl Rule {
    fn words(self) -> &'static str {
        match self {
            Self::Alive => "ostler lives",
            Self::TwoGenerations => "at most two generations live",
            Self::NoZombies => "no zombie stays",
            Self::Descriptors => "descriptors do not grow",
            Self::Memory => "memory does not grow",
            Self::AnswersAgain => "the server answers again",
            Self::Idle => "ostler does not spin",
            Self::Control => "what is started inside ends in time",
            Self::NoPanic => "nothing panics",
            Self::NoCores => "no core file",
            Self::End => "SIGTERM ends it within the grace period",
            Self::NothingLeft => "nothing is left",
        }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s: not so: {}: {}", self.at.as_secs_f64(), self.rule.words(), self.words)
    }
}

impl Journal {
    pub(crate) fn new(seed: u64) -> Self {
        let (recent, acts) = (VecDeque::new(), BTreeMap::new());
        Self { begin: Instant::now(), seed, recent, acts, violations: Vec::new() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Something that may be the reason of what comes.
    pub(crate) fn note(&mut self, words: impl Into<String>) {
        let words = words.into();
        eprintln!("{:8.1} {words}", self.elapsed().as_secs_f64());
        self.recent.push_back((Instant::now(), words));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    pub(crate) fn count(&mut self, act: Act) {
        let (kind, variety) = act.kind();
        *self.acts.entry(kind).or_default().entry(variety).or_default() += 1;
    }

    /// What was done in this time.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> Vec<&str> {
        let within = self.recent.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, words)| words.as_str()).collect()
    }

    pub(crate) fn violation(&mut self, rule: Rule, words: String, evidence: &str) {
        let violation = Violation { rule, at: self.elapsed(), words };
        let mut text = format!("VIOLATION, seed {}, {violation}\n  the last acts:\n", self.seed);
        for (at, words) in self.recent.iter().rev().take(TOLD) {
            let _ = writeln!(text, "    {:.1} s: {words}", at.duration_since(self.begin).as_secs_f64());
        }
        eprintln!("{text}{evidence}");
        self.violations.push(violation);
    }
}
