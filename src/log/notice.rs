//! What the log says of each notice: its stable name, its level, words for people and fields for programs.

use super::record::Record;
use crate::config::Level;
use crate::supervisor::{
    Answer, Cause, Core, ExitStatus, Grown, Left, Manner, Notice, Outcome, Pid, RecycleReason, Signal, View,
};
use serde_json::Value;
use std::time::Duration;

impl Record {
    /// The same, and when it is tried again, if it is.
    fn retry(self, pause: Option<Duration>) -> Self {
        self.with_some("retry_in_s", pause.map(seconds))
    }

    /// The same, and who they are: how many, and the first of them by name.
    fn others(self, left: &[Left]) -> Self {
        const NAMED: usize = 8;
        let names: Vec<_> =
            left.iter().take(NAMED).map(|Left { pid, name, .. }| format!("{name}({})", pid.0)).collect();
        self.with("count", left.len()).with("processes", names.join(" "))
    }

    /// The same, and which core file.
    fn of_core(self, core: &Core) -> Self {
        let program = Some(core.program.as_str()).filter(|program| !program.is_empty());
        self.with("file", core.file.as_str())
            .with("bytes", core.bytes)
            .with("allocated_bytes", core.allocated)
            .with_some("program", program)
    }

    /// The same, with this field if there is something to tell in it.
    fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Tells what a notice says: a record for each of the orphans that were reaped, and one for anything else.
    /// `orphans` is the level of theirs; `None`: nobody wants to know.
    #[expect(clippy::too_many_lines, reason = "a table: a row for each notice")]
    pub fn each(notice: &Notice, orphans: Option<Level>, mut tell: impl FnMut(&Self)) {
        let record = match notice {
            // Hundreds may come at once: no record that nobody wants, and not all of them in memory.
            Notice::OrphansReaped { dead } => {
                if let Some(level) = orphans {
                    for (pid, status) in dead {
                        tell(&Self::of_orphan(level, *pid, *status));
                    }
                }
                return;
            }
            Notice::GenerationStarted { id, pid, limits } => {
                Self::new(Level::Info, "generation-started", "the program is being executed")
                    .with("generation", id.0)
                    .with("pid", pid.0)
                    .with_some("max_requests", limits.requests)
                    .with_some("max_age_s", limits.age.map(seconds))
                    .with_some("max_memory", limits.memory)
            }
            Notice::MemoryBudgetSmall { id, used, limit } => {
                let message = "a generation held more memory than OSTLER_MAX_MEMORY allows so soon after its start that \
                               the budget is too small for it, or it leaks fast; it is recycled more \
                               and more seldom: write a larger budget";
                Self::new(Level::Warn, "memory-budget-small", message)
                    .with("generation", id.0)
                    .with("memory", *used)
                    .with("max_memory", *limit)
            }
            Notice::MemoryUnclear { id } => {
                let message = "pages that processes share are counted for each of them, since they cannot be seen; if the \
                               server is another user's, give ostler CAP_SYS_PTRACE, or let it run as that user";
                Self::new(Level::Warn, "memory-unclear", message).with("generation", id.0)
            }
            Notice::CoreLeft { core } => {
                Self::new(Level::Warn, "core-left", "a process has left a core file").of_core(core)
            }
            Notice::CoreDeleted { core } => {
                Self::new(Level::Info, "core-deleted", "there are enough newer ones").of_core(core)
            }
            Notice::CoreStuck { core, error } => {
                Self::new(Level::Warn, "core-stuck", "an old core file cannot be deleted")
                    .of_core(core)
                    .with("error", error.as_str())
            }
            Notice::DiskFills { disk, mark } => {
                let message = "the root file system is fuller than OSTLER_DISK_WARN; what has grown on it is looked for";
                Self::new(Level::Warn, "disk-fills", message)
                    .with("percent", disk.percent())
                    .with("disk_warn", *mark)
                    .with("used", disk.used)
                    .with("available", disk.available)
            }
            Notice::DiskGrown { grown } => {
                let message = match grown.as_slice() {
                    [] => {
                        "no file was written since ostler has started: it was full before, others fill it, or files are \
                           open that are deleted"
                    }
                    [_, ..] => {
                        "files of the root file system that were written to since ostler has started, with their whole size in bytes"
                    }
                };
                let record = Self::new(Level::Warn, "disk-grown", message);
                let names: Vec<_> =
                    grown.iter().map(|Grown { path, bytes }| format!("{path}={bytes}")).collect();
                record.with_some("grown", (!grown.is_empty()).then_some(names))
            }
            Notice::OutputDropped { lines } => {
                let message = "lines of the child's stdout were dropped, as nobody read them for a while";
                Self::new(Level::Warn, "output-dropped", message).with("count", *lines)
            }
            Notice::CountSilent { connections, cure } => {
                let message = format!("connections come, and no request was ever counted; {}", cure.0);
                Self::new(Level::Warn, "count-silent", message).with("connections", *connections)
            }
            Notice::SpawnFailed { id, error, retry_in } => {
                let failed = Self::new(Level::Error, "spawn-failed", error.message.clone())
                    .with("generation", id.0)
                    .with("exit_code", error.code());
                failed.retry(*retry_in)
            }
            Notice::RecycleStarted { id, reason, age } => {
                let message = match reason {
                    RecycleReason::Requests { .. } => "the request budget is spent",
                    RecycleReason::Age { .. } => "the age budget is spent",
                    RecycleReason::Memory { used, limit } if used < limit => {
                        "it grows, and the memory budget would be spent before a successor serves"
                    }
                    RecycleReason::Memory { .. } => "the memory budget is spent",
                    RecycleReason::Command => "somebody asked for it",
                    RecycleReason::Hung(_) => "it hangs: connections wait, and none is accepted",
                };
                let started = Self::new(Level::Info, "recycle-started", message).with("generation", id.0);
                let started = match reason {
                    RecycleReason::Requests { used, limit } => {
                        started.with("requests", *used).with("max_requests", *limit)
                    }
                    RecycleReason::Age { limit } => started.with("max_age_s", seconds(*limit)),
                    RecycleReason::Memory { used, limit } => {
                        started.with("memory", *used).with("max_memory", *limit)
                    }
                    RecycleReason::Command => started,
                    RecycleReason::Hung(standing) => started.with("standing_s", seconds(*standing)),
                };
                started.with("age_s", seconds(*age))
            }
            Notice::HandedOver { from, to, took, view } => {
                let (level, message) = match view {
                    View::Clear => (Level::Info, "the successor serves, and gets all new connections"),
                    View::Hidden => (
                        Level::Warn,
                        "the successor has accepted a connection, and gets all new ones; whether all its workers serve \
                         cannot be seen: give ostler CAP_SYS_PTRACE, or let it run as the server's user",
                    ),
                };
                Self::new(level, "handed-over", message)
                    .with("generation", to.0)
                    .with("from", from.0)
                    .with("took_s", seconds(*took))
            }
            Notice::HandoverFailed { id, lack, retry_in } => {
                let message = format!("the successor is not ready, the incumbent serves on: {lack}");
                Self::new(Level::Warn, "handover-failed", message).with("generation", id.0).retry(*retry_in)
            }
            Notice::Promoted { id } => {
                let message = "the incumbent has ended, so its successor takes over as it is";
                Self::new(Level::Warn, "promoted", message).with("generation", id.0)
            }
            Notice::TakenBack { id, retry_in } => {
                let message = "the new generation has failed, so the one before it serves on";
                Self::new(Level::Warn, "taken-back", message).with("generation", id.0).retry(*retry_in)
            }
            Notice::DrainExpired { id } => {
                let message =
                    "connections still wait for the outgoing generation, which is told to stop all the same";
                Self::new(Level::Warn, "drain-expired", message).with("generation", id.0)
            }
            Notice::SteerFailed { message } => {
                let message = format!("new connections still go where they went before: {message}");
                Self::new(Level::Error, "steer-failed", message)
            }
            Notice::ConnectionsShed { connections } => {
                let message = "closed, as they waited for a generation that is gone";
                Self::new(Level::Warn, "connections-closed", message).with("count", *connections)
            }
            Notice::LeaderFollowed { id, pid, requests, age } => {
                let message = "the leader has put another process in its place";
                Self::new(Level::Info, "leader-followed", message)
                    .with("generation", id.0)
                    .with("pid", pid.0)
                    .with("requests", *requests)
                    .with("age_s", seconds(*age))
            }
            Notice::Reloaded { id, signal, requests } => {
                let message = "the leader was told to replace its processes; counts begin anew";
                Self::new(Level::Info, "reloaded", message)
                    .with("generation", id.0)
                    .with("signal", name(*signal))
                    .with("requests", *requests)
            }
            Notice::RecycleRefused { answer } => {
                let message = match answer {
                    Answer::Started(_) => "started",
                    Answer::Busy => "a recycle is under way already",
                    Answer::Nobody => "there is no generation that may be recycled now",
                };
                Self::new(Level::Info, "recycle-refused", message)
            }
            Notice::GenerationEnded { id, outcome, cause, requests, age } => ended(outcome, *cause)
                .with("generation", id.0)
                .with("requests", *requests)
                .with("age_s", seconds(*age)),
            Notice::WorkerEnded { id, pid, status, manner } => {
                let level = match manner {
                    Manner::Normal => Level::Debug,
                    Manner::Fault => Level::Warn,
                };
                let how = status.map_or_else(|| "ended".to_owned(), describe);
                Self::new(level, "worker-ended", format!("a worker {how}"))
                    .with("generation", id.0)
                    .with("pid", pid.0)
                    .with_some("exit_code", status.map(ExitStatus::code))
            }
            Notice::WorkersCrash { id, ends, window } => {
                let message = "workers end again and again, and their master starts new ones";
                let record = Self::new(Level::Error, "workers-crash", message).with("generation", id.0);
                record.with("ends", *ends).with("window_s", seconds(*window))
            }
            Notice::Stopping { signal, grace } => {
                Self::new(Level::Info, "stopping", "ostler has been told to stop")
                    .with("signal", name(*signal))
                    .with("grace_s", seconds(*grace))
            }
            Notice::Draining { delay } => {
                let message =
                    "asked to stop; the child serves on for the drain delay, and a second SIGTERM skips it";
                Self::new(Level::Info, "draining", message).with("delay_s", seconds(*delay))
            }
            Notice::Restarting { pause } => {
                let message = "the child has ended by itself, and is started again";
                Self::new(Level::Warn, "restarting", message).with("retry_in_s", seconds(*pause))
            }
            Notice::GaveUp { ends, window } => {
                let message = "the child has ended by itself too often; ostler ends with its status";
                let record = Self::new(Level::Error, "gave-up", message);
                record.with("ends", *ends).with("window_s", seconds(*window))
            }
            Notice::NobodyToFollow { id } => {
                let message = "the program has ended its first process, and after 10 s OSTLER_PIDFILE names no child of \
                               ostler's; check that it writes that file";
                Self::new(Level::Error, "nobody-to-follow", message).with("generation", id.0)
            }
            Notice::OthersLeft { left, grace } => {
                let message = "other processes still run; they get SIGTERM";
                let record = Self::new(Level::Info, "others-left", message).with("grace_s", seconds(*grace));
                record.others(left)
            }
            Notice::OthersKilled { left } => {
                Self::new(Level::Warn, "others-killed", "SIGKILL to processes that did not end").others(left)
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
            Notice::SignalRewritten { signal, to } => {
                let message =
                    if to.is_some() { "taken for another one" } else { "dropped, as OSTLER_SIGNALS says" };
                let record = Self::new(Level::Debug, "signal-rewritten", message);
                record.with("signal", name(*signal)).with_some("as", to.map(name))
            }
            Notice::SignalRefused { id } => {
                let message = "signals do not reach the child, which is another user's, so it is not recycled; give ostler CAP_KILL";
                Self::new(Level::Error, "signal-refused", message).with("generation", id.0)
            }
            Notice::SignalDropped { signal } => {
                Self::new(Level::Info, "signal-dropped", "no leader is there to take it")
                    .with("signal", name(*signal))
            }
        };
        tell(&record);
    }

    fn of_orphan(level: Level, pid: Pid, status: ExitStatus) -> Self {
        Self::new(level, "orphan-reaped", describe(status))
            .with("pid", pid.0)
            .with("exit_code", status.code())
    }
}

fn ended(outcome: &Outcome, cause: Cause) -> Record {
    let status = match outcome {
        Outcome::Ended(status) => describe(*status),
        Outcome::NeverRan(error) => error.message.clone(),
    };
    let (level, why) = match (cause, outcome) {
        (Cause::Recycled, _) => (Level::Info, "as it was recycled"),
        (Cause::NotReady, _) => (Level::Warn, "before it was ready"),
        (Cause::Stopped, _) => (Level::Info, "as ostler was told to stop"),
        (Cause::Asked, _) => (Level::Info, "as it was asked to end"),
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

/// A signal's name: `SIGTERM`, `SIGRTMIN+1`. The first real-time
/// signal is 34 to programs, 32 to the kernel (signal(7)).
pub(crate) fn name(signal: Signal) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        for (number, expected) in [(15, "SIGTERM"), (34, "SIGRTMIN"), (64, "SIGRTMIN+30"), (33, "signal 33")]
        {
            assert_eq!(name(Signal(number)), expected);
        }
    }
}
