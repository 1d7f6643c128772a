//! From facts to findings: what is as it should be, and what is to be done where it is not.

mod alive;
mod cgroup;
mod disk;
mod init;
mod limits;

#[cfg(test)]
pub(super) mod tests;

use super::{Facts, Finding, Kind, Process, State, Text};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// From so many percent on, what is used up needs attention.
const NEARLY_FULL: u64 = 80;
/// As many are told of in words; programs get all.
const TOLD: usize = 8;

/// All findings, in the order in which they are shown.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut all = vec![
        init::pid_1(facts),
        init::orphans(facts),
        init::privileges(facts),
        init::capabilities(facts),
        limits::core_limit(facts),
        limits::core_pattern(facts),
        limits::core_content(facts),
        limits::open_files(facts),
        cgroup::memory(facts),
        cgroup::pids(facts),
        cgroup::cpu(facts),
    ];
    all.extend(facts.disks.iter().map(disk::disk));
    all.push(alive::processes(facts));
    all.push(alive::listening(facts));
    all.push(disk::core_files(facts));
    all
}

/// PID 1, and the first ostler that is not the one that looks.
struct Who<'a> {
    init: Option<&'a Process>,
    ostler: Option<&'a Process>,
}

impl<'a> Who<'a> {
    fn of(processes: &'a [Process]) -> Self {
        Self {
            init: processes.iter().find(|process| process.pid == 1),
            ostler: processes.iter().find(|process| process.kind == Kind::Ostler),
        }
    }
}

/// Every ostler but the one that looks, and all that descends from them.
fn family(processes: &[Process]) -> BTreeSet<i32> {
    let ostlers = processes.iter().filter(|process| process.kind == Kind::Ostler);
    let mut belong: BTreeSet<_> = ostlers.map(|process| process.pid).collect();
    loop {
        let before = belong.len();
        let children = processes.iter().filter(|process| belong.contains(&process.parent));
        let children: Vec<_> = children.map(|process| process.pid).collect();
        belong.extend(children);
        if belong.len() == before {
            return belong;
        }
    }
}

/// `gunicorn (7, 8, 9), sh (12)`: processes by their names, not too many.
fn named<'a>(processes: impl IntoIterator<Item = &'a Process>) -> String {
    let mut by_name: BTreeMap<&Text, Vec<String>> = BTreeMap::new();
    let mut more = 0_u64;
    for (number, process) in processes.into_iter().enumerate() {
        if number < TOLD {
            by_name.entry(&process.name).or_default().push(process.pid.to_string());
        } else {
            more += 1;
        }
    }
    let mut words: Vec<_> =
        by_name.into_iter().map(|(name, pids)| format!("{name} ({})", pids.join(", "))).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// A process for programs.
fn object(process: &Process, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let head = [("pid", Value::from(process.pid)), ("program", Value::from(&process.name))];
    object_of(head.into_iter().chain(fields))
}

fn object_of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// Attention from [`NEARLY_FULL`] on.
fn fullness(percent: u64) -> State {
    if percent >= NEARLY_FULL { State::Attention } else { State::Ok }
}
