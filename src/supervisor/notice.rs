//! What the supervisor has to tell, as data: the log gives each its name, level and words.

use super::action::Answer;
use super::budget::{Limits, RecycleReason};
use super::disk::{DiskUse, Grown};
use super::readiness::Lack;
use super::silence::Cure;
use super::terms::{Core, ExitStatus, GenerationId, Left, Outcome, Pid, Signal, SpawnError, View};
use super::workers::Manner;
use std::time::Duration;

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its budget was spent.
    Recycled,
    /// ostler was told to stop.
    Stopped,
    /// It was to be a successor, and was not ready in time or not at all.
    NotReady,
    /// A signal that asks for the end was passed on to it, or ostler was told to stop and it had not been told yet.
    Asked,
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
        /// What it may use, jitter included.
        limits: Limits,
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
    /// A generation had spent its memory budget from the beginning. Told of the first of several.
    MemoryBudgetSmall {
        /// Which generation.
        id: GenerationId,
        /// Bytes, measured.
        used: u64,
        /// The budget.
        limit: u64,
    },
    /// A measurement counts shared pages once for each process, since they cannot be seen.
    MemoryUnclear {
        /// Which generation.
        id: GenerationId,
    },
    /// A core file is there.
    CoreLeft {
        /// Which.
        core: Core,
    },
    /// A core file was deleted, as there are newer ones.
    CoreDeleted {
        /// Which.
        core: Core,
    },
    /// A core file should have been deleted, and could not be.
    CoreStuck {
        /// Which.
        core: Core,
        /// Why not.
        error: String,
    },
    /// The disk is fuller than it should be. What has grown on it is being looked for.
    DiskFills {
        /// How full.
        disk: DiskUse,
        /// The mark, in per cent.
        mark: u64,
    },
    /// What was written to it since ostler has started.
    DiskGrown {
        /// The largest first.
        grown: Vec<Grown>,
    },
    /// Lines of the child's stdout were dropped.
    OutputDropped {
        /// How many.
        lines: u64,
    },
    /// Connections come, and no request was ever counted.
    CountSilent {
        /// Connections since the first generation has served.
        connections: u64,
        /// What to write instead.
        cure: Cure,
    },
    /// A successor is ready, and gets all new connections.
    HandedOver {
        /// The outgoing generation.
        from: GenerationId,
        /// The successor.
        to: GenerationId,
        /// Since the recycle began.
        took: Duration,
        /// Was it seen that all its workers serve?
        view: View,
    },
    /// A successor is stopped, or ended, before it was ready. The incumbent serves on.
    HandoverFailed {
        /// The successor.
        id: GenerationId,
        /// What it lacked.
        lack: Lack,
        /// When the next one is tried; `None` if nothing calls for it.
        retry_in: Option<Duration>,
    },
    /// The incumbent has died during a handover, and its successor takes over as it is.
    Promoted {
        /// The successor.
        id: GenerationId,
    },
    /// A new incumbent has died before the one before it was told to stop, and that takes over again.
    TakenBack {
        /// The generation that serves again.
        id: GenerationId,
        /// When the next handover is tried; `None` if nothing calls for it.
        retry_in: Option<Duration>,
    },
    /// Connections went on to wait for an outgoing generation; it is told to stop all the same.
    DrainExpired {
        /// Which generation.
        id: GenerationId,
    },
    /// New connections still go where they went before.
    SteerFailed {
        /// Where, and the kernel's words.
        message: String,
    },
    /// Connections that nobody would have accepted were closed.
    ConnectionsShed {
        /// How many.
        connections: u64,
    },
    /// A leader has put another process in its place, and ended.
    LeaderFollowed {
        /// Which generation.
        id: GenerationId,
        /// Its new leader.
        pid: Pid,
        /// How many requests were counted before.
        requests: u64,
        /// How long the former leader led.
        age: Duration,
    },
    /// A leader was told to replace its processes by itself.
    Reloaded {
        /// Which generation.
        id: GenerationId,
        /// By which signal.
        signal: Signal,
        /// How many requests had been counted.
        requests: u64,
    },
    /// Somebody asked for a recycle, and there is none now.
    RecycleRefused {
        /// Why.
        answer: Answer,
    },
    /// A generation has ended.
    GenerationEnded {
        /// Which.
        id: GenerationId,
        /// How its leader ended.
        outcome: Outcome,
        /// Why.
        cause: Cause,
        /// How many requests were counted for it up to its leader's
        /// end, since its start, its last reload or its new leader.
        requests: u64,
        /// How long it lived since then.
        age: Duration,
    },
    /// A worker has ended.
    WorkerEnded {
        /// Which generation's.
        id: GenerationId,
        /// Which.
        pid: Pid,
        /// How, if the kernel tells.
        status: Option<ExitStatus>,
        /// Was it to end like this?
        manner: Manner,
    },
    /// Workers end again and again that should not, and their master starts new ones.
    WorkersCrash {
        /// Which generation's.
        id: GenerationId,
        /// So many
        ends: usize,
        /// in so much time.
        window: Duration,
    },
    /// ostler has been told to stop, and has told the child.
    Stopping {
        /// By which signal.
        signal: Signal,
        /// After which time SIGKILL follows.
        grace: Duration,
    },
    /// ostler has been told to stop, and lets the child serve on for so long.
    Draining {
        /// The drain delay.
        delay: Duration,
    },
    /// The child has ended by itself, and is started again.
    Restarting {
        /// After this time.
        pause: Duration,
    },
    /// The child has ended by itself too often.
    GaveUp {
        /// So often
        ends: usize,
        /// in so much time.
        window: Duration,
    },
    /// A leader has ended, and no pid file names another in time.
    NobodyToFollow {
        /// Which generation's.
        id: GenerationId,
    },
    /// Processes that are no generation's still run, and were told to end.
    OthersLeft {
        /// Who.
        left: Vec<Left>,
        /// After which time SIGKILL follows.
        grace: Duration,
    },
    /// They did not, and got SIGKILL.
    OthersKilled {
        /// Who.
        left: Vec<Left>,
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
    /// A signal was taken for something else.
    SignalRewritten {
        /// Which.
        signal: Signal,
        /// For what; `None`: for nothing.
        to: Option<Signal>,
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
    /// Orphans were reaped.
    OrphansReaped {
        /// Which processes, and how each ended.
        dead: Vec<(Pid, ExitStatus)>,
    },
}
