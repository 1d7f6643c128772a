//! Nobody is left of the last generation. Whoever else still runs below ostler, a daemon with a session of its own,
//! say, is told to end and may take what is left of the grace period; then ostler ends.

use super::State;
use super::action::{Action, Answer};
use super::departure::Force;
use super::event::Event;
use super::notice::Notice;
use super::terms::{Kin, Left, Signal};
use super::turn::Turn;
use std::time::{Duration, Instant};

/// How often is looked whether all have ended: not all of them are ostler's children.
const LOOK: Duration = Duration::from_millis(100);

/// They have so long at least, also where the child has used up its grace period.
const LEAST: Duration = Duration::from_secs(1);

/// Whoever came from outside is waited for only so long: an
/// interactive shell ignores SIGTERM, and ends with the container.
const COURTESY: Duration = Duration::from_secs(1);

/// Whoever has got SIGKILL and is there still after this time hangs in the kernel, which ends it with ostler.
const KILL_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Sweep {
    /// ostler's exit status.
    code: u8,
    began: Instant,
    look_at: Instant,
    force: Force,
}

impl Sweep {
    /// Ends all that is left, by force from `until` on, and then ostler.
    pub(super) fn begin(code: u8, until: Instant, turn: &mut Turn<'_>) -> State {
        turn.order(Action::Sweep(Some(Signal::TERM)));
        let force = Force::At(until.max(turn.now + LEAST));
        State::Sweeping(Self { code, began: turn.now, look_at: turn.now + LOOK, force })
    }

    pub(super) fn deadline(&self) -> Instant {
        let force = match self.force {
            Force::At(time) => time,
            Force::Sent(time) => time + KILL_WAIT,
        };
        force.min(self.look_at)
    }

    /// Somebody has ended.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.look_at = now;
    }

    pub(super) fn step(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        match event {
            Event::Swept { left, .. } if self.is_over(left, turn.now) => return turn.exit(self.code),
            Event::Swept { signal, left } => self.told(*signal, left, turn),
            Event::Tick => return self.press(turn),
            // Somebody is in a hurry.
            Event::Signal(signal) if signal.asks_for_the_end() => {
                turn.log(Notice::Stopping { signal: *signal, grace: Duration::ZERO });
                self.force = match self.force {
                    Force::At(_) => Force::At(turn.now),
                    Force::Sent(time) => Force::Sent(time),
                };
            }
            Event::Signal(signal) => turn.log(Notice::SignalDropped { signal: *signal }),
            Event::Asked { client, .. } => turn.refuse(*client, Answer::Nobody),
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::KillRefused { .. }
            | Event::OrphansReaped { .. }
            | Event::HeirSought { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::RequestsServed { .. }
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
            | Event::GrownSearched { .. } => {}
        }
        State::Sweeping(self)
    }

    /// Is nobody left who is waited for?
    fn is_over(&self, left: &[Left], now: Instant) -> bool {
        match left.iter().find(|process| process.kin == Kin::Own) {
            Some(_) => false,
            None => left.is_empty() || now >= self.began + COURTESY,
        }
    }

    /// Those who are there got this signal.
    fn told(&self, signal: Option<Signal>, left: &[Left], turn: &mut Turn<'_>) {
        match signal {
            Some(Signal::TERM) => {
                let grace = match self.force {
                    Force::At(time) => time.saturating_duration_since(turn.now),
                    Force::Sent(_) => Duration::ZERO,
                };
                turn.log(Notice::OthersLeft { left: left.to_vec(), grace });
                // A stopped process takes SIGTERM only when it runs again.
                turn.order(Action::Sweep(Some(Signal::CONT)));
            }
            Some(Signal::KILL) => turn.log(Notice::OthersKilled { left: left.to_vec() }),
            Some(_) | None => {}
        }
    }

    fn press(mut self, turn: &mut Turn<'_>) -> State {
        match self.force {
            Force::At(time) if turn.now >= time => {
                self.force = Force::Sent(turn.now);
                self.look_at = turn.now + LOOK;
                turn.order(Action::Sweep(Some(Signal::KILL)));
            }
            Force::Sent(time) if turn.now >= time + KILL_WAIT => return turn.exit(self.code),
            Force::At(_) | Force::Sent(_) if turn.now >= self.look_at => {
                self.look_at = turn.now + LOOK;
                turn.order(Action::Sweep(None));
            }
            Force::At(_) | Force::Sent(_) => {}
        }
        State::Sweeping(self)
    }
}
