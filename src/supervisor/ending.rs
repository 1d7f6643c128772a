//! Nobody serves any more: the last generation departs, with another one beside it
//! if a handover was under way, and then the next generation or the end follows.

use super::action::Answer;
use super::delay::Stop;
use super::departure::{Departure, Gone, Rest};
use super::event::Event;
use super::generation::{Fate, Generation};
use super::notice::{Cause, Notice};
use super::restart::{Next, backoff};
use super::serving::Incumbent;
use super::sweep::Sweep;
use super::terms::{Outcome, Signal, SpawnCause, SpawnError};
use super::turn::Turn;
use super::{Restart, Start, State};
use std::time::{Duration, Instant};

/// What a dead leader leaves behind has so long at least before the next one is started: nobody serves meanwhile.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Ending {
    last: Last,
    beside: Option<Departure>,
    pub(super) then: Then,
}

/// The generation whose exit status ostler's will be.
#[derive(Debug)]
enum Last {
    Leaving(Departure),
    Gone(Gone),
}

/// What comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next generation, or another try at this one if it never ran.
    Replace,
    /// The next generation, not before then: this one has ended by itself.
    Restart(Instant),
    /// The end of ostler.
    Exit,
}

impl Ending {
    pub(super) fn alone(last: Departure, then: Then) -> State {
        State::Departing(Self { last: Last::Leaving(last), beside: None, then })
    }

    /// Both go, and `last` is the one that counts.
    pub(super) fn both(last: Departure, beside: Departure, then: Then) -> State {
        State::Departing(Self { last: Last::Leaving(last), beside: Some(beside), then })
    }

    /// The only generation's leader has died by itself.
    pub(super) fn by_itself(generation: Generation, outcome: &Outcome, turn: &mut Turn<'_>) -> State {
        let notice = match outcome {
            Outcome::Ended(_) => generation.ended(turn.now, outcome.clone(), Cause::ByItself),
            Outcome::NeverRan(error) => {
                let retry_in = match error.cause {
                    SpawnCause::Resources if *turn.stopping == Stop::NotAsked => {
                        Some(backoff(generation.failures.saturating_add(1)))
                    }
                    SpawnCause::Resources | SpawnCause::NotFound | SpawnCause::NotExecutable => None,
                };
                Notice::SpawnFailed { id: generation.id, error: error.clone(), retry_in }
            }
        };
        let mut departure = Departure::dead(generation, outcome.clone(), notice, turn);
        let then = Then::after(&departure.generation, outcome, turn);
        if let Then::Restart(at) = then {
            departure.hurry(at.max(turn.now + REST));
        }
        Self::alone(departure, then)
    }

    /// The generation whose end is waited for.
    #[cfg(test)]
    pub(super) fn last(&self) -> &Generation {
        match &self.last {
            Last::Leaving(departure) => &departure.generation,
            Last::Gone(gone) => &gone.generation,
        }
    }

    /// The same, if it is not gone.
    pub(super) fn leaving(&self) -> impl Iterator<Item = &Generation> {
        match &self.last {
            Last::Leaving(departure) => Some(&departure.generation),
            Last::Gone(_) => None,
        }
        .into_iter()
    }

    pub(super) fn beside(&self) -> Option<&Generation> {
        self.beside.as_ref().map(|departure| &departure.generation)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let last = match &self.last {
            Last::Leaving(departure) => Some(departure.deadline()),
            Last::Gone(_) => None,
        };
        last.into_iter().chain(self.beside.as_ref().map(Departure::deadline)).min()
    }

    pub(super) fn step(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        if let Event::Asked { client, .. } = event {
            turn.refuse(*client, self.answer());
        }
        if let Event::Signal(signal) = event {
            self.signal(*signal, turn);
        }
        if let Some(departure) = &mut self.beside
            && departure.step(event, turn).is_some()
        {
            self.beside = None;
        }
        if let Last::Leaving(departure) = &mut self.last
            && let Some(gone) = departure.step(event, turn)
        {
            self.last = Last::Gone(gone);
        }
        if let (Last::Gone(_), Some(beside), Then::Restart(at)) = (&self.last, &mut self.beside, self.then) {
            // It has had its time.
            beside.hurry(at);
        }
        match (self.last, &self.beside) {
            (Last::Gone(gone), None) => conclude(&gone, self.then, turn),
            (Last::Leaving(departure), None)
                if is_refusal(event, &departure) && self.then == Then::Replace && departure.may_serve() =>
            {
                State::Serving(Incumbent::again(departure.generation, turn))
            }
            (last, _) => State::Departing(Self { last, ..self }),
        }
    }

    /// Why there is no recycle now.
    fn answer(&self) -> Answer {
        match self.then {
            Then::Replace | Then::Restart(_) => Answer::Busy,
            Then::Exit => Answer::Nobody,
        }
    }

    fn signal(&mut self, signal: Signal, turn: &mut Turn<'_>) {
        let ends = signal.asks_for_the_end() && self.then != Then::Exit;
        if ends {
            let left = match &self.last {
                Last::Leaving(last) => Some(last),
                Last::Gone(_) => self.beside.as_ref(),
            };
            let grace = left.map(|departure| departure.grace_left(turn.now)).unwrap_or_default();
            turn.log(Notice::Stopping { signal, grace });
            self.then = Then::Exit;
        }
        let Last::Leaving(last) = &mut self.last else {
            return turn.log(Notice::SignalDropped { signal });
        };
        if ends {
            last.cause = Cause::Stopped;
        }
        last.signal(signal, turn);
    }
}

impl Then {
    /// What comes after the only generation whose leader has ended by itself.
    pub(super) fn after(generation: &Generation, outcome: &Outcome, turn: &mut Turn<'_>) -> Self {
        let status = match outcome {
            Outcome::Ended(status) => *status,
            Outcome::NeverRan(SpawnError { cause: SpawnCause::Resources, .. })
                if *turn.stopping == Stop::NotAsked =>
            {
                return Self::Replace;
            }
            Outcome::NeverRan(_) => return Self::Exit,
        };
        let failed = turn.policy.expected.code(status.code()) != 0;
        let wanted = match turn.policy.restart {
            Restart::Never => false,
            Restart::OnFailure => failed,
            Restart::Always => true,
        };
        if !wanted || generation.fate == Fate::AskedToEnd || *turn.stopping != Stop::NotAsked {
            return Self::Exit;
        }
        match turn.ends.another(turn.now, turn.policy.restart_limit) {
            Next::Again(pause) => {
                turn.log(Notice::Restarting { pause });
                Self::Restart(turn.now + pause)
            }
            Next::GiveUp(ends) => {
                turn.log(Notice::GaveUp { ends, window: turn.policy.restart_limit.window });
                Self::Exit
            }
        }
    }
}

fn is_refusal(event: &Event, departure: &Departure) -> bool {
    *event == Event::KillRefused { id: departure.generation.id }
}

/// It is gone: the end, the next generation, or another try at one that something was short for.
fn conclude(Gone { generation, rest, until }: &Gone, then: Then, turn: &mut Turn<'_>) -> State {
    match (then, rest) {
        (Then::Restart(at), Rest::Reaped(Outcome::Ended(_))) => {
            let start = Start { id: turn.next_id(), slot: generation.slot, failures: 0 };
            State::Waiting { start, until: at }
        }
        (Then::Replace, Rest::Reaped(Outcome::Ended(_))) => turn.spawn_next(generation.slot),
        (Then::Replace, Rest::Reaped(Outcome::NeverRan(SpawnError { cause: SpawnCause::Resources, .. }))) => {
            let failures = generation.failures.saturating_add(1);
            // What hangs has its number for as long as it does.
            let id = if turn.left.contains(&generation.id) { turn.next_id() } else { generation.id };
            let start = Start { id, slot: generation.slot, failures };
            State::Waiting { start, until: turn.now + backoff(failures) }
        }
        // What hangs cannot be replaced, as what it holds cannot be had: the end of the container is what is left.
        (Then::Replace | Then::Restart(_), Rest::Reaped(Outcome::NeverRan(_)) | Rest::Hangs)
        | (Then::Exit, _) => Sweep::begin(turn.policy.expected.code(rest.code()), *until, turn),
    }
}
