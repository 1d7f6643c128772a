//! What was seen of the container, as data. Whatever others chose is a [`Text`], which can be shown.

use super::Text;

/// What was seen, or why it could not be.
pub type Sight<T> = Result<T, Text>;

/// All that was looked at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where core files were looked for.
    pub folder: Text,
    /// Whose PID namespace it is.
    pub namespace: Sight<Namespace>,
    /// Do orphans come to the process that looks?
    pub subreaper: Sight<Subreaper>,
    /// All processes of the PID namespace that can be seen.
    pub processes: Sight<Vec<Process>>,
    /// What /proc/1/status says.
    pub init: Sight<Init>,
    /// What the kernel does with a core dump.
    pub pattern: Sight<(Pattern, Text)>,
    /// What a core file of PID 1 holds, and of what is started by it.
    pub filter: Sight<Filter>,
    /// Of the cgroup.
    pub memory: Sight<Memory>,
    /// Of the cgroup.
    pub pids: Sight<Pids>,
    /// Of the cgroup.
    pub cpu: Sight<Cpu>,
    /// Each file system once.
    pub disks: Vec<Disk>,
    /// Those that listen in the network namespace.
    pub sockets: Sight<Vec<Socket>>,
    /// Core files below the folder.
    pub cores: Sight<Cores>,
}

/// Whose PID namespace it is (`pid_namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The one that the kernel has started with: no container, or one that shares the host's.
    Initial,
    /// Another: a container.
    Other,
}

/// `PR_GET_CHILD_SUBREAPER` (prctl(2)). A process can only ask this of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subreaper {
    /// Orphans of its descendants come to it.
    Yes,
    /// They do not.
    No,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's; 0 if that is outside the namespace, as of what `docker exec` starts.
    pub parent: i32,
    /// What the kernel calls it.
    pub name: Text,
    /// What it is to ostler.
    pub kind: Kind,
    /// What it does.
    pub life: Life,
    /// Soft and hard limit of a core file in bytes; `u64::MAX` is unlimited.
    pub core: Sight<(u64, u64)>,
    /// Its open files.
    pub files: Sight<Files>,
    /// Where it is, and so where a core file of a relative name goes.
    pub folder: Sight<Text>,
}

/// What a process is to ostler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The one that looks.
    Own,
    /// Another of the same program.
    Ostler,
    /// A thread of the kernel, in the host's PID namespace.
    Kernel,
    /// Any other.
    Other,
}

/// What a process does (proc(5), the third field of /proc/PID/stat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs or sleeps.
    Running,
    /// It was stopped by a signal (`T`), or by a debugger (`t`).
    Stopped,
    /// It is dead, and its parent has not collected its exit status; seen twice.
    Zombie,
    /// In the hands of the kernel, which no signal interrupts (`D`); seen twice.
    Uninterruptible,
}

/// The open files of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// How many there are.
    pub open: u64,
    /// The soft limit.
    pub limit: u64,
}

/// PID 1, by its /proc/1/status.
#[derive(Clone, Debug)]
pub struct Init {
    /// `NoNewPrivs`, if the kernel says: 0 or 1.
    pub no_new_privs: Option<u64>,
    /// `Seccomp`, if the kernel says.
    pub seccomp: Option<Seccomp>,
    /// `CapEff` and `CapBnd`.
    pub capabilities: Option<Capabilities>,
}

/// seccomp(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// No call is refused.
    Off,
    /// read, write and exit alone.
    Strict,
    /// A filter decides: Docker's profile, say.
    Filter,
}

/// Names without `CAP_`, in small letters (capabilities(7)).
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// What PID 1 may do.
    pub effective: Vec<String>,
    /// What anybody below it may ever do.
    pub bounding: Vec<String>,
    /// All that this kernel knows.
    pub known: Vec<String>,
}

/// Where a core dump goes (core(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// A file of this name.
    File,
    /// A program on the host.
    Pipe,
    /// A socket on the host.
    Socket,
}

/// `/proc/PID/coredump_filter` (core(5)): a bit for each kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter(pub u64);

/// Which cgroups there are (cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tree for each controller.
    V1,
    /// One tree.
    V2,
}

/// Bytes.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Where it was read.
    pub version: Version,
    /// What may be used; `None` is no limit.
    pub limit: Option<u64>,
    /// What is used.
    pub used: Sight<u64>,
    /// How much of that is files that have not been read for a while, which the kernel drops when it needs room.
    pub droppable: u64,
    /// How many processes the kernel has killed for want of memory.
    pub kills: Sight<u64>,
}

/// Processes and threads.
#[derive(Clone, Debug)]
pub struct Pids {
    /// Where it was read.
    pub version: Version,
    /// How many there may be; `None` is no limit.
    pub limit: Option<u64>,
    /// How many there are.
    pub used: Sight<u64>,
}

/// Processor time.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Where it was read.
    pub version: Version,
    /// Microseconds that may be used in each period of so many microseconds; `None` is no limit.
    pub quota: Option<(u64, u64)>,
    /// Periods that somebody wanted time in, and those of them in which the quota was used up.
    pub periods: Option<(u64, u64)>,
}

/// A file system.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Those of the paths that were asked for that are on it.
    pub paths: Vec<Text>,
    /// How full it is.
    pub usage: Sight<Usage>,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub bytes: Room,
    /// Inodes; `None` where they are made as they are needed.
    pub inodes: Option<Room>,
}

/// What there is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub total: u64,
    /// What is taken.
    pub used: u64,
    /// What an ordinary user may still take: less than the rest, where some is kept for root.
    pub available: u64,
}

/// A TCP socket that listens.
#[derive(Clone, Debug)]
pub struct Socket {
    /// `0.0.0.0:8000`, `[::]:8000`.
    pub address: String,
    /// Connections that wait to be accepted.
    pub queue: u64,
    /// How many may; `None` if the kernel does not tell.
    pub limit: Option<u64>,
    /// Who holds it, as far as that can be seen.
    pub holders: Vec<Holder>,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: i32,
    /// What the kernel calls it.
    pub name: Text,
}

/// Core files below a folder.
#[derive(Clone, Debug, Default)]
pub struct Cores {
    /// The largest of them, by what they take of the disk.
    pub largest: Vec<Core>,
    /// How many there are.
    pub count: u64,
    /// Their lengths, in bytes.
    pub length: u64,
    /// What they take of the disk, in bytes.
    pub allocated: u64,
    /// How many files and folders were looked at.
    pub entries: u64,
    /// How many files and folders could not be read.
    pub unreadable: u64,
    /// How far the search went.
    pub reach: Reach,
}

/// How far a search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Everything on that file system.
    #[default]
    All,
    /// It ended at so many entries.
    Entries(u64),
    /// Folders this deep were not entered.
    Depth(u64),
}

/// A core file.
#[derive(Clone, Debug)]
pub struct Core {
    /// Where.
    pub path: Text,
    /// Bytes.
    pub length: u64,
    /// Bytes on the disk.
    pub allocated: u64,
    /// When it was written, as `2026-01-31T12:00:00Z`.
    pub time: String,
    /// The id of the process that left it, its name, and the beginning of its command line.
    pub program: Option<(i32, Text, Text)>,
}
