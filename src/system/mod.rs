//! THE EDGE: waits for events, obeys orders, decides nothing. One poll, one thread.

mod cgroup;
mod control;
mod counter;
mod door;
mod environment;
mod hosts;
mod listen;
mod lives;
mod memory;
mod notify;
mod passage;
mod probe;
mod process;
mod program;
mod reap;
mod rlimits;
mod signals;
mod spawn;
mod steer;
mod users;
mod waiting;
mod workers;

pub use cgroup::memory_limit;
pub use control::{Control, ask_for_recycle};
pub use counter::Counting;
pub use hosts::look_up;
pub use listen::{Held, Inherited, Sockets, open as listen};
pub use memory::try_memory;
pub use program::{Between, Program, Word};
pub use rlimits::{CorePattern, resolve as resolve_limits};
pub use signals::Signals;
pub use spawn::SetLimit;

use crate::count::Source;
use crate::sink::Sink;
use crate::supervisor::{Action, Event, GenerationId, Queue, Signal, Slot};
use counter::{Counter, LogPipe, Speech};
use door::Door;
use memory::Measured;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use passage::Passage;
use process::{Leader, Process};
use spawn::Recipe;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// The variable through which gunicorn takes arguments (its documentation, "Configuration Overview").
pub const GUNICORN_CMD_ARGS: &str = "GUNICORN_CMD_ARGS";

/// Can this source be opened here at all?
///
/// # Errors
/// Why not.
pub fn try_source(counting: &Counting) -> io::Result<()> {
    Counter::open(counting).map(drop)
}

/// What counting adds to `GUNICORN_CMD_ARGS`, with a letter where the number stands that is known at the start only.
#[must_use]
pub fn example_arguments(source: Source, skip: &[String]) -> Option<String> {
    let place = if source == Source::Statsd { "127.0.0.1:PORT" } else { "FD" };
    counter::arguments(source, skip, place)
}

/// The edge.
#[derive(Debug)]
pub struct System {
    signals: Signals,
    recipe: Recipe,
    environment: Vec<(OsString, OsString)>,
    counting: Option<Counting>,
    /// Where the child's stdout goes on, if it passes through here.
    passage: Option<Passage>,
    /// Of generations that are gone, as long as somebody has them open: a job that has left its group, say.
    stdouts: Vec<LogPipe>,
    health_path: Option<String>,
    between: Between,
    notify: Word,
    control: Option<Control>,
    processes: Vec<Process>,
    reaping: Reaping,
    listening: Listening,
    /// Where new connections go.
    steered: Slot,
    shedding: Shedding,
}

/// How connections are met that come where no generation is any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shedding {
    /// The first one wakes.
    Eager,
    /// They cannot be accepted now (no descriptors are left): again after a while.
    Later,
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
    /// They have just spoken, and will again: a busy server costs a wake-up after this time, not one a datagram.
    Collecting(Duration),
    /// They do not speak by themselves.
    Asking,
}

/// So long that it is cheap, so short that an ordinary receive buffer (256 datagrams) lasts for 3,400 requests a second.
const CALM: Duration = Duration::from_millis(25);
/// For 17,000.
const LIVELY: Duration = Duration::from_millis(5);

/// Connections are counted this often where nothing else is.
const ASK: Duration = Duration::from_secs(1);

/// A group's last member may be reaped by a parent of its own, of which nobody tells ostler: so a group whose leader is
/// dead is asked after.
const LINGER: Duration = Duration::from_millis(100);

impl System {
    /// An edge that will start `program`, and that listens to commands if there is a `control` socket.
    #[must_use]
    pub fn new(signals: Signals, program: Program, control: Option<Control>) -> Self {
        let Program { argv, environment, limits, held, counting, health_path, between, notify } = program;
        let given = signals.given;
        let recipe = Recipe { argv, limits, held, given };
        let through = counting.as_ref().filter(|counting| counting.source == Source::Stdout);
        let passage = through.map(|_| Passage::new(Sink::stdout()));
        let listening = match counting.as_ref().map(|counting| counting.source) {
            Some(Source::Connections) => Listening::Asking,
            Some(Source::Statsd | Source::AccessLog | Source::Stdout) | None => Listening::Eager,
        };
        Self {
            signals,
            recipe,
            environment,
            counting,
            passage,
            stdouts: Vec::new(),
            health_path,
            between,
            notify,
            control,
            processes: Vec::new(),
            reaping: Reaping::Done,
            listening,
            steered: Slot::A,
            shedding: Shedding::Eager,
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
        if let Some(control) = &mut self.control {
            events
                .extend(control.take().into_iter().map(|(client, command)| Event::Asked { client, command }));
        }
        let mut speech = Speech::Silent;
        for process in &mut self.processes {
            process.hear();
            speech = speech.max(process.count(&mut events, &mut self.passage, self.steered));
        }
        if let Some(passage) = &mut self.passage {
            self.stdouts.retain_mut(|stdout| stdout.take(Some(passage)).is_ok());
            passage.flush();
            events.extend(passage.dropped().map(|lines| Event::OutputDropped { lines }));
        }
        self.listening = match (self.listening, speech) {
            (Listening::Asking, _) => Listening::Asking,
            (_, Speech::Silent) => Listening::Eager,
            (_, Speech::Calm) => Listening::Collecting(CALM),
            (_, Speech::Lively) => Listening::Collecting(LIVELY),
        };
        if self.reaping == Reaping::Due {
            self.reap(&mut events);
        }
        self.forget_the_gone(&mut events);
        events.extend(self.shed_latecomers());
        events.push(Event::Tick);
        events
    }

    /// Obeys. What comes of it at once is returned.
    pub fn perform(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Spawn { id, slot } => Some(self.spawn(*id, *slot)),
            Action::Kill { target, signal } => self.kill(*target, *signal),
            Action::Reap(id) => self.reap_leader(*id),
            Action::Follow { id, heir } => {
                self.follow(*id, *heir);
                None
            }
            Action::Look(id) => self.look(*id),
            Action::Steer(slot) => self.steer(*slot),
            Action::CheckDrain(slot) => {
                let waits = self.doors().iter().any(|door| door.queue(*slot) == Queue::Waiting);
                let queue = if waits { Queue::Waiting } else { Queue::Empty };
                Some(Event::DrainChecked { slot: *slot, queue })
            }
            Action::CheckQueue(slot) => {
                let waiting = waiting::waiting(self.doors(), *slot);
                Some(Event::QueueSeen { slot: *slot, waiting })
            }
            Action::Measure { id, limit } => self.measure(*id, *limit),
            Action::CountConnections => {
                counter::connections().ok().map(|total| Event::ConnectionsCounted { total })
            }
            Action::Shed(slot) => self.shed(*slot),
            Action::Answer { client, answer } => {
                if let Some(control) = &mut self.control {
                    control.answer(*client, *answer);
                }
                None
            }
            // These two are the loop's own.
            Action::Log(_) | Action::Exit(_) => None,
        }
    }

    fn doors(&self) -> &[Door] {
        &self.recipe.held.doors
    }

    /// Closes what waits where nobody serves any more.
    fn shed(&mut self, slot: Slot) -> Option<Event> {
        let doors = &mut self.recipe.held.doors;
        let connections = doors.iter_mut().map(|door| door.shed(slot)).sum();
        (connections > 0).then_some(Event::Shed { connections })
    }

    /// A connection belongs to the socket that its first packet was given to, and may be complete only when the generation
    /// there is long gone.
    fn shed_latecomers(&mut self) -> Option<Event> {
        let slot = self.vacant()?;
        let waits = |system: &Self| system.doors().iter().any(|door| door.queue(slot) == Queue::Waiting);
        self.shedding = Shedding::Eager;
        if !waits(self) {
            return None;
        }
        let shed = self.shed(slot);
        if waits(self) {
            self.shedding = Shedding::Later;
        }
        shed
    }

    /// The slot in which no generation is, and to which no new connections go.
    fn vacant(&self) -> Option<Slot> {
        let slot = self.steered.other();
        (!self.processes.is_empty() && self.processes.iter().all(|process| process.slot != slot))
            .then_some(slot)
    }

    fn sleep(&self, timeout: Option<Duration>) {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(self.signals.as_fd())];
        fds.extend(self.control.iter().map(|control| readable(control.as_fd())));
        fds.extend(
            self.processes.iter().filter_map(|process| Some(readable(process.notify.as_ref()?.as_fd()))),
        );
        let mut timeout = timeout;
        match self.listening {
            Listening::Eager => {
                let counters = self.processes.iter().filter_map(|process| process.counter.as_ref());
                fds.extend(counters.filter_map(Counter::readable).map(readable));
            }
            Listening::Collecting(pause) => timeout = Some(sooner(timeout, pause)),
            Listening::Asking => timeout = Some(sooner(timeout, ASK)),
        }
        fds.extend(self.stdouts.iter().map(|stdout| readable(stdout.as_fd())));
        if let Some(stuck) = self.passage.as_ref().and_then(Passage::writable) {
            fds.push(PollFd::new(stuck, PollFlags::POLLOUT));
        }
        if let Some(slot) = self.vacant() {
            match self.shedding {
                Shedding::Eager => {
                    fds.extend(self.doors().iter().filter_map(|door| door.own_socket(slot)).map(readable));
                }
                Shedding::Later => timeout = Some(sooner(timeout, LINGER)),
            }
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

    fn look(&mut self, id: GenerationId) -> Option<Event> {
        let Self { processes, recipe, health_path, .. } = self;
        let process = processes.iter_mut().find(|process| process.id == id)?;
        let sight = process.look(&recipe.held.doors, health_path.as_deref())?;
        Some(Event::Looked { id, sight })
    }

    fn measure(&self, id: GenerationId, limit: u64) -> Option<Event> {
        let process = self.processes.iter().find(|process| process.id == id)?;
        let begin = memory::processor_time();
        let Measured { bytes, view } = memory::measure(process.pid, process.group, limit).ok()?;
        let cost = memory::processor_time().saturating_sub(begin);
        Some(Event::MemoryMeasured { id, bytes, view, cost })
    }

    fn steer(&mut self, slot: Slot) -> Option<Event> {
        for process in &mut self.processes {
            process.probe = None;
            if process.slot == slot && process.leader == Leader::Alive {
                spawn::to_foreground(nix::unistd::Pid::from_raw(process.group.0));
            }
        }
        self.steered = slot;
        let doors = self.recipe.held.doors.iter_mut();
        let failed: Vec<_> =
            doors.filter_map(|door| door.steer(slot).err().map(|error| format!("{door}: {error}"))).collect();
        (!failed.is_empty()).then(|| Event::SteerFailed { message: failed.join("; ") })
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(passage) = &mut self.passage {
            for stdout in &mut self.stdouts {
                let _ = stdout.take(Some(passage));
                stdout.finish(passage);
            }
        }
    }
}

fn sooner(timeout: Option<Duration>, most: Duration) -> Duration {
    timeout.unwrap_or(most).min(most)
}
