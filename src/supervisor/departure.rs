//! A generation on its way out: told to stop, or its leader dead already. SIGTERM, the grace period, SIGKILL, and then
//! the next generation or the end.

use super::event::{Event, Outcome, Signal, SpawnCause, SpawnError};
use super::generation::Generation;
use super::notice::{Cause, Notice};
use super::restart::backoff;
use super::turn::Turn;
use super::{State, ends};
use std::time::{Duration, Instant};

/// How long ostler waits for processes that have got SIGKILL before it goes on without them: they hang in the kernel
/// (state D), or are zombies whose own parent does not reap them.
const KILL_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) generation: Generation,
    pub(super) then: Then,
    leader: Leader,
    force: Force,
}

/// What comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next generation, or another try at this one if it never ran.
    Replace,
    /// The end of ostler.
    Exit,
}

#[derive(Clone, Debug)]
enum Leader {
    Alive,
    /// Dead and reaped; others of its group may live on.
    Reaped(Outcome),
}

/// Where it stands with SIGKILL.
#[derive(Clone, Copy, Debug)]
enum Force {
    /// It is sent then.
    At(Instant),
    /// It was sent then.
    Sent(Instant),
}

impl Departure {
    /// Tells the generation to stop.
    pub(super) fn told(generation: Generation, then: Then, turn: &mut Turn<'_>) -> State {
        turn.send(generation.id, Signal::TERM);
        let force = Force::At(turn.now + turn.policy.grace_period);
        State::Departing(Self { generation, then, leader: Leader::Alive, force })
    }

    /// The leader has died and nobody had told it to.
    pub(super) fn by_itself(generation: Generation, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        let then = match &outcome {
            Outcome::Ended(_) => {
                turn.log(generation.ended(turn.now, outcome.clone(), Cause::ByItself));
                Then::Exit
            }
            Outcome::NeverRan(error) => {
                let (then, retry_in) = match error.cause {
                    SpawnCause::Resources => {
                        (Then::Replace, Some(backoff(generation.failures.saturating_add(1))))
                    }
                    SpawnCause::NotFound | SpawnCause::NotExecutable => (Then::Exit, None),
                };
                turn.log(Notice::SpawnFailed { id: generation.id, error: error.clone(), retry_in });
                then
            }
        };
        let force = Force::At(turn.now + turn.policy.grace_period);
        let mut departure = Self { generation, then, leader: Leader::Alive, force };
        departure.bury(outcome, turn);
        State::Departing(departure)
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.force {
            Force::At(time) => time,
            Force::Sent(time) => time + KILL_WAIT,
        }
    }

    pub(super) fn step(mut self, event: Event, turn: &mut Turn<'_>) -> State {
        let id = self.generation.id;
        match (event, &self.leader) {
            (Event::Signal(signal), _) => self.signal(signal, turn),
            (Event::RequestsServed { id, count }, _) => self.generation.count(id, count),
            (Event::Exited { id: exited, outcome }, Leader::Alive) if exited == id => {
                let cause = match self.then {
                    Then::Replace => Cause::Recycled,
                    Then::Exit => Cause::Stopped,
                };
                turn.log(self.generation.ended(turn.now, outcome.clone(), cause));
                self.bury(outcome, turn);
            }
            (Event::GroupGone { id: gone }, Leader::Reaped(outcome)) if gone == id => {
                return self.conclude(outcome, turn);
            }
            (Event::KillRefused { id: refused }, leader) if refused == id => {
                let still_serves =
                    matches!((leader, self.force, self.then), (Leader::Alive, Force::At(_), Then::Replace));
                self.generation.refused(turn);
                if still_serves {
                    self.generation.keep();
                    return State::Serving(self.generation);
                }
            }
            (Event::Tick, _) if turn.now >= self.deadline() => return self.force(turn),
            (
                Event::Spawned { .. }
                | Event::SpawnFailed { .. }
                | Event::Exited { .. }
                | Event::GroupGone { .. }
                | Event::KillRefused { .. }
                | Event::OrphanReaped { .. }
                | Event::Tick,
                _,
            ) => {}
        }
        State::Departing(self)
    }

    fn signal(&mut self, signal: Signal, turn: &mut Turn<'_>) {
        if ends(signal) && self.then == Then::Replace {
            let grace = match self.force {
                Force::At(time) => time.saturating_duration_since(turn.now),
                Force::Sent(_) => Duration::ZERO,
            };
            turn.log(Notice::Stopping { signal, grace });
            self.then = Then::Exit;
        }
        let id = self.generation.id;
        match self.leader {
            Leader::Alive => turn.forward(id, signal),
            // There is nobody left who would pass it on.
            Leader::Reaped(_) if ends(signal) => {
                turn.log(Notice::SignalForwarded { signal });
                turn.kill_group(id, signal);
            }
            Leader::Reaped(_) => turn.log(Notice::SignalDropped { signal }),
        }
    }

    /// Ends what the dead leader leaves behind (the `UvicornWorker`s of a killed master serve on for ever), and only then
    /// reaps the leader: until then its pid, by which the group is named, cannot be another's.
    fn bury(&mut self, outcome: Outcome, turn: &mut Turn<'_>) {
        let id = self.generation.id;
        match self.force {
            Force::At(_) => {
                turn.kill_group(id, Signal::TERM);
                // A stopped process takes SIGTERM only when it runs again.
                turn.kill_group(id, Signal::CONT);
            }
            Force::Sent(_) => turn.kill_group(id, Signal::KILL),
        }
        turn.reap(id);
        self.leader = Leader::Reaped(outcome);
    }

    /// Its deadline has come: SIGKILL, and if that was sent already, on without it.
    fn force(mut self, turn: &mut Turn<'_>) -> State {
        let id = self.generation.id;
        match (self.force, &self.leader) {
            (Force::At(_), _) => {
                turn.log(Notice::GraceExpired { id });
                if let Leader::Alive = self.leader {
                    // It may have left its group.
                    turn.kill_leader(id, Signal::KILL);
                }
                turn.kill_group(id, Signal::KILL);
                self.force = Force::Sent(turn.now);
                State::Departing(self)
            }
            (Force::Sent(_), Leader::Reaped(outcome)) => {
                turn.log(Notice::GroupLeft { id });
                self.conclude(outcome, turn)
            }
            // What it holds cannot be had, and it cannot be reaped: the end of the container is what is left.
            (Force::Sent(_), Leader::Alive) => {
                turn.log(Notice::GroupLeft { id });
                turn.exit(Signal::KILL.exit_code())
            }
        }
    }

    /// It is gone: the end, the next generation, or another try at one that something was short for.
    fn conclude(&self, outcome: &Outcome, turn: &mut Turn<'_>) -> State {
        let gone = &self.generation;
        match (self.then, outcome) {
            (Then::Replace, Outcome::Ended(_)) => turn.spawn(gone.id.next(), 0),
            (Then::Replace, Outcome::NeverRan(SpawnError { cause: SpawnCause::Resources, .. })) => {
                let failures = gone.failures.saturating_add(1);
                State::Waiting { id: gone.id, until: turn.now + backoff(failures), failures }
            }
            (Then::Replace, Outcome::NeverRan(_)) | (Then::Exit, _) => turn.exit(outcome.code()),
        }
    }
}
