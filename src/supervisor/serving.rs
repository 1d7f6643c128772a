//! The incumbent: it serves until it is told to stop, dies, or is to be recycled, because a budget is spent, because it
//! hangs, or because somebody asks for it.

use super::action::{Action, Answer, Command};
use super::budget::{RecycleReason, until_spent};
use super::delay::{Pace, Stop};
use super::departure::Departure;
use super::ending::{Ending, Then};
use super::event::Event;
use super::generation::{Fate, Generation};
use super::handover::Handover;
use super::memory::{Gauge, Verdict};
use super::notice::{Cause, Notice};
use super::restart::retry;
use super::search::Search;
use super::silence::Silence;
use super::status::{Certainty, Next, Spending};
use super::terms::{Client, GenerationId, Pid, Signal, Slot, View};
use super::turn::Turn;
use super::watch::Watch;
use super::workers::Workers;
use super::{Policy, Recycle, State};
use std::time::{Duration, Instant};

/// How long a successor is taken to need until it serves, where none was seen yet.
const ASSUMED: Duration = Duration::from_millis(2500);

/// Whoever holds too much memory so soon after it serves has done so from the beginning.
const FRESH: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Incumbent {
    pub(super) generation: Generation,
    /// So many handovers in a row have failed, and the next one is not tried before then.
    failures: u32,
    not_before: Instant,
    watch: Watch,
    memory: Gauge,
    workers: Workers,
    /// The memory budget recycles it not before then.
    too_big_until: Instant,
}

impl Incumbent {
    /// The first generation, or one that was started with nobody beside it: it serves before it is known to.
    pub(super) fn first(generation: Generation, turn: &Turn<'_>) -> Self {
        let serves_from = turn.now + turn.policy.ready_timeout;
        Self::new(generation, turn.now, serves_from, turn)
    }

    /// A successor that is ready, or a generation that serves on.
    pub(super) fn again(generation: Generation, turn: &Turn<'_>) -> Self {
        Self::new(generation, turn.now, turn.now, turn)
    }

    /// One that replaces its processes by itself: for a while it holds the memory of both.
    fn reloaded(generation: Generation, turn: &Turn<'_>) -> Self {
        let measured_from = turn.now + turn.policy.grace_period;
        Self::new(generation, measured_from, turn.now + turn.policy.ready_timeout, turn)
    }

    fn new(generation: Generation, measured_from: Instant, serves_from: Instant, turn: &Turn<'_>) -> Self {
        let watch = Watch::new(turn.policy, serves_from);
        let memory = Self::gauge(&generation, measured_from, serves_from, turn);
        let workers = Workers::new(turn.policy.workers, turn.now);
        Self {
            generation,
            failures: 0,
            not_before: turn.now,
            watch,
            memory,
            workers,
            too_big_until: turn.now,
        }
    }

    fn gauge(
        generation: &Generation,
        measured_from: Instant,
        serves_from: Instant,
        turn: &Turn<'_>,
    ) -> Gauge {
        let fresh = turn.policy.min_age.max(FRESH);
        // A successor boots beside a server at work, and so may take longer than this one did.
        let boot = generation.ready_after.unwrap_or(ASSUMED).saturating_mul(2);
        let to_replace = boot.saturating_add(turn.policy.linger);
        Gauge::new(generation.limits.memory, measured_from, serves_from, fresh, to_replace)
    }

    pub(super) fn slot(&self) -> Slot {
        self.generation.slot
    }

    /// What hangs in the kernel may hold what a successor needs: while `left` is not empty nothing is recycled.
    pub(super) fn deadline(&self, policy: &Policy, left: &[GenerationId]) -> Option<Instant> {
        let due = self.due(policy).map(|(at, _)| at).filter(|_| left.is_empty());
        let looks = [self.watch.deadline(), self.memory.deadline(), self.workers.deadline()];
        due.into_iter().chain(looks.into_iter().flatten()).min()
    }

    /// When the first budget calls for a recycle that does, and which.
    fn due(&self, policy: &Policy) -> Option<(Instant, RecycleReason)> {
        let Generation { started, limits, fate, .. } = &self.generation;
        if *fate != Fate::Replaceable {
            return None;
        }
        let from = self.may_recycle_from(policy);
        let requests = self.generation.requests_spent().map(|reason| (from, reason));
        let memory = self.memory.spent().zip(limits.memory);
        let memory =
            memory.map(|(used, limit)| (from.max(self.too_big_until), RecycleReason::Memory { used, limit }));
        let age = limits.age.map(|limit| (from.max(*started + limit), RecycleReason::Age { limit }));
        [requests, memory, age].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Takes in how much memory it holds. One that has too much as soon as it has
    /// started is no leak that a recycle cures: each next one of them waits longer.
    fn measured(&mut self, bytes: u64, shared: Option<u64>, view: View, cost: Duration, turn: &mut Turn<'_>) {
        let Generation { id, started, limits, .. } = &self.generation;
        let Some(limit) = limits.memory else { return };
        if self.memory.is_newly_unclear(view) {
            turn.log(Notice::MemoryUnclear { id: *id });
        }
        match self.memory.measured(bytes, shared, limit, cost, turn.now) {
            Verdict::AsBefore => {}
            Verdict::Fits | Verdict::Spent => *turn.too_big = 0,
            Verdict::TooSmall => {
                if *turn.too_big == 0 {
                    turn.log(Notice::MemoryBudgetSmall { id: *id, used: bytes, limit });
                }
                *turn.too_big = turn.too_big.saturating_add(1);
                self.too_big_until = *started + retry(turn.policy.min_age, *turn.too_big);
            }
        }
    }

    /// No budget and no watchdog recycles it before.
    fn may_recycle_from(&self, policy: &Policy) -> Instant {
        (self.generation.started + policy.min_age).max(self.not_before)
    }

    /// A handover to a successor has failed. When is the next one tried, if something still calls for one?
    pub(super) fn failed(&mut self, reason: &RecycleReason, turn: &Turn<'_>) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let pause = retry(turn.policy.min_age, self.failures);
        self.not_before = turn.now + pause;
        match reason {
            RecycleReason::Hung(_) => Some(pause),
            RecycleReason::Requests { .. }
            | RecycleReason::Age { .. }
            | RecycleReason::Memory { .. }
            | RecycleReason::Command => {
                self.due(turn.policy).map(|(at, _)| at.saturating_duration_since(turn.now))
            }
        }
    }

    /// How many handovers in a row have failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Bytes, by the last measurement.
    pub(super) fn memory_used(&self) -> Option<u64> {
        self.memory.used()
    }

    /// Which budget will be spent first if it goes on like this, and when.
    pub(super) fn next_recycle(&self, policy: &Policy, now: Instant) -> Next {
        let Generation { started, limits, .. } = &self.generation;
        let age = self.generation.age(now);
        let requests = limits.requests.map(|limit| until_spent(self.generation.requests(), limit, age));
        let requests = requests.flatten().map(|left| (Spending::Requests, left, Certainty::Estimate));
        let left = |at: Instant| at.saturating_duration_since(now);
        let old = limits.age.map(|limit| (Spending::Age, left(*started + limit), Certainty::Exact));
        let memory = limits.memory.and_then(|limit| self.memory.full_in(limit, now));
        let memory = memory.map(|left| (Spending::Memory, left, Certainty::Estimate));
        let first = [requests, old, memory].into_iter().flatten().min_by_key(|(_, left, _)| *left);
        let has_budget = limits.requests.is_some() || limits.age.is_some() || limits.memory.is_some();
        match first {
            Some((spending, within, certainty)) => {
                Next::Within(spending, within.max(left(self.may_recycle_from(policy))), certainty)
            }
            None if has_budget => Next::Unknown,
            None => Next::NoBudget,
        }
    }

    /// What concerns it alone, in every state in which it serves.
    pub(super) fn take_in(&mut self, event: &Event, turn: &mut Turn<'_>) {
        if let Event::RequestsServed { id, count } = event {
            self.generation.count(*id, *count);
        }
        if let Event::WorkersWatched { id, new } = event
            && *id == self.generation.id
        {
            self.workers.found(new, turn);
        }
        if let Event::WorkerEnded { id, pid, status } = event
            && *id == self.generation.id
        {
            self.workers.ended(*id, *pid, *status, turn);
        }
        if *event == (Event::KillRefused { id: self.generation.id }) {
            self.generation.refused(turn);
        }
    }

    /// Passes on a signal other than SIGTERM. What asks for the
    /// end may take its time, and must not be replaced meanwhile.
    pub(super) fn signal(&mut self, signal: Signal, turn: &mut Turn<'_>) {
        turn.forward(self.generation.id, signal);
        self.workers.stir(turn);
        if signal.asks_for_the_end() {
            self.generation.fate = Fate::AskedToEnd;
        }
    }

    /// Its leader has died and left its place to another process of its group.
    pub(super) fn follow(&mut self, heir: Pid, turn: &mut Turn<'_>) {
        let generation = &mut self.generation;
        let (id, requests, age) = (generation.id, generation.requests(), generation.age(turn.now));
        turn.order(Action::Follow { id, heir });
        turn.log(Notice::LeaderFollowed { id, pid: heir, requests, age });
        // It is another process: whether it hears is not known, but that it is to end soon is.
        generation.fate = match *turn.stopping {
            Stop::NotAsked => Fate::Replaceable,
            Stop::Delayed(_) | Stop::Asked => Fate::AskedToEnd,
        };
        generation.renew(turn);
        self.memory = Self::gauge(generation, turn.now, turn.now, turn);
        self.too_big_until = turn.now;
        self.workers.stir(turn);
    }

    pub(super) fn step(mut self, event: &Event, turn: &mut Turn<'_>) -> State {
        self.take_in(event, turn);
        let own = self.generation.id;
        match event {
            Event::Signal(Signal::TERM) => {
                if turn.asked_to_stop() == Pace::Later {
                    self.generation.fate = Fate::AskedToEnd;
                    return State::Serving(self);
                }
                turn.stop(Signal::TERM);
                let departure = Departure::told(self.generation, Cause::Stopped, turn);
                return Ending::alone(departure, Then::Exit);
            }
            Event::Signal(signal) => self.signal(*signal, turn),
            Event::Asked { client, command: Command::Recycle } => return self.asked(*client, turn),
            Event::Exited { id, heir: Some(heir), .. } if *id == own => self.follow(*heir, turn),
            Event::Exited { id, outcome, heir: None } if *id == own => {
                if Search::is_called_for(outcome, turn) {
                    return Search::begin(self, outcome.clone(), turn);
                }
                return Ending::by_itself(self.generation, outcome, turn);
            }
            Event::QueueSeen { slot, waiting } if *slot == self.slot() => {
                let hung = self.watch.seen(waiting, turn);
                if let Some(standing) = hung
                    && self.generation.fate == Fate::Replaceable
                    && turn.now >= self.may_recycle_from(turn.policy)
                    && turn.left.is_empty()
                {
                    return self.recycle(RecycleReason::Hung(standing), turn);
                }
            }
            Event::MemoryMeasured { id, bytes, shared, view, cost } if *id == own => {
                self.measured(*bytes, *shared, *view, *cost, turn);
            }
            Event::ConnectionsCounted { total } => Silence::counted(*total, turn),
            Event::Tick => {
                if let Some((at, reason)) = self.due(turn.policy)
                    && turn.now >= at
                    && turn.left.is_empty()
                {
                    return self.recycle(reason, turn);
                }
                self.watch.tick(self.generation.slot, turn);
                self.memory.tick(own, self.generation.limits.memory, turn);
                self.workers.tick(own, turn);
                let asks = turn.silence.tick(turn.now);
                turn.orders.extend(asks);
            }
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::GroupGone { .. }
            | Event::HeirSought { .. }
            | Event::Swept { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::KillRefused { .. }
            | Event::OrphansReaped { .. }
            | Event::RequestsServed { .. }
            | Event::MemoryMeasured { .. }
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
        State::Serving(self)
    }

    /// Somebody wants a recycle: by a command, or by a signal.
    fn asked(self, client: Option<Client>, turn: &mut Turn<'_>) -> State {
        if self.generation.fate != Fate::Replaceable || !turn.left.is_empty() {
            turn.refuse(client, Answer::Nobody);
            return State::Serving(self);
        }
        turn.answer(client, Answer::Started(self.generation.id));
        self.recycle(RecycleReason::Command, turn)
    }

    fn recycle(mut self, reason: RecycleReason, turn: &mut Turn<'_>) -> State {
        let (id, age) = (self.generation.id, self.generation.age(turn.now));
        turn.log(Notice::RecycleStarted { id, reason: reason.clone(), age });
        match turn.policy.recycle {
            Recycle::Handover => Handover::begin(self, reason, turn),
            Recycle::Restart => {
                let departure = Departure::told(self.generation, Cause::Recycled, turn);
                Ending::alone(departure, Then::Replace)
            }
            Recycle::Reload(signal) => {
                let requests = self.generation.requests();
                turn.send(id, signal);
                turn.log(Notice::Reloaded { id, signal, requests });
                self.generation.renew(turn);
                State::Serving(Self::reloaded(self.generation, turn))
            }
        }
    }
}
