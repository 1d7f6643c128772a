//! Generations come and go: started, signalled, followed, reaped.

use super::counter::Counter;
use super::environment::{Additions, environment, get, own_pid_variables};
use super::notify::{NOTIFY_SOCKET, Notify};
use super::process::{Leader, Process};
use super::signals::{self, To};
use super::spawn::{Extras, Ground};
use super::workers::{self, Found, Gunicorn};
use super::{Reaping, System, Word, pid_file, reap};
use crate::supervisor::{
    Event, ExitStatus, GenerationId, Outcome, Pid, Signal, Slot, SpawnCause, SpawnError, Target,
};
use nix::errno::Errno;
use nix::unistd::{getpgid, getpid};
use std::mem;

/// Reaped at most in one wake-up: what was once needed to tell of them is kept, as the allocator gives little back.
const REAPS: usize = 100;

/// Of so many generations that are gone the stdout is still read, as somebody has it open. Each is a descriptor, and
/// may hold a line that has not ended: a job that every generation leaves behind must not take all there are.
const STDOUTS: usize = 32;

impl System {
    pub(super) fn spawn(&mut self, id: GenerationId, slot: Slot) -> Event {
        match self.try_spawn(id, slot) {
            Ok(process) => {
                let pid = process.pid;
                self.processes.push(process);
                Event::Spawned { id, pid }
            }
            Err(error) => Event::SpawnFailed { id, error },
        }
    }

    pub(super) fn try_spawn(&mut self, id: GenerationId, slot: Slot) -> Result<Process, SpawnError> {
        let short = |what: &str, error: &dyn std::fmt::Display| SpawnError {
            cause: SpawnCause::Resources,
            message: format!("{what}: {error}"),
        };
        for door in &mut self.recipe.held.doors {
            let opened = door.prepare(slot);
            opened.map_err(|error| short(&format!("cannot open a socket for it at {door}"), &error))?;
        }
        let opened = self.counting.as_ref().map(Counter::open).transpose();
        let opened = opened.map_err(|error| short("cannot open a source of counts", &error))?;
        let (counter, wiring) = opened.unzip();
        let wiring = wiring.unwrap_or_default();
        let notify = match self.notify {
            Word::Wanted => Some(Notify::open(get(&self.environment, NOTIFY_SOCKET))),
            Word::Unwanted => None,
        };
        let notify = notify.transpose().map_err(|error| short("cannot open a socket for READY=1", &error))?;
        let (notify, notify_name) = notify.unzip();
        let held = &self.recipe.held;
        let additions = Additions {
            arguments: wiring.arguments.as_deref(),
            statsd: wiring.statsd,
            sockets: (!held.doors.is_empty()).then_some((held.doors.len(), held.names.as_str())),
            between: self.between,
            notify: notify_name.as_deref(),
            account: self.recipe.privileges.account(),
        };
        let own_pid = own_pid_variables(&additions);
        let environment = environment(&self.environment, &additions);
        let (inherited, stdout) = (wiring.inherited.as_ref(), wiring.stdout.as_ref());
        let ground = if self.processes.is_empty() { Ground::Fore } else { Ground::Back };
        let extras = Extras { environment, own_pid, inherited, stdout, ground };
        let (pid, report) = self.recipe.spawn(slot, &extras)?;
        if ground == Ground::Fore {
            self.terminal.taken_by(pid);
        }
        Ok(Process {
            id,
            slot,
            pid,
            group: pid,
            leader: Leader::Alive,
            report,
            counter,
            notify,
            said_ready: false,
            probe: None,
            workers: Vec::new(),
        })
    }

    pub(super) fn kill(&mut self, target: Target, signal: Signal) -> Option<Event> {
        let (Target::Leader(id) | Target::Group(id) | Target::Gunicorn(id)) = target;
        let process = self.processes.iter_mut().find(|process| process.id == id)?;
        // A worker that has accepted it, and takes one connection at a time, would wait for it and not end.
        process.probe = None;
        let to = match (target, process.leader) {
            (Target::Leader(_), Leader::Alive | Leader::Zombie) => To::Process(process.pid.0),
            (Target::Group(_), _) => To::Group(process.group.0),
            (Target::Gunicorn(_), Leader::Alive) => {
                // They were there a moment ago; a number is not given anew so soon (pids go round).
                if let Ok(Found::Gunicorn(gunicorn)) = Gunicorn::find(process.pid) {
                    for member in gunicorn.processes() {
                        let _ = signals::send(To::Process(member.0), Some(signal));
                    }
                }
                return None;
            }
            (Target::Leader(_) | Target::Gunicorn(_), Leader::Reaped | Leader::Zombie) => return None,
        };
        match (signals::send(to, Some(signal)), process.leader) {
            (Err(Errno::ESRCH), Leader::Reaped) => Some(self.forget(id)),
            (Err(Errno::EPERM), _) => Some(Event::KillRefused { id }),
            (Ok(()) | Err(_), Leader::Alive | Leader::Zombie | Leader::Reaped) => None,
        }
    }

    pub(super) fn follow(&mut self, id: GenerationId, heir: Pid) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.id == id) {
            if process.leader == Leader::Zombie {
                // Where that is refused it is no leader any more: it is reaped with the orphans.
                let _ = reap::reap(process.pid);
                self.reaping = Reaping::Due;
            }
            process.pid = heir;
            process.leader = Leader::Alive;
            // A daemon has a session, and so a group, of its own.
            let group = getpgid(Some(nix::unistd::Pid::from_raw(heir.0)));
            process.group = group.map_or(process.group, |group| Pid(group.as_raw()));
        }
    }

    pub(super) fn watch_workers(&mut self, id: GenerationId) -> Option<Event> {
        let process = self.processes.iter_mut().find(|process| process.id == id)?;
        Some(Event::WorkersWatched { id, new: process.watch_workers() })
    }

    pub(super) fn seek_heir(&self, id: GenerationId) -> Option<Event> {
        let process = self.processes.iter().find(|process| process.id == id)?;
        let heir = self.pid_file.as_deref().and_then(|file| pid_file::named_by(file, process.pid));
        Some(Event::HeirSought { id, heir })
    }

    /// Reaps whoever is dead, but for leaders: they are told, and stay until they are ordered to be reaped.
    pub(super) fn reap(&mut self, events: &mut Vec<Event>) {
        let mut dead = Vec::new();
        let leader = self.reap_orphans(&mut dead);
        if !dead.is_empty() {
            events.push(Event::OrphansReaped { dead });
        }
        if let Some((leader, status)) = leader
            && let Some(process) = self.processes.iter_mut().find(|process| process.is_led_by(leader))
        {
            process.leader = Leader::Zombie;
            // Who is left without a master has nothing to serve for.
            process.workers.clear();
            process.count_the_last(events, &mut self.passage, self.steered);
            let outcome = match self.recipe.failure(&process.report) {
                Some(error) => Outcome::NeverRan(error),
                None => Outcome::Ended(status),
            };
            let own = Pid(getpid().as_raw());
            let heir = workers::heir(own, leader, process.group);
            events.push(Event::Exited { id: process.id, outcome, heir });
        }
    }

    /// Up to the first leader: its pid comes first until it is reaped, so the others have to wait for that.
    fn reap_orphans(&mut self, dead: &mut Vec<(Pid, ExitStatus)>) -> Option<(Pid, ExitStatus)> {
        for _ in 0..REAPS {
            match reap::peek() {
                Ok(None) => {
                    self.reaping = Reaping::Done;
                    return None;
                }
                Ok(Some(leader)) if self.processes.iter().any(|process| process.is_led_by(leader.0)) => {
                    self.reaping = Reaping::Done;
                    return Some(leader);
                }
                Ok(Some(orphan)) if reap::reap(orphan.0).is_ok() => dead.push(orphan),
                Ok(Some(_)) | Err(_) => {
                    self.reaping = Reaping::Refused;
                    return None;
                }
            }
        }
        // Whoever forks without end does not keep ostler from its signals.
        self.reaping = Reaping::Due;
        None
    }

    pub(super) fn forget_the_gone(&mut self, events: &mut Vec<Event>) {
        let gone: Vec<_> =
            self.processes.iter().filter(|process| process.is_gone()).map(|process| process.id).collect();
        events.extend(gone.into_iter().map(|id| self.forget(id)));
    }

    pub(super) fn reap_leader(&mut self, id: GenerationId) -> Option<Event> {
        let process = self.processes.iter_mut().find(|process| process.id == id)?;
        if process.leader == Leader::Zombie {
            // Where that is refused it is reaped with the orphans, and its group is there until then.
            let _ = reap::reap(process.pid);
            process.leader = Leader::Reaped;
            self.reaping = Reaping::Due;
        }
        process.is_gone().then(|| self.forget(id))
    }

    pub(super) fn forget(&mut self, id: GenerationId) -> Event {
        let (gone, left): (Vec<_>, _) =
            mem::take(&mut self.processes).into_iter().partition(|process| process.id == id);
        self.processes = left;
        let gone = gone.into_iter().map(|mut process| {
            // What its last members wrote goes on; nobody counts it any more.
            process.count_the_last(&mut Vec::new(), &mut self.passage, self.steered);
            process
        });
        self.stdouts.extend(gone.filter_map(Process::into_stdout));
        let too_many = self.stdouts.len().saturating_sub(STDOUTS);
        for mut oldest in self.stdouts.drain(..too_many) {
            if let Some(passage) = &mut self.passage {
                oldest.finish(passage);
            }
        }
        Event::GroupGone { id }
    }
}
