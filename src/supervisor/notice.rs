//! What the supervisor has to tell, as data: the log gives each its name, level and words.

use super::budget::RecycleReason;
use super::event::{ExitStatus, GenerationId, Outcome, Pid, Signal, SpawnError};
use std::time::Duration;

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its budget was spent.
    Recycled,
    /// ostler was told to stop.
    Stopped,
    /// By itself.
    ByItself,
}

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A generation's leader is there.
    GenerationStarted {
        /// Which.
        id: GenerationId,
        /// Its leader.
        pid: Pid,
        /// The request budget that was drawn for it, jitter included.
        max_requests: Option<u64>,
    },
    /// No process could be made, or it could not execute the program.
    SpawnFailed {
        /// Which generation.
        id: GenerationId,
        /// Why.
        error: SpawnError,
        /// When it is tried again; `None` if never.
        retry_in: Option<Duration>,
    },
    /// A budget is spent: the generation is being replaced.
    RecycleStarted {
        /// Which generation.
        id: GenerationId,
        /// Which budget, and the figures.
        reason: RecycleReason,
        /// How long it has lived.
        age: Duration,
    },
    /// A generation has ended.
    GenerationEnded {
        /// Which.
        id: GenerationId,
        /// How its leader ended.
        outcome: Outcome,
        /// Why.
        cause: Cause,
        /// How many requests were counted for it up to its leader's end.
        requests: u64,
        /// How long it lived.
        age: Duration,
    },
    /// ostler has been told to stop, and has told the child.
    Stopping {
        /// By which signal.
        signal: Signal,
        /// After which time SIGKILL follows.
        grace: Duration,
    },
    /// The grace period is over: SIGKILL to the group.
    GraceExpired {
        /// Which generation.
        id: GenerationId,
    },
    /// Even SIGKILL has not ended a generation's processes; ostler goes on without them, or ends.
    GroupLeft {
        /// Which generation.
        id: GenerationId,
    },
    /// A signal was sent on.
    SignalForwarded {
        /// Which.
        signal: Signal,
    },
    /// Signals do not reach a generation: it is another user's. Told once for each.
    SignalRefused {
        /// Which generation.
        id: GenerationId,
    },
    /// A signal came while there was nobody to send it to.
    SignalDropped {
        /// Which.
        signal: Signal,
    },
    /// An orphan was reaped.
    OrphanReaped {
        /// Which process.
        pid: Pid,
        /// How it ended.
        status: ExitStatus,
    },
}
