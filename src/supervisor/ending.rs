//! Nobody serves any more: the last generation departs, with another one beside it if a handover was under way, and then
//! the next generation or the end follows.

use super::action::Answer;
use super::departure::{Departure, Gone, Rest};
use super::event::{Event, Outcome, Signal, SpawnCause, SpawnError};
use super::generation::Generation;
use super::notice::{Cause, Notice};
use super::restart::backoff;
use super::serving::Incumbent;
use super::turn::Turn;
use super::{Start, State, Usr2};
use std::time::Instant;

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
    /// The end of ostler.
    Exit,
}

impl Ending {
    pub(super) fn alone(last: Departure, then: Then) -> State {
        State::Departing(Self { last: Last::Leaving(last), beside: None, then })
    }

    /// Both go, and `last`'s exit status is the one that counts.
    pub(super) fn both(last: Departure, beside: Departure) -> State {
        State::Departing(Self { last: Last::Leaving(last), beside: Some(beside), then: Then::Exit })
    }

    /// The only generation's leader has died by itself.
    pub(super) fn by_itself(generation: Generation, outcome: Outcome, turn: &mut Turn<'_>) -> State {
        let (then, notice) = match &outcome {
            Outcome::Ended(_) => (Then::Exit, generation.ended(turn.now, outcome.clone(), Cause::ByItself)),
            Outcome::NeverRan(error) => {
                let (then, retry_in) = match error.cause {
                    SpawnCause::Resources => {
                        (Then::Replace, Some(backoff(generation.failures.saturating_add(1))))
                    }
                    SpawnCause::NotFound | SpawnCause::NotExecutable => (Then::Exit, None),
                };
                (then, Notice::SpawnFailed { id: generation.id, error: error.clone(), retry_in })
            }
        };
        Self::alone(Departure::dead(generation, outcome, notice, turn), then)
    }

    /// The generation whose end is waited for.
    #[cfg(test)]
    pub(super) fn last(&self) -> &Generation {
        match &self.last {
            Last::Leaving(departure) => &departure.generation,
            Last::Gone(gone) => &gone.generation,
        }
    }

    #[cfg(test)]
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
            turn.refuse(Some(*client), self.answer());
        }
        if let Event::Signal(signal) = event {
            match (*signal, turn.policy.usr2) {
                (Signal::USR2, Usr2::Recycle) => turn.refuse(None, self.answer()),
                (signal, Usr2::Recycle | Usr2::Forwarded) => self.signal(signal, turn),
            }
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
            Then::Replace => Answer::Busy,
            Then::Exit => Answer::Nobody,
        }
    }

    fn signal(&mut self, signal: Signal, turn: &mut Turn<'_>) {
        let Last::Leaving(last) = &mut self.last else {
            return turn.log(Notice::SignalDropped { signal });
        };
        if signal.asks_for_the_end() && self.then == Then::Replace {
            turn.log(Notice::Stopping { signal, grace: last.grace_left(turn.now) });
            self.then = Then::Exit;
            last.cause = Cause::Stopped;
        }
        last.signal(signal, turn);
    }
}

fn is_refusal(event: &Event, departure: &Departure) -> bool {
    *event == Event::KillRefused { id: departure.generation.id }
}

/// It is gone: the end, the next generation, or another try at one that something was short for.
fn conclude(Gone { generation, rest }: &Gone, then: Then, turn: &mut Turn<'_>) -> State {
    match (then, rest) {
        (Then::Replace, Rest::Reaped(Outcome::Ended(_))) => turn.spawn_next(generation.slot),
        (Then::Replace, Rest::Reaped(Outcome::NeverRan(SpawnError { cause: SpawnCause::Resources, .. }))) => {
            let failures = generation.failures.saturating_add(1);
            // What hangs has its number for as long as it does.
            let id = if turn.left.contains(&generation.id) { turn.next_id() } else { generation.id };
            let start = Start { id, slot: generation.slot, failures };
            State::Waiting { start, until: turn.now + backoff(failures) }
        }
        // What hangs cannot be replaced, as what it holds cannot be had: the end of the container is what is left.
        (Then::Replace, Rest::Reaped(Outcome::NeverRan(_)) | Rest::Hangs) | (Then::Exit, _) => {
            turn.exit(turn.policy.expected.code(rest.code()))
        }
    }
}
