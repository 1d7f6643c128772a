//! THE EDGE: waits for events, obeys orders, decides nothing. One poll, one thread.

mod counter;
mod listen;
mod reap;
mod rlimits;
mod signals;
mod spawn;

pub use listen::{Held, open as listen};
pub use rlimits::{CorePattern, resolve as resolve_limits};
pub use signals::Signals;
pub use spawn::SetLimit;

use crate::count::Source;
use crate::supervisor::{Action, Event, GenerationId, Outcome, Pid, Signal, SpawnCause, SpawnError, Target};
use counter::Counter;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signals::To;
use spawn::{Extras, Recipe, Report};
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// The variable through which gunicorn takes arguments (its documentation, "Configuration Overview").
pub const GUNICORN_CMD_ARGS: &str = "GUNICORN_CMD_ARGS";

/// Can this source be opened here at all?
///
/// # Errors
/// Why not.
pub fn try_source(source: Source) -> io::Result<()> {
    Counter::open(source).map(drop)
}

/// What counting adds to `GUNICORN_CMD_ARGS`, with a letter where the number stands that is known at the start only.
#[must_use]
pub fn example_arguments(source: Source) -> String {
    match source {
        Source::Statsd => counter::arguments(source, "127.0.0.1:PORT"),
        Source::AccessLog => counter::arguments(source, "FD"),
    }
}

/// What the child is started with, the same for every generation.
#[derive(Debug)]
pub struct Program {
    /// The command; its first word is looked up in PATH.
    pub argv: Vec<CString>,
    /// The environment, as ostler got it.
    pub environment: Vec<(OsString, OsString)>,
    /// Limits that need no privilege to set.
    pub limits: Vec<SetLimit>,
    /// Sockets that the child is handed.
    pub held: Held,
    /// Where requests are counted.
    pub source: Option<Source>,
}

/// The edge.
#[derive(Debug)]
pub struct System {
    signals: Signals,
    recipe: Recipe,
    environment: Vec<(OsString, OsString)>,
    source: Option<Source>,
    processes: Vec<Process>,
    reaping: Reaping,
    listening: Listening,
}

/// A generation, as the kernel has it.
#[derive(Debug)]
struct Process {
    id: GenerationId,
    pid: Pid,
    leader: Leader,
    report: Report,
    counter: Option<Counter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Alive,
    /// Dead, told, and not reaped: its pid still names its group.
    Zombie,
    /// Reaped; its group has other members.
    Reaped,
}

/// Is there something to reap without waiting for another SIGCHLD?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaping {
    Done,
    /// A zombie leader stood before others in the kernel's list, or SIGCHLD has come.
    Due,
}

/// How the sources of counts are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    /// The first word wakes.
    Eager,
    /// They have just spoken, and will again: a busy server costs a wake-up every `COLLECT`, not one a datagram.
    Collecting,
}

/// So long that it is cheap, so short that an ordinary receive buffer (256 datagrams) lasts for 17,000 requests a second.
const COLLECT: Duration = Duration::from_millis(5);

/// A group's last member may be reaped by a parent of its own, of which nobody tells ostler: so a group whose leader is
/// dead is asked after.
const LINGER: Duration = Duration::from_millis(100);
/// Reaped at most in one wake-up.
const REAPS: usize = 1000;
/// Enough to empty the receive buffer of a source.
const ROUNDS: usize = 64;

impl System {
    /// An edge that will start `program`.
    #[must_use]
    pub fn new(signals: Signals, program: Program) -> Self {
        let Program { argv, environment, limits, held, source } = program;
        let given = signals.given;
        let recipe = Recipe { argv, limits, held, given };
        Self {
            signals,
            recipe,
            environment,
            source,
            processes: Vec::new(),
            reaping: Reaping::Done,
            listening: Listening::Eager,
        }
    }

    /// Waits until something happens, or until `timeout` is over; `None` is for ever. The last event is `Tick`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Vec<Event> {
        self.sleep(timeout);
        let mut events = Vec::new();
        for signal in self.signals.pending() {
            match signal {
                libc::SIGCHLD => self.reaping = Reaping::Due,
                other => events.push(Event::Signal(Signal(other))),
            }
        }
        let told = events.len();
        for process in &mut self.processes {
            process.count(&mut events);
        }
        self.listening = if events.len() > told { Listening::Collecting } else { Listening::Eager };
        if self.reaping == Reaping::Due {
            self.reap(&mut events);
        }
        self.forget_the_gone(&mut events);
        events.push(Event::Tick);
        events
    }

    /// Obeys. What comes of it at once is returned.
    pub fn perform(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Spawn(id) => Some(self.spawn(*id)),
            Action::Kill { target, signal } => self.kill(*target, *signal),
            Action::Reap(id) => self.reap_leader(*id),
            // These two are the loop's own.
            Action::Log(_) | Action::Exit(_) => None,
        }
    }

    fn sleep(&self, timeout: Option<Duration>) {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let mut timeout = timeout;
        match self.listening {
            Listening::Eager => {
                let counters = self.processes.iter().filter_map(|process| process.counter.as_ref());
                fds.extend(counters.map(|counter| PollFd::new(counter.as_fd(), PollFlags::POLLIN)));
            }
            Listening::Collecting => timeout = Some(sooner(timeout, COLLECT)),
        }
        if self.processes.iter().any(|process| process.leader == Leader::Reaped) {
            timeout = Some(sooner(timeout, LINGER));
        }
        let timeout = match (self.reaping, timeout) {
            (Reaping::Due, _) => PollTimeout::ZERO,
            (Reaping::Done, None) => PollTimeout::NONE,
            // Up to a whole millisecond, so that a deadline has passed when poll returns.
            (Reaping::Done, Some(timeout)) => {
                PollTimeout::try_from(timeout.saturating_add(Duration::from_nanos(999_999)))
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        // EINTR and ENOMEM are wake-ups like any other: every source is asked without waiting anyway.
        let _ = poll(&mut fds, timeout);
    }

    fn spawn(&mut self, id: GenerationId) -> Event {
        match self.try_spawn(id) {
            Ok(process) => {
                let pid = process.pid;
                self.processes.push(process);
                Event::Spawned { id, pid }
            }
            Err(error) => Event::SpawnFailed { id, error },
        }
    }

    fn try_spawn(&mut self, id: GenerationId) -> Result<Process, SpawnError> {
        let opened = self.source.map(Counter::open).transpose().map_err(|error| SpawnError {
            cause: SpawnCause::Resources,
            message: format!("cannot open a source of counts: {error}"),
        })?;
        let (counter, wiring) = opened.unzip();
        let arguments = wiring.as_ref().map(|wiring| wiring.arguments.as_str());
        let inherited = wiring.as_ref().and_then(|wiring| wiring.inherited.as_ref());
        let environment = environment(&self.environment, arguments, self.recipe.held.sockets.len());
        let (pid, report) = self.recipe.spawn(&Extras { environment, inherited })?;
        Ok(Process { id, pid, leader: Leader::Alive, report, counter })
    }

    fn kill(&mut self, target: Target, signal: Signal) -> Option<Event> {
        let (Target::Leader(id) | Target::Group(id)) = target;
        let process = self.processes.iter().find(|process| process.id == id)?;
        let to = match (target, process.leader) {
            (Target::Leader(_), Leader::Alive | Leader::Zombie) => To::Process(process.pid.0),
            (Target::Group(_), _) => To::Group(process.pid.0),
            (Target::Leader(_), Leader::Reaped) => return None,
        };
        match (signals::send(to, Some(signal)), process.leader) {
            (Err(Errno::ESRCH), Leader::Reaped) => Some(self.forget(id)),
            (Err(Errno::EPERM), _) => Some(Event::KillRefused { id }),
            (Ok(()) | Err(_), Leader::Alive | Leader::Zombie | Leader::Reaped) => None,
        }
    }

    /// Reaps whoever is dead, but for leaders: they are told, and stay until they are ordered to be reaped.
    fn reap(&mut self, events: &mut Vec<Event>) {
        // Whoever forks without end does not keep ostler from its signals.
        self.reaping = Reaping::Due;
        for _ in 0..REAPS {
            let Some((pid, status)) = reap::peek() else {
                self.reaping = Reaping::Done;
                break;
            };
            let leader = |process: &&mut Process| process.pid == pid && process.leader != Leader::Reaped;
            if let Some(process) = self.processes.iter_mut().find(leader) {
                // Its pid comes first until it is reaped, so the others have to wait for that.
                self.reaping = Reaping::Done;
                process.leader = Leader::Zombie;
                process.count_the_last(events);
                let outcome = match self.recipe.failure(&process.report) {
                    Some(error) => Outcome::NeverRan(error),
                    None => Outcome::Ended(status),
                };
                events.push(Event::Exited { id: process.id, outcome });
                return;
            }
            reap::reap(pid);
            events.push(Event::OrphanReaped { pid, status });
        }
    }

    fn forget_the_gone(&mut self, events: &mut Vec<Event>) {
        let gone: Vec<_> =
            self.processes.iter().filter(|process| process.is_gone()).map(|process| process.id).collect();
        events.extend(gone.into_iter().map(|id| self.forget(id)));
    }

    fn reap_leader(&mut self, id: GenerationId) -> Option<Event> {
        let process = self.processes.iter_mut().find(|process| process.id == id)?;
        if process.leader == Leader::Zombie {
            reap::reap(process.pid);
            process.leader = Leader::Reaped;
            self.reaping = Reaping::Due;
        }
        process.is_gone().then(|| self.forget(id))
    }

    fn forget(&mut self, id: GenerationId) -> Event {
        self.processes.retain(|process| process.id != id);
        Event::GroupGone { id }
    }
}

impl Process {
    /// As `count`, until its source is empty: a full buffer of datagrams takes several rounds.
    fn count_the_last(&mut self, events: &mut Vec<Event>) {
        for _ in 0..ROUNDS {
            let told = events.len();
            self.count(events);
            if events.len() == told {
                return;
            }
        }
    }

    /// Takes what its source holds; closes a source from which nothing will come any more.
    fn count(&mut self, events: &mut Vec<Event>) {
        match self.counter.as_mut().map(Counter::take) {
            Some(Ok(0)) | None => {}
            Some(Ok(count)) => events.push(Event::RequestsServed { id: self.id, count }),
            Some(Err(_)) => self.counter = None,
        }
    }

    /// Is its leader reaped, and nobody left in its group?
    fn is_gone(&self) -> bool {
        self.leader == Leader::Reaped && signals::send(To::Group(self.pid.0), None) == Err(Errno::ESRCH)
    }
}

fn sooner(timeout: Option<Duration>, most: Duration) -> Duration {
    timeout.unwrap_or(most).min(most)
}

/// `NAME=value` for exec: the environment that ostler got, with what counting and held sockets add.
fn environment(given: &[(OsString, OsString)], arguments: Option<&str>, sockets: usize) -> Vec<CString> {
    let replaced = |name: &OsString| match name.to_str() {
        Some(GUNICORN_CMD_ARGS) => arguments.is_some(),
        Some("LISTEN_FDS" | "LISTEN_PID" | "LISTEN_FDNAMES") => sockets > 0,
        Some(_) | None => false,
    };
    let kept = given.iter().filter(|(name, _)| !replaced(name));
    let mut pairs: Vec<(OsString, OsString)> = kept.cloned().collect();
    if let Some(arguments) = arguments {
        // In front: of a duplicate gunicorn takes the last, so what the user says wins.
        let mut value = OsString::from(arguments);
        if let Some((_, users)) = given.iter().find(|(name, _)| name == GUNICORN_CMD_ARGS) {
            value.push(" ");
            value.push(users);
        }
        pairs.push((GUNICORN_CMD_ARGS.into(), value));
    }
    if sockets > 0 {
        pairs.push(("LISTEN_FDS".into(), sockets.to_string().into()));
    }
    let joined = pairs.into_iter().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name.into_vec()
    });
    // A byte 0 cannot have come in through the environment.
    joined.filter_map(|bytes| CString::new(bytes).ok()).collect()
}
