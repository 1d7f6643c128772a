//! A generation on its way out: told to stop, or its leader dead already. SIGTERM, the grace period, SIGKILL.

use super::action::{Action, Target};
use super::event::Event;
use super::generation::Generation;
use super::notice::{Cause, Notice};
use super::terms::{ExitStatus, Outcome, Signal};
use super::turn::Turn;
use super::workers::Manner;
use std::time::{Duration, Instant};

/// How long ostler waits for processes that have got SIGKILL before it goes on without them: they hang in the kernel
/// (state D), or are zombies whose own parent does not reap them.
pub(super) const KILL_WAIT: Duration = Duration::from_secs(5);

/// How often a stop that shows no effect is sent again. A gunicorn worker that still boots loses SIGTERM.
const REMIND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) generation: Generation,
    /// What will be told of its end.
    pub(super) cause: Cause,
    leader: Leader,
    force: Force,
}

#[derive(Clone, Debug)]
enum Leader {
    /// Told to stop; to be told again then.
    Alive { remind: Instant },
    /// Dead and reaped; others of its group may live on.
    Reaped(Outcome),
}

/// Where it stands with SIGKILL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Force {
    /// It is sent then.
    At(Instant),
    /// It was sent then.
    Sent(Instant),
}

/// What came of a departure.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) generation: Generation,
    pub(super) rest: Rest,
    /// Until then it might have taken its time.
    pub(super) until: Instant,
}

/// What is left of a generation that ostler is done with.
#[derive(Clone, Debug)]
pub(super) enum Rest {
    /// Its leader is reaped.
    Reaped(Outcome),
    /// Its leader hangs in the kernel.
    Hangs,
}

impl Rest {
    /// The exit status that tells of it.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Reaped(outcome) => outcome.code(),
            Self::Hangs => ExitStatus::Signaled(Signal::KILL).code(),
        }
    }
}

impl Departure {
    /// Tells the generation to stop.
    pub(super) fn told(generation: Generation, cause: Cause, turn: &mut Turn<'_>) -> Self {
        turn.send(generation.id, turn.policy.stop_signal);
        // Whoever is stopped (SIGSTOP; ctrl-Z, which stops the whole
        // group) would only take it when the grace period is over.
        turn.kill(Target::Group(generation.id), Signal::CONT);
        let leader = Leader::Alive { remind: turn.now + REMIND };
        Self { generation, cause, leader, force: Force::At(turn.now + turn.policy.grace_period) }
    }

    /// The leader has died and nobody had told it to. `notice` says what that means.
    pub(super) fn dead(
        generation: Generation,
        outcome: Outcome,
        notice: Notice,
        turn: &mut Turn<'_>,
    ) -> Self {
        turn.log(notice);
        let force = Force::At(turn.now + turn.policy.grace_period);
        let leader = Leader::Alive { remind: turn.now };
        let mut departure = Self { generation, cause: Cause::ByItself, leader, force };
        departure.bury(outcome, turn);
        departure
    }

    pub(super) fn deadline(&self) -> Instant {
        match (self.force, &self.leader) {
            (Force::At(time), Leader::Alive { remind }) => time.min(*remind),
            (Force::At(time), Leader::Reaped(_)) => time,
            (Force::Sent(time), _) => time + KILL_WAIT,
        }
    }

    /// Has it its leader, and has that not been killed?
    pub(super) fn may_serve(&self) -> bool {
        matches!((&self.leader, self.force), (Leader::Alive { .. }, Force::At(_)))
    }

    /// The time until SIGKILL.
    pub(super) fn grace_left(&self, now: Instant) -> Duration {
        match self.force {
            Force::At(time) => time.saturating_duration_since(now),
            Force::Sent(_) => Duration::ZERO,
        }
    }

    /// Another one is to take its place: it has only until then.
    pub(super) fn hurry(&mut self, until: Instant) {
        self.force = match self.force {
            Force::At(time) => Force::At(time.min(until)),
            Force::Sent(time) => Force::Sent(time),
        };
    }

    /// Takes in an event, whosever it is.
    pub(super) fn step(&mut self, event: &Event, turn: &mut Turn<'_>) -> Option<Gone> {
        let own = self.generation.id;
        match event {
            Event::RequestsServed { id, count } => self.generation.count(*id, *count),
            Event::Exited { id, outcome, .. } if *id == own => {
                if let Leader::Alive { .. } = self.leader {
                    turn.log(self.generation.ended(turn.now, outcome.clone(), self.cause));
                    self.bury(outcome.clone(), turn);
                }
            }
            Event::GroupGone { id } if *id == own => {
                if let Leader::Reaped(outcome) = &self.leader {
                    return Some(self.gone(Rest::Reaped(outcome.clone()), turn));
                }
            }
            Event::KillRefused { id } if *id == own => self.generation.refused(turn),
            // A worker that waits for a client that stays is aborted by its master, or ends with it.
            Event::WorkerEnded { id, pid, status: Some(status) } if *id == own => {
                let manner = Manner::of(*status);
                turn.log(Notice::WorkerEnded { id: own, pid: *pid, status: Some(*status), manner });
            }
            Event::Tick if turn.now >= self.deadline() => return self.press(turn),
            Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::HeirSought { .. }
            | Event::Swept { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::KillRefused { .. }
            | Event::Tick
            | Event::Signal(_)
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::OrphansReaped { .. }
            | Event::MemoryMeasured { .. }
            | Event::ConnectionsCounted { .. }
            | Event::Looked { .. }
            | Event::DrainChecked { .. }
            | Event::QueueSeen { .. }
            | Event::Shed { .. }
            | Event::SteerFailed { .. }
            | Event::OutputDropped { .. }
            | Event::FolderWritten
            | Event::CoresTidied { .. }
            | Event::PageAsked { .. }
            | Event::DiskSeen { .. }
            | Event::GrownSearched { .. }
            | Event::Asked { .. } => {}
        }
        None
    }

    fn gone(&self, rest: Rest, turn: &Turn<'_>) -> Gone {
        let until = turn.now + self.grace_left(turn.now);
        Gone { generation: self.generation.clone(), rest, until }
    }

    /// Passes a signal on. When the leader is gone, one that asks for the end goes to who is left of the group.
    pub(super) fn signal(&self, signal: Signal, turn: &mut Turn<'_>) {
        let id = self.generation.id;
        match self.leader {
            // A program that stops by another signal may take SIGTERM for something ruder.
            Leader::Alive { .. } if signal == Signal::TERM => turn.forward(id, turn.policy.stop_signal),
            Leader::Alive { .. } => turn.forward(id, signal),
            // There is nobody left who would pass it on.
            Leader::Reaped(_) if signal.asks_for_the_end() => {
                turn.log(Notice::SignalForwarded { signal });
                turn.kill(Target::Group(id), signal);
            }
            Leader::Reaped(_) => turn.log(Notice::SignalDropped { signal }),
        }
    }

    /// Ends what the dead leader leaves behind (the `UvicornWorker`s of a killed master serve on for ever), and only
    /// then reaps the leader: until then its pid, by which the group is named, cannot be another's.
    fn bury(&mut self, outcome: Outcome, turn: &mut Turn<'_>) {
        let id = self.generation.id;
        match self.force {
            Force::At(_) => {
                turn.kill(Target::Group(id), Signal::TERM);
                // A stopped process takes SIGTERM only when it runs again.
                turn.kill(Target::Group(id), Signal::CONT);
            }
            Force::Sent(_) => turn.kill(Target::Group(id), Signal::KILL),
        }
        turn.order(Action::Reap(id));
        self.leader = Leader::Reaped(outcome);
    }

    /// A deadline has come: the stop again, then SIGKILL, and if that was sent already, on without it.
    fn press(&mut self, turn: &mut Turn<'_>) -> Option<Gone> {
        let id = self.generation.id;
        match (self.force, &mut self.leader) {
            (Force::At(time), Leader::Alive { remind }) if turn.now < time => {
                *remind = turn.now + REMIND;
                turn.kill(Target::Gunicorn(id), turn.policy.stop_signal);
                None
            }
            (Force::At(_), leader) => {
                turn.log(Notice::GraceExpired { id });
                if let Leader::Alive { .. } = leader {
                    // It may have left its group.
                    turn.kill(Target::Leader(id), Signal::KILL);
                }
                turn.kill(Target::Group(id), Signal::KILL);
                self.force = Force::Sent(turn.now);
                None
            }
            (Force::Sent(_), leader) => {
                turn.log(Notice::GroupLeft { id });
                turn.left.push(id);
                let rest = match leader {
                    Leader::Alive { .. } => Rest::Hangs,
                    Leader::Reaped(outcome) => Rest::Reaped(outcome.clone()),
                };
                Some(self.gone(rest, turn))
            }
        }
    }
}
