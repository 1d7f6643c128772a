//! What is to be done, as the pure room orders it from the edge: the imperative.

use super::notice::Notice;
use super::status::Status;
use super::terms::{Client, GenerationId, Pid, Signal, Slot};
use std::num::NonZeroUsize;

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The leader alone.
    Leader(GenerationId),
    /// The leader's process group, the leader included.
    Group(GenerationId),
    /// The master of a gunicorn and its workers, one by one. Nobody, if it is no gunicorn.
    Gunicorn(GenerationId),
}

/// What somebody in the container wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A recycle, now.
    Recycle,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// All that is known.
    Status,
    /// The figures, as Prometheus reads them.
    Metrics,
}

/// What a command is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This generation is being recycled.
    Started(GenerationId),
    /// A recycle is under way already.
    Busy,
    /// There is no generation that could be recycled: it is being started, was asked to end, or refuses signals.
    Nobody,
}

/// An order to the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the child as this generation. Answered by `Spawned` or `SpawnFailed` before anything else is told.
    Spawn {
        /// Which.
        id: GenerationId,
        /// The sockets that it is handed.
        slot: Slot,
    },
    /// Send a signal.
    Kill {
        /// To whom.
        target: Target,
        /// Which.
        signal: Signal,
    },
    /// Reap a dead leader: from here on its pid may be another's. Answered by `GroupGone`, at once or later.
    Reap(GenerationId),
    /// Reap a dead leader whose heir leads on.
    Follow {
        /// Which generation.
        id: GenerationId,
        /// Its new leader.
        heir: Pid,
    },
    /// Look for who leads on where a leader has ended. Answered by `HeirSought`.
    SeekHeir(GenerationId),
    /// Look for workers of this generation that are not known
    /// yet, and tell when they end. Answered by `WorkersWatched`.
    WatchWorkers(GenerationId),
    /// Send a signal to every process that is left below ostler, or only look who there is. Answered by `Swept`.
    Sweep(Option<Signal>),
    /// Delete all core files but so many of the newest. Answered by `CoresTidied`, if there is something to tell.
    TidyCores(NonZeroUsize),
    /// Look whether a successor serves; at the first look, begin to probe it. Answered by `Looked`.
    Look(GenerationId),
    /// Give all new connections to the generation that has this slot, and end all probing.
    Steer(Slot),
    /// Look whether connections wait where a generation is being drained. Answered by `DrainChecked`.
    CheckDrain(Slot),
    /// Look which connections wait to be accepted. Answered by `QueueSeen`.
    CheckQueue(Slot),
    /// Measure the memory of a generation: exactly, unless something cheaper
    /// shows that it is below the limit. Answered by `MemoryMeasured`.
    Measure {
        /// Which.
        id: GenerationId,
        /// In bytes.
        limit: u64,
        /// So many of the cheaper sum's are known to be counted too often.
        shared: u64,
    },
    /// Count the connections that have come. Answered by `ConnectionsCounted`, if that can be known here.
    CountConnections,
    /// Nobody serves here any more: close what still waits, so
    /// that no client hangs. Answered by `Shed` if anything did.
    Shed(Slot),
    /// Answer a command.
    Answer {
        /// Whom.
        client: Client,
        /// What.
        answer: Answer,
    },
    /// Show somebody what is known.
    Show {
        /// Whom.
        client: Client,
        /// What of it.
        page: Page,
        /// What is known.
        status: Box<Status>,
    },
    /// Send the figures to where metrics go.
    Publish(Box<Status>),
    /// Look how full the disk is. Answered by `DiskSeen`.
    LookAtDisk,
    /// Look at a few more files for what has grown on it. Answered by `GrownSearched`.
    SearchGrown,
    /// Tell.
    Log(Notice),
    /// End ostler with this exit status.
    Exit(u8),
}
