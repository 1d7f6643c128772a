//! What has happened, as the edge tells it to the pure room: facts, in the past tense.

use super::action::{Command, Page};
use super::disk::{DiskUse, Search};
use super::terms::{
    Client, Core, ExitStatus, GenerationId, Left, Outcome, Pid, Queue, Sight, Signal, Slot, SpawnError, View,
};
use std::time::Duration;

/// A fact, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody sent ostler this signal.
    Signal(Signal),
    /// The leader of a generation is there; its program is being executed.
    Spawned {
        /// Which generation.
        id: GenerationId,
        /// Its leader.
        pid: Pid,
    },
    /// No process came of a spawn.
    SpawnFailed {
        /// Which generation.
        id: GenerationId,
        /// Why.
        error: SpawnError,
    },
    /// A leader is dead. Its pid is not reaped, so it still names its process group and nothing else.
    Exited {
        /// Which generation.
        id: GenerationId,
        /// How.
        outcome: Outcome,
        /// The process of its group that it has put in its own place: gunicorn does on SIGUSR2.
        heir: Option<Pid>,
    },
    /// Somebody was looked for who leads on where a leader has ended.
    HeirSought {
        /// Which generation's.
        id: GenerationId,
        /// Who.
        heir: Option<Pid>,
    },
    /// The workers of a generation were looked for; each will be told of when it ends.
    WorkersWatched {
        /// Which generation's.
        id: GenerationId,
        /// Those that were not known before.
        new: Vec<Pid>,
    },
    /// A worker has ended, of which only its master hears.
    WorkerEnded {
        /// Which generation's.
        id: GenerationId,
        /// Which.
        pid: Pid,
        /// How, if the kernel tells.
        status: Option<ExitStatus>,
    },
    /// All processes but ostler's own were looked at, or sent a signal.
    Swept {
        /// What they got.
        signal: Option<Signal>,
        /// Who they are.
        left: Vec<Left>,
    },
    /// A reaped leader's process group has no member left.
    GroupGone {
        /// Which generation.
        id: GenerationId,
    },
    /// A signal that was ordered could not be sent: the child is another user's, and ostler has no `CAP_KILL`.
    KillRefused {
        /// To which generation.
        id: GenerationId,
    },
    /// Processes that were no leaders had been re-parented to ostler, died and were reaped.
    OrphansReaped {
        /// Which, and how each ended.
        dead: Vec<(Pid, ExitStatus)>,
    },
    /// The children of a generation have answered this many more requests.
    RequestsServed {
        /// Which generation.
        id: GenerationId,
        /// How many since the last such event; 0 if all of them are left out of the count.
        count: u64,
    },
    /// What the processes of a generation hold in memory.
    MemoryMeasured {
        /// Which generation.
        id: GenerationId,
        /// Where that is not below the limit: with shared pages counted once. Else it may be less.
        bytes: u64,
        /// If it was measured exactly: so many more the cheaper sum has.
        shared: Option<u64>,
        /// Could the shared pages of all its processes be seen?
        view: View,
        /// What measuring took of a processor.
        cost: Duration,
    },
    /// How many connections have ever come, to whoever.
    ConnectionsCounted {
        /// Since the network namespace is there.
        total: u64,
    },
    /// What a look at a successor showed.
    Looked {
        /// Which generation.
        id: GenerationId,
        /// What was to be seen.
        sight: Sight,
    },
    /// What waits to be accepted where a generation is being drained.
    DrainChecked {
        /// Where.
        slot: Slot,
        /// Is anything left?
        queue: Queue,
    },
    /// Which connections wait to be accepted, each by a number that stays its own. None: nothing waits.
    QueueSeen {
        /// Where.
        slot: Slot,
        /// The connections, in ascending order.
        waiting: Vec<u64>,
    },
    /// Connections that nobody would ever have accepted were closed.
    Shed {
        /// How many.
        connections: u64,
    },
    /// New connections could not be given to the slot that was ordered.
    SteerFailed {
        /// For people: where, and the kernel's words.
        message: String,
    },
    /// Lines of the child's stdout did not go on: nobody read ostler's.
    OutputDropped {
        /// How many.
        lines: u64,
    },
    /// A file has been written in a folder where core files may be.
    FolderWritten,
    /// Core files were looked through, and there is something to tell.
    CoresTidied {
        /// Those that stay and were not known before.
        left: Vec<Core>,
        /// Those that were deleted.
        deleted: Vec<Core>,
        /// Those that could not be, and why; each once.
        stuck: Vec<(Core, String)>,
    },
    /// Somebody in the container wants something.
    Asked {
        /// Who is to be answered.
        client: Option<Client>,
        /// What.
        command: Command,
    },
    /// Somebody in the container wants to be shown something.
    PageAsked {
        /// Who.
        client: Client,
        /// What.
        page: Page,
    },
    /// How full the disk is; `None`: that cannot be known here.
    DiskSeen {
        /// By now.
        disk: Option<DiskUse>,
    },
    /// A few more files were looked at.
    GrownSearched {
        /// What came of it.
        search: Search,
    },
    /// The deadline has passed that there was before this batch of events, of which it is the last one: the others may
    /// have moved it, so whoever waits for a time looks whether it has come.
    Tick,
}
