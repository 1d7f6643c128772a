//! The vocabulary between the pure room and the edge: what has happened (`Event`), what is to be done (`Action`).

use super::notice::Notice;
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

/// A process id, as the kernel gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

/// A signal by its number, real-time signals included (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

impl Signal {
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Quit from the keyboard; a quick shutdown to gunicorn and nginx.
    pub const QUIT: Self = Self(3);
    /// Cannot be caught.
    pub const KILL: Self = Self(9);
    /// The container is to stop.
    pub const TERM: Self = Self(15);
    /// Continue if stopped.
    pub const CONT: Self = Self(18);

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
    /// A process that was no leader had been re-parented to ostler, died and was reaped.
    OrphanReaped {
        /// Which process.
        pid: Pid,
        /// How it ended.
        status: ExitStatus,
    },
    /// The children of a generation have answered this many more requests.
    RequestsServed {
        /// Which generation.
        id: GenerationId,
        /// How many since the last such event.
        count: u64,
    },
    /// Time has passed. The last of every batch of events.
    Tick,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The leader alone.
    Leader(GenerationId),
    /// The leader's process group, the leader included.
    Group(GenerationId),
}

/// An order to the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the child as this generation. Answered by `Spawned` or `SpawnFailed`.
    Spawn(GenerationId),
    /// Send a signal.
    Kill {
        /// To whom.
        target: Target,
        /// Which.
        signal: Signal,
    },
    /// Reap a dead leader: from here on its pid may be another's. Answered by `GroupGone`, at once or later.
    Reap(GenerationId),
    /// Tell.
    Log(Notice),
    /// End ostler with this exit status.
    Exit(u8),
}
