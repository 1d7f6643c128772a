//! The terms in which facts and orders are told: generations,
//! slots, processes, signals, how things ended and what was seen.

use std::fmt;

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

/// One of the two sockets that ostler holds for every address. A generation serves on one of them and its successor on
/// the other, so that the kernel can tell their connections apart.
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
    /// It came to nothing before anybody could accept it.
    Unreachable(String),
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
