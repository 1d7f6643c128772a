//! A generation, as the kernel has it: its leader and its group, and what ostler hears and sees of it.

use super::counter::{Counter, LogPipe, Speech, Taken};
use super::door::Door;
use super::notify::Notify;
use super::passage::Passage;
use super::probe::Probe;
use super::signals::{self, To};
use super::spawn::Report;
use super::wards::{Fate, Ward};
use super::workers::{Found, Gunicorn};
use crate::count::Tally;
use crate::supervisor::{Door as Seen, Event, GenerationId, Pid, Sight, Slot, View};
use nix::errno::Errno;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: GenerationId,
    pub(super) slot: Slot,
    /// The leader.
    pub(super) pid: Pid,
    /// The process group: the first leader's, or that of a daemon that was followed.
    pub(super) group: Pid,
    pub(super) leader: Leader,
    pub(super) report: Report,
    pub(super) counter: Option<Counter>,
    pub(super) notify: Option<Notify>,
    pub(super) said_ready: bool,
    pub(super) probe: Option<Probe>,
    /// The workers whose end is to be told.
    pub(super) workers: Vec<Ward>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    Alive,
    /// Dead, told, and not reaped: its pid still names its group.
    Zombie,
    /// Reaped; its group has other members.
    Reaped,
}

/// So many workers are watched: each costs a descriptor.
const MOST_WORKERS: usize = 256;

/// Enough to empty the receive buffer of a source.
const ROUNDS: usize = 64;

impl Process {
    /// As `count`, until its source is empty: a full buffer of datagrams takes several rounds.
    pub(super) fn count_the_last(
        &mut self,
        events: &mut Vec<Event>,
        passage: &mut Option<Passage>,
        open: Slot,
    ) {
        for _ in 0..ROUNDS {
            if self.count(events, passage, open) == Speech::Silent {
                return;
            }
        }
    }

    /// Takes what its source holds; closes a source from which nothing will come
    /// any more. `open` is where new connections go: they are nobody else's.
    pub(super) fn count(
        &mut self,
        events: &mut Vec<Event>,
        passage: &mut Option<Passage>,
        open: Slot,
    ) -> Speech {
        let Some(counter) = &mut self.counter else { return Speech::Silent };
        let Ok(Taken { tally, speech }) = counter.take(passage.as_mut()) else {
            self.counter = None;
            return Speech::Silent;
        };
        let own = self.slot == open || !matches!(self.counter, Some(Counter::Connections(_)));
        if own && tally != Tally::default() {
            events.push(Event::RequestsServed { id: self.id, count: tally.counted });
        }
        speech
    }

    /// Is this its leader, alive or not reaped yet?
    pub(super) fn is_led_by(&self, pid: Pid) -> bool {
        self.pid == pid && self.leader != Leader::Reaped
    }

    /// What is still to come of its stdout, which others than its group may have too.
    pub(super) fn into_stdout(self) -> Option<LogPipe> {
        match self.counter {
            Some(Counter::Log(log)) => Some(log).filter(LogPipe::goes_on),
            Some(Counter::Statsd(_) | Counter::Connections(_)) | None => None,
        }
    }

    /// Hears what it says of itself.
    pub(super) fn hear(&mut self) {
        self.said_ready |= self.notify.as_mut().is_some_and(Notify::take);
    }

    /// Tells of the workers that have ended.
    pub(super) fn tell_of_workers(&mut self, events: &mut Vec<Event>) {
        let id = self.id;
        self.workers.retain_mut(|worker| match worker.look() {
            Fate::Lives => true,
            Fate::Ended(status) => {
                events.push(Event::WorkerEnded { id, pid: worker.pid, status });
                false
            }
        });
    }

    /// Watches those of its workers that are not watched yet, and says which they are.
    pub(super) fn watch_workers(&mut self) -> Vec<Pid> {
        let Ok(Found::Gunicorn(gunicorn)) = Gunicorn::find(self.pid) else { return Vec::new() };
        let known = |pid: &Pid| self.workers.iter().any(|worker| worker.pid == *pid);
        // The first one is the master.
        let new = gunicorn.processes().into_iter().skip(1).filter(|pid| !known(pid));
        let room = MOST_WORKERS.saturating_sub(self.workers.len());
        let new: Vec<_> = new.filter_map(Ward::watch).take(room).collect();
        let pids = new.iter().map(|worker| worker.pid).collect();
        self.workers.extend(new);
        pids
    }

    /// Looks whether it serves, by a probe at the first of these addresses
    /// where one reaches it alone. `None`: nothing can be said now.
    pub(super) fn look(&mut self, doors: &[Door], path: Option<&str>) -> Option<Sight> {
        let door = doors.iter().find(|door| door.approach(self.slot).is_some());
        self.probe = door.and_then(|door| match self.probe.take() {
            Some(probe) => Some(probe.look(door, self.slot, path)),
            None => Probe::start(door, self.slot),
        });
        let (workers, view) = match Gunicorn::find(self.pid).ok()? {
            Found::Gunicorn(gunicorn) => (gunicorn.workers, View::Clear),
            Found::Nothing(view) => (Vec::new(), view),
        };
        let door = self.probe.as_ref().map_or(Seen::Blind, Probe::seen);
        Some(Sight { door, said_ready: self.said_ready, workers, view })
    }

    /// Is its leader reaped, and nobody left in its group?
    pub(super) fn is_gone(&self) -> bool {
        self.leader == Leader::Reaped && signals::send(To::Group(self.group.0), None) == Err(Errno::ESRCH)
    }
}
