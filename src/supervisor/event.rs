//! What has happened, as the edge tells it to the pure room: facts, in the past tense.

use super::action::{Command, Page};
use super::disk::{DiskUse, Search};
use std::fmt;
use std::time::Duration;

/// The number of a generation: 1 for the first, one more for each that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenerationId(pub u32);

impl GenerationId {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the two sockets that ostler holds for every address. A generation serves on one of them and its successor on the
/// other, so that the kernel can tell their connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Where the first generation serves.
    A,
    /// Where its successor does.
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A process id, as the kernel gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

/// A signal by its number, real-time signals included (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

impl Signal {
    /// Read your configuration again; gunicorn replaces its workers.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Quit from the keyboard; a quick shutdown to gunicorn and nginx.
    pub const QUIT: Self = Self(3);
    /// gunicorn: replace yourself by a new master.
    pub const USR2: Self = Self(12);
    /// Cannot be caught.
    pub const KILL: Self = Self(9);
    /// The container is to stop.
    pub const TERM: Self = Self(15);
    /// Continue if stopped.
    pub const CONT: Self = Self(18);

    /// Does it ask for the end?
    pub(super) fn asks_for_the_end(self) -> bool {
        matches!(self, Self::TERM | Self::INT | Self::QUIT)
    }

    /// The exit status by which a shell tells of a death by this signal: 128 + n.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        u8::try_from(self.0.saturating_add(128)).unwrap_or(u8::MAX)
    }
}

/// How a process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit(3) with this status.
    Exited(u8),
    /// A signal ended it.
    Signaled(Signal),
    /// A signal ended it, and the kernel wrote a core dump.
    Dumped(Signal),
}

impl ExitStatus {
    /// What ostler's own exit status is when this was the child's: the same, or 128 + n.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) | Self::Dumped(signal) => signal.exit_code(),
        }
    }
}

/// Why a child could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What this means for the next try.
    pub cause: SpawnCause,
    /// For people: the step that failed and the kernel's words.
    pub message: String,
}

/// What a failed start means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnCause {
    /// There is no such program.
    NotFound,
    /// The program cannot be executed.
    NotExecutable,
    /// Something was short (processes, memory, file descriptors): a later try may do.
    Resources,
}

impl SpawnError {
    /// The exit status for it, as tini and shells have it: 127 not found, 126 not executable.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.cause {
            SpawnCause::NotFound => 127,
            SpawnCause::NotExecutable | SpawnCause::Resources => 126,
        }
    }
}

/// How a leader came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran, and ended.
    Ended(ExitStatus),
    /// The process was there, but the program was never executed in it.
    NeverRan(SpawnError),
}

impl Outcome {
    /// The exit status that tells of it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Ended(status) => status.code(),
            Self::NeverRan(error) => error.code(),
        }
    }
}

/// Is an accept queue empty?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// It is.
    Empty,
    /// Connections wait in it.
    Waiting,
}

/// Who has sent a command: a number that the edge knows a return address for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub u32);

/// What can be seen of a successor from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Does it take connections?
    pub door: Door,
    /// Has it said `READY=1` (`sd_notify(3)`)?
    pub said_ready: bool,
    /// Its workers, if it is a gunicorn and they can be seen.
    pub workers: Vec<Worker>,
    /// Could they be seen?
    pub view: View,
}

/// May ostler see what it looks for in /proc?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// It may.
    Clear,
    /// The server is another user's, and ostler has no `CAP_SYS_PTRACE` (proc(5), "/proc/pid/fd/").
    Hidden,
}

/// What came of the connection by which a successor is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// It has not been accepted yet.
    Closed,
    /// It was accepted; where a health path is asked for, it was answered with 2xx.
    Open,
    /// It was accepted and answered with something else, or not answered.
    Unhealthy(String),
    /// The generations share their sockets, so whoever accepts may be another.
    Blind,
}

/// A process that is no generation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub pid: Pid,
    /// What the kernel calls it (proc(5), `comm`).
    pub name: String,
    /// Where it comes from.
    pub kin: Kin,
}

/// Where a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    /// From something below ostler.
    Own,
    /// From outside of the container (`docker exec`, an agent of the platform), or from something that did.
    Guest,
}

/// A core file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its path.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// What it takes of the disk.
    pub allocated: u64,
    /// The command line that left it, as far as it says so.
    pub program: String,
}

/// A gunicorn worker, by its heartbeat file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// A number for the file's name, which is its own.
    pub file: u64,
    /// Has it run its loop at least once, its app loaded?
    pub beats: bool,
}

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
    /// Time has passed. The last of every batch of events.
    Tick,
}
