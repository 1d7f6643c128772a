//! The pure room: facts and the time in, orders out. It makes no system call and reads no clock.
//!
//! ```text
//! Waiting ⇄ Spawning ──▶ Serving ◀───────────────────────────────┐
//!                        │  │  ▲ no process to be had            │ the other one is gone
//!                        │  ▼  │                                 │
//!                        │  HandingOver ──ready, or failed──▶ Retiring
//!                        │  │                                 │
//!    restart, SIGTERM,   ▼  ▼ SIGTERM                         ▼ SIGTERM
//!    leader dead         Departing ──▶ the next start, or Sweeping ──▶ Ended
//! ```
//!
//! `Searching` is Serving without a leader, while a pid file is to name another. docs/states.svg has all of it.

mod action;
mod budget;
mod cores;
mod delay;
mod departure;
mod disk;
mod ending;
mod event;
mod generation;
mod handover;
mod history;
mod meaning;
mod memory;
mod notice;
mod policy;
mod publishing;
mod readiness;
mod restart;
mod retiring;
mod search;
mod serving;
mod silence;
mod starting;
mod status;
mod sweep;
mod terms;
mod turn;
mod watch;
mod workers;

pub use action::{Action, Answer, Command, Page, Target};
pub use budget::{Budget, Limits, RecycleReason};
pub use disk::{DiskUse, Grown, Search as DiskSearch};
pub use event::Event;
pub use history::{Course, PastRecycle, Totals};
pub use meaning::{Meaning, Meanings};
pub use notice::{Cause, Notice};
pub use policy::{Expected, Follow, Policy, Ready, Recipient, Recycle, Restart, RestartLimit, Workers};
pub use readiness::Lack;
pub use silence::Cure;
pub use status::{Certainty, Next, Phase, Portrait, Role, Spending, Status, Trouble};
pub use terms::{
    Client, Core, Door, ExitStatus, GenerationId, Kin, Left, Outcome, Pid, Queue, Sight, Signal, Slot,
    SpawnCause, SpawnError, View, Worker,
};
pub use workers::Manner;

use cores::Cores;
use delay::Stop;
use disk::Disk;
use ending::Ending;
use fastrand::Rng;
use handover::{Handover, Successor};
use history::History;
use publishing::Publishing;
use restart::{Ends, Steering};
use retiring::Retirement;
use search::Search;
use serving::Incumbent;
use silence::Silence;
use starting::{Start, while_spawning, while_waiting};
use std::collections::VecDeque;
use std::mem;
use std::time::Instant;
use sweep::Sweep;
use turn::Turn;

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    random: Rng,
    state: State,
    last_id: GenerationId,
    /// See `Turn::left`.
    left: Vec<GenerationId>,
    /// See `Turn::too_big`.
    too_big: u32,
    silence: Silence,
    stopping: Stop,
    ends: Ends,
    cores: Cores,
    disk: Disk,
    publishing: Publishing,
    history: History,
    began: Instant,
    steering: Steering,
    /// A start was ordered and is not answered yet; what else is told meanwhile comes after the answer.
    unanswered: Option<GenerationId>,
    deferred: VecDeque<Event>,
}

#[derive(Debug)]
enum State {
    /// Nothing runs; a start is due at `until`.
    Waiting { start: Start, until: Instant },
    /// A start with nobody beside it was ordered.
    Spawning(Start),
    /// The incumbent serves.
    Serving(Incumbent),
    /// The incumbent serves, and a successor gets ready.
    HandingOver(Handover, Successor),
    /// The incumbent serves, and another generation goes.
    Retiring(Retirement),
    /// The incumbent's leader has ended well, and a pid file is to name another.
    Searching(Search),
    /// Nobody serves: the last generation stops.
    Departing(Ending),
    /// No generation is left, and all others are to end too.
    Sweeping(Sweep),
    /// `Exit` has been ordered.
    Ended,
}

impl Supervisor {
    /// A supervisor that wants to start its first generation at `now`. `seed` is where all jitter comes from.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Instant) -> Self {
        let start = Start { id: GenerationId(1), slot: Slot::A, failures: 0 };
        let cores = Cores::new(policy.cores, now);
        let disk = Disk::new(policy.disk_warn, now);
        let publishing = Publishing::new(policy.metrics, now);
        Self {
            silence: Silence::new(policy.cure.as_ref(), now),
            too_big: 0,
            policy,
            random: Rng::with_seed(seed),
            state: State::Waiting { start, until: now },
            last_id: start.id,
            left: Vec::new(),
            stopping: Stop::default(),
            ends: Ends::default(),
            cores,
            disk,
            publishing,
            history: History::default(),
            began: now,
            steering: Steering::default(),
            unanswered: None,
            deferred: VecDeque::new(),
        }
    }

    /// The time from which on a `Tick` is wanted. `None`: not until something else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Serving(incumbent) => {
                let own = incumbent.deadline(&self.policy, &self.left);
                own.into_iter().chain(self.silence.deadline()).min()
            }
            State::HandingOver(_, successor) => successor.deadline(),
            State::Retiring(retirement) => Some(retirement.deadline()),
            State::Searching(search) => Some(search.deadline()),
            State::Departing(ending) => ending.deadline(),
            State::Sweeping(sweep) => Some(sweep.deadline()),
            State::Spawning(_) | State::Ended => None,
        };
        let steer =
            self.steering.again.filter(|_| self.state.incumbent().is_some() && self.unanswered.is_none());
        let stop = self
            .stopping
            .deadline()
            .filter(|_| self.state.incumbent().is_some() && self.unanswered.is_none());
        let rounds = [self.cores.deadline(), self.disk.deadline(), self.publishing.deadline()];
        own.into_iter().chain(steer).chain(stop).chain(rounds.into_iter().flatten()).min()
    }

    /// Takes one fact and answers with what is to be done, in order.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        self.cores.note(&event, now);
        let mut orders = self.make_rounds(now);
        orders.extend(self.answer(now, event));
        if let Some(end) = orders.iter().position(|order| matches!(order, Action::Exit(_)))
            && self.publishing.is_wanted()
        {
            // What has come since the last time is not to be lost.
            orders.insert(end, Action::Publish(Box::new(self.status(now))));
        }
        orders
    }

    /// What is to be done now and then, whatever else goes on.
    fn make_rounds(&mut self, now: Instant) -> Vec<Action> {
        if let State::Ended = self.state {
            return Vec::new();
        }
        let publish = self.publishing.is_due(now).then(|| Action::Publish(Box::new(self.status(now))));
        [self.cores.order(now), self.disk.order(now), publish].into_iter().flatten().collect()
    }

    fn answer(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match (&event, self.unanswered) {
            (Event::CoresTidied { left, deleted, stuck }, _) => {
                return self.kept_in_mind(cores::tell(left, deleted, stuck), now);
            }
            (Event::DiskSeen { .. } | Event::GrownSearched { .. }, _) => {
                return self.disk.answered(&event, now);
            }
            (Event::PageAsked { .. }, _) if matches!(self.state, State::Ended) => return Vec::new(),
            (Event::PageAsked { client, page }, _) => {
                let status = Box::new(self.status(now));
                return vec![Action::Show { client: *client, page: *page, status }];
            }
            (Event::OrphansReaped { dead }, _) => {
                if let State::Sweeping(sweep) = &mut self.state {
                    sweep.look_soon(now);
                }
                let told = Notice::OrphansReaped { dead: dead.clone() };
                return self.kept_in_mind(vec![Action::Log(told)], now);
            }
            (Event::Spawned { id, .. } | Event::SpawnFailed { id, .. }, Some(ordered)) if *id == ordered => {
                self.unanswered = None;
            }
            (Event::FolderWritten, _) | (Event::Tick, Some(_)) => return Vec::new(),
            (_, Some(_)) => {
                self.deferred.push_back(event);
                return Vec::new();
            }
            (_, None) => {}
        }
        let mut orders = self.understand(now, event);
        while self.unanswered.is_none()
            && !matches!(self.state, State::Ended)
            && let Some(event) = self.deferred.pop_front()
        {
            orders.extend(self.understand(now, event));
        }
        orders
    }

    /// Takes a signal for what it is to mean, and the end of the drain delay for another SIGTERM.
    fn understand(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if event == Event::Tick
            && self.state.incumbent().is_some()
            && self.stopping.deadline().is_some_and(|until| now >= until)
        {
            return self.decide(now, &Event::Signal(Signal::TERM));
        }
        let Event::Signal(signal) = event else { return self.decide(now, &event) };
        let rewritten = |to| Action::Log(Notice::SignalRewritten { signal, to });
        let (event, told) = match self.policy.signals.of(signal) {
            _ if matches!(self.state, State::Ended) => return Vec::new(),
            Meaning::Itself => (event, None),
            Meaning::Other(other) => {
                (Event::Signal(other), (other != signal).then(|| rewritten(Some(other))))
            }
            Meaning::Nothing => return vec![rewritten(None)],
            Meaning::Recycle => (Event::Asked { client: None, command: Command::Recycle }, None),
        };
        told.into_iter().chain(self.decide(now, &event)).collect()
    }

    fn decide(&mut self, now: Instant, event: &Event) -> Vec<Action> {
        if let State::Ended = self.state {
            return Vec::new();
        }
        self.history.happened(event);
        let mut turn = Turn {
            now,
            policy: &self.policy,
            random: &mut self.random,
            last_id: &mut self.last_id,
            left: &mut self.left,
            too_big: &mut self.too_big,
            silence: &mut self.silence,
            stopping: &mut self.stopping,
            ends: &mut self.ends,
            orders: Vec::new(),
        };
        note(event, &mut turn);
        self.state = match mem::replace(&mut self.state, State::Ended) {
            State::Waiting { start, until } => while_waiting(start, until, event, &mut turn),
            State::Spawning(start) => while_spawning(start, event, &mut turn),
            State::Serving(incumbent) => incumbent.step(event, &mut turn),
            State::HandingOver(handover, successor) => handover.step(successor, event, &mut turn),
            State::Retiring(retirement) => retirement.step(event, &mut turn),
            State::Searching(search) => search.step(event, &mut turn),
            State::Departing(ending) => ending.step(event, &mut turn),
            State::Sweeping(sweep) => sweep.step(event, &mut turn),
            State::Ended => State::Ended,
        };
        let mut orders = turn.orders;
        if let Event::SteerFailed { .. } = event {
            self.steering.failed(now);
        }
        self.remember(&orders);
        if *event == Event::Tick
            && let Some(incumbent) = self.state.incumbent()
            && self.steering.again.take_if(|at| now >= *at).is_some()
        {
            orders.push(Action::Steer(incumbent.slot()));
        }
        self.kept_in_mind(orders, now)
    }

    fn kept_in_mind(&mut self, orders: Vec<Action>, now: Instant) -> Vec<Action> {
        self.history.told(&orders, self.policy.recycle, now);
        orders
    }

    /// What an order means for what may be done next.
    fn remember(&mut self, orders: &[Action]) {
        for order in orders {
            match order {
                Action::Spawn { id, .. } => self.unanswered = Some(*id),
                Action::Steer(_) => self.steering = Steering::default(),
                Action::Kill { .. }
                | Action::Reap(_)
                | Action::Follow { .. }
                | Action::SeekHeir(_)
                | Action::WatchWorkers(_)
                | Action::Sweep(_)
                | Action::TidyCores(_)
                | Action::Look(_)
                | Action::CheckDrain(_)
                | Action::CheckQueue(_)
                | Action::Measure { .. }
                | Action::CountConnections
                | Action::Shed(_)
                | Action::Answer { .. }
                | Action::Show { .. }
                | Action::Publish(_)
                | Action::LookAtDisk
                | Action::SearchGrown
                | Action::Log(_)
                | Action::Exit(_) => {}
            }
        }
    }
}

impl State {
    /// Who serves.
    fn incumbent(&self) -> Option<&Incumbent> {
        match self {
            Self::Serving(incumbent) => Some(incumbent),
            Self::HandingOver(handover, _) => Some(&handover.incumbent),
            Self::Retiring(retirement) => Some(&retirement.incumbent),
            Self::Waiting { .. }
            | Self::Spawning(_)
            | Self::Searching(_)
            | Self::Departing(_)
            | Self::Sweeping(_)
            | Self::Ended => None,
        }
    }
}

/// What is the same in every state.
fn note(event: &Event, turn: &mut Turn<'_>) {
    // What SIGKILL had not ended has ended after all.
    if let Event::Exited { id, .. } = event
        && turn.left.contains(id)
    {
        turn.order(Action::Reap(*id));
    }
    if let Event::GroupGone { id } = event {
        turn.left.retain(|left| left != id);
    }
    if let Event::RequestsServed { .. } = event {
        turn.silence.is_broken();
    }
    if let Event::Shed { connections } = event {
        turn.log(Notice::ConnectionsShed { connections: *connections });
    }
    if let Event::OutputDropped { lines } = event {
        turn.log(Notice::OutputDropped { lines: *lines });
    }
    if let Event::SteerFailed { message } = event {
        turn.log(Notice::SteerFailed { message: message.clone() });
    }
}

#[cfg(test)]
mod tests;
