//! Processes as proc(5) tells of them, and the only place that
//! sends signals: never to one that is not of the namespace.

use crate::support::children;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Clock ticks a second, in which proc(5) tells of CPU time: the same on every Linux that runs this.
const TICKS: u64 = 100;

/// One process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// `R`, `S`, `D`, `T` (stopped), `Z` (a zombie).
    pub(crate) state: char,
    /// When it was started: with the pid, this names one process for good.
    pub(crate) start: u64,
    cpu: Duration,
}

impl Process {
    /// `proc` is where a proc file system is: the one of a namespace tells of that namespace's pids.
    pub(crate) fn read(proc: &Path, pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            pid,
            parent: number(1)?.try_into().ok()?,
            // A group of another namespace is 0.
            group: number(2)?.try_into().ok()?,
            state: fields.first()?.chars().next()?,
            start: number(19)?,
            cpu: Duration::from_millis((number(11)? + number(12)?) * 1_000 / TICKS),
        })
    }

    pub(crate) fn here(pid: u32) -> Option<Self> {
        Self::read(Path::new("/proc"), pid)
    }

    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// All that a proc file system tells of.
pub(crate) fn all(proc: &Path) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Process::read(proc, pid)).collect()
}

/// All that descend from a process.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    children(pid).into_iter().flat_map(|child| [vec![child], below(child)].concat()).collect()
}

/// What somebody must see who wants to know why nobody is answered.
pub(crate) fn describe(pid: u32) -> String {
    let line = |pid: u32| {
        let process = Process::here(pid)?;
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default().replace('\0', " ")
        };
        let Process { parent, group, state, cpu, .. } = process;
        let (place, command) = (read("wchan"), read("cmdline"));
        let command: String = command.chars().take(60).collect();
        Some(format!("    {pid} of {parent}, group {group}: {state} {place} {cpu:?} {command}\n"))
    };
    [vec![pid], below(pid)].concat().into_iter().filter_map(line).collect()
}

/// ostler, as PID 1 of its namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Init(Process);

/// What ostler uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) descriptors: usize,
    /// Anonymous memory, in KiB.
    pub(crate) memory: u64,
    pub(crate) cpu: Duration,
}

impl Init {
    pub(crate) fn new(pid: u32) -> Result<Self> {
        Ok(Self(Process::here(pid).context("ostler is not there")?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Sends it a signal, if it is still there.
    pub(crate) fn signal(&self, signal: Signal) -> Sent {
        send(&self.0, signal)
    }

    /// Sends a signal to a process below it, if that is still below it.
    pub(crate) fn signal_below(&self, target: &Process, signal: Signal) -> Sent {
        let mut pid = target.pid;
        // Nobody has as many ancestors.
        for _ in 0..1_000 {
            match Process::here(pid) {
                Some(process) if process.parent == self.pid() => return send(target, signal),
                Some(process) if process.parent > 1 => pid = process.parent,
                _ => break,
            }
        }
        Sent::Nobody
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        let pid = self.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let memory =
            status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        Some(Usage {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            memory: memory?.parse().ok()?,
            cpu: Process::here(pid)?.cpu,
        })
    }
}

/// What came of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Sent,
    /// The process is gone.
    Nobody,
}

fn send(target: &Process, signal: Signal) -> Sent {
    let is_same = Process::here(target.pid).is_some_and(|now| now.start == target.start);
    let pid = i32::try_from(target.pid).ok().filter(|pid| *pid > 1);
    match pid {
        Some(pid) if is_same && kill(Pid::from_raw(pid), signal).is_ok() => Sent::Sent,
        _ => Sent::Nobody,
    }
}
