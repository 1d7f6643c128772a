//! THE EDGE: waits for events, obeys orders, decides nothing. One poll, one thread.

mod bpf;
mod cgroup;
mod control;
mod core_file;
mod cores;
mod counter;
mod door;
mod environment;
mod facts;
mod grown;
mod hosts;
mod listen;
mod listening;
mod lives;
mod memory;
mod notify;
mod others;
mod outlet;
mod passage;
mod pid_file;
mod plain;
mod privileges;
mod probe;
mod process;
mod program;
mod reap;
mod report;
mod request;
mod rlimits;
mod signals;
mod sleep;
mod spawn;
mod steer;
mod table;
mod terminal;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
mod users;
mod waiting;
mod wake;
mod wards;
mod workers;

pub use cgroup::memory_limit;
pub use control::{Control, ask_for_page, ask_for_recycle};
pub use core_file::{CoreFile, Dumped, is_core};
pub use cores::no_core_can_be_left;
pub use counter::Counting;
pub use facts::gather as gather_facts;
pub use hosts::look_up;
pub use listen::{Held, Inherited, Sockets, open as listen};
pub use memory::{memory_of, try_memory};
pub use outlet::Outlet;
pub use plain::read_plain;
pub use privileges::{Privileges, resolve_privileges};
pub use program::{Between, LookOut, Program, Word};
pub use request::get;
pub use rlimits::{CorePattern, resolve as resolve_limits, without_memory_in_cores};
pub use signals::Signals;
pub use spawn::SetLimit;

use crate::count::Source;
use crate::sink::Sink;
use crate::supervisor::{Action, DiskSearch, Event, GenerationId, Queue, Slot};
use cores::Cores;
use counter::{Counter, LogPipe};
use door::Door;
use listening::Listening;
use memory::Measured;
use passage::Passage;
use process::{Leader, Process};
use spawn::Recipe;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use terminal::Terminal;

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
    pid_file: Option<PathBuf>,
    health_path: Option<String>,
    between: Between,
    notify: Word,
    control: Option<Control>,
    processes: Vec<Process>,
    reaping: Reaping,
    /// So many wake-ups in a row have brought nothing.
    vain: u32,
    listening: Listening,
    /// Where new connections go.
    steered: Slot,
    shedding: Shedding,
    terminal: Terminal,
    /// Where core files are kept at all.
    cores: Option<Cores>,
    outlet: Option<Outlet>,
    /// For what has grown on the disk since then.
    started: SystemTime,
    grown: Option<grown::Search>,
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
    /// The kernel has refused to tell who is dead, or to reap: again after a while, as no SIGCHLD comes twice.
    Refused,
}

impl System {
    /// An edge that will start `program`, and that listens to commands if there is a `control` socket.
    #[must_use]
    pub fn new(signals: Signals, program: Program, control: Option<Control>) -> Self {
        let Program {
            argv,
            environment,
            limits,
            privileges,
            held,
            counting,
            pid_file,
            health_path,
            between,
            notify,
            cores,
            outlet,
        } = program;
        let given = signals.given.clone();
        let recipe = Recipe { argv, limits, privileges, held, given };
        let through = counting.as_ref().filter(|counting| counting.source == Source::Stdout);
        let passage = through.map(|_| Passage::new(Sink::stdout()));
        let listening = Listening::to(counting.as_ref().map(|counting| counting.source));
        Self {
            signals,
            recipe,
            environment,
            counting,
            passage,
            stdouts: Vec::new(),
            pid_file,
            health_path,
            between,
            notify,
            control,
            processes: Vec::new(),
            reaping: Reaping::Done,
            vain: 0,
            listening,
            steered: Slot::A,
            shedding: Shedding::Eager,
            terminal: Terminal::new(),
            cores: match cores {
                LookOut::Kept => Some(Cores::new()),
                LookOut::None => None,
            },
            outlet,
            started: SystemTime::now(),
            grown: None,
        }
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
            Action::SeekHeir(id) => self.seek_heir(*id),
            Action::WatchWorkers(id) => self.watch_workers(*id),
            Action::Sweep(signal) => {
                let left = others::sweep(*signal);
                Some(Event::Swept { signal: *signal, left })
            }
            Action::TidyCores(keep) => {
                let leaders = self.processes.iter().map(|process| process.pid);
                self.cores.as_mut()?.tidy(*keep, leaders)
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
            Action::Measure { id, limit, shared } => self.measure(*id, *limit, *shared),
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
            Action::LookAtDisk => Some(Event::DiskSeen { disk: facts::disk_use() }),
            Action::SearchGrown => Some(self.search_grown()),
            // These are the loop's own.
            Action::Show { .. } | Action::Publish(_) | Action::Log(_) | Action::Exit(_) => None,
        }
    }

    fn search_grown(&mut self) -> Event {
        let root = Path::new("/");
        let search = self.grown.get_or_insert_with(|| grown::Search::begin(root, self.started)).step();
        if search != DiskSearch::GoesOn {
            self.grown = None;
        }
        Event::GrownSearched { search }
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

    /// A connection belongs to the socket that its first packet was given
    /// to, and may be complete only when the generation there is long gone.
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

    fn look(&mut self, id: GenerationId) -> Option<Event> {
        let Self { processes, recipe, health_path, .. } = self;
        let process = processes.iter_mut().find(|process| process.id == id)?;
        let sight = process.look(&recipe.held.doors, health_path.as_deref())?;
        Some(Event::Looked { id, sight })
    }

    fn measure(&self, id: GenerationId, limit: u64, shared: u64) -> Option<Event> {
        let process = self.processes.iter().find(|process| process.id == id)?;
        let begin = memory::processor_time();
        let measured = memory::measure(process.pid, process.group, limit, shared).ok()?;
        let Measured { bytes, shared, view } = measured;
        let cost = memory::processor_time().saturating_sub(begin);
        Some(Event::MemoryMeasured { id, bytes, shared, view, cost })
    }

    fn steer(&mut self, slot: Slot) -> Option<Event> {
        for process in &mut self.processes {
            process.probe = None;
            if process.slot == slot && process.leader == Leader::Alive {
                self.terminal.give_to(process.group);
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
        self.terminal.take_back();
        if let Some(passage) = &mut self.passage {
            for stdout in &mut self.stdouts {
                let _ = stdout.take(Some(passage));
                stdout.finish(passage);
            }
        }
    }
}
