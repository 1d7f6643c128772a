//! A supervisor in virtual time, its orders and states in words, and the shortest way to each state.

use super::super::*;

pub(super) const HUP: Signal = Signal(1);

/// A supervisor in virtual time.
pub(super) struct Story {
    supervisor: Supervisor,
    origin: Instant,
    pub(super) now: Duration,
}

/// Five requests a generation, at least 30 s each, 25 s of grace.
pub(super) const POLICY: Policy = Policy {
    budget: Budget { requests: Some(5), requests_jitter: 0 },
    min_age: Duration::from_secs(30),
    grace_period: Duration::from_secs(25),
    recipient: Recipient::Leader,
};

impl Story {
    pub(super) fn new(policy: Policy) -> Self {
        let origin = Instant::now();
        Self { supervisor: Supervisor::new(policy, 1, origin), origin, now: Duration::ZERO }
    }

    /// Lets an event happen and tells the orders.
    pub(super) fn step(&mut self, millis: u64, event: Event) -> String {
        self.now = Duration::from_millis(millis);
        let orders = self.supervisor.step(self.origin + self.now, event);
        orders.iter().map(order).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn after(mut self, millis: u64, event: Event) -> Self {
        self.step(millis, event);
        self
    }

    pub(super) fn state(&self) -> String {
        let state = match &self.supervisor.state {
            State::Waiting { id, .. } => format!("waiting to start {id}"),
            State::Spawning { id, .. } => format!("spawning {id}"),
            State::Serving(generation) => format!("serving {}", generation.id),
            State::Departing(departure) => match departure.then {
                Then::Replace => format!("recycling {}", departure.generation.id),
                Then::Exit => format!("stopping {}", departure.generation.id),
            },
            State::Ended => "ended".into(),
        };
        match self.supervisor.deadline() {
            Some(deadline) => format!("{state} until {:?}", deadline - self.origin),
            None => state,
        }
    }
}

fn order(action: &Action) -> String {
    match action {
        Action::Spawn(id) => format!("spawn {id}"),
        Action::Kill { target: Target::Leader(id), signal } => format!("{} to leader {id}", name(*signal)),
        Action::Kill { target: Target::Group(id), signal } => format!("{} to group {id}", name(*signal)),
        Action::Reap(id) => format!("reap {id}"),
        Action::Log(notice) => format!("[{}]", words(notice)),
        Action::Exit(code) => format!("exit {code}"),
    }
}

fn words(notice: &Notice) -> String {
    match notice {
        Notice::GenerationStarted { id, pid, max_requests } => {
            format!("{id} is process {} for {}", pid.0, max_requests.map_or("ever".into(), |n| n.to_string()))
        }
        Notice::SpawnFailed { id, retry_in: Some(pause), .. } => {
            format!("{id} not started, again in {pause:?}")
        }
        Notice::SpawnFailed { id, retry_in: None, .. } => format!("{id} not started"),
        Notice::RecycleStarted { id, reason: RecycleReason::Requests { used, limit }, age } => {
            format!("{id} spent {used} of {limit} in {age:?}")
        }
        Notice::GenerationEnded { id, outcome, cause, requests, age } => {
            format!("{id} {cause:?} with {}: {requests} in {age:?}", outcome.code())
        }
        Notice::Stopping { signal, grace } => format!("{} stops all in {grace:?}", name(*signal)),
        Notice::GraceExpired { id } => format!("grace of {id} over"),
        Notice::GroupLeft { id } => format!("group of {id} left"),
        Notice::SignalForwarded { signal } => format!("{} forwarded", name(*signal)),
        Notice::SignalRefused { id } => format!("{id} refuses signals"),
        Notice::SignalDropped { signal } => format!("{} dropped", name(*signal)),
        Notice::OrphanReaped { pid, .. } => format!("orphan {}", pid.0),
    }
}

fn name(signal: Signal) -> String {
    match signal {
        HUP => "HUP".into(),
        Signal::INT => "INT".into(),
        Signal::QUIT => "QUIT".into(),
        Signal::KILL => "KILL".into(),
        Signal::TERM => "TERM".into(),
        Signal::CONT => "CONT".into(),
        Signal(number) => number.to_string(),
    }
}

pub(super) const TERM: Event = Event::Signal(Signal::TERM);
pub(super) const TICK: Event = Event::Tick;

pub(super) fn spawned(id: u32) -> Event {
    Event::Spawned { id: GenerationId(id), pid: Pid(100 + id.cast_signed()) }
}

fn error(cause: SpawnCause) -> SpawnError {
    SpawnError { cause, message: "so it is".into() }
}

pub(super) fn spawn_failed(id: u32) -> Event {
    Event::SpawnFailed { id: GenerationId(id), error: error(SpawnCause::Resources) }
}

pub(super) fn exited(id: u32, code: u8) -> Event {
    Event::Exited { id: GenerationId(id), outcome: Outcome::Ended(ExitStatus::Exited(code)) }
}

pub(super) fn killed(id: u32) -> Event {
    Event::Exited { id: GenerationId(id), outcome: Outcome::Ended(ExitStatus::Signaled(Signal::KILL)) }
}

pub(super) fn never_ran(id: u32, cause: SpawnCause) -> Event {
    Event::Exited { id: GenerationId(id), outcome: Outcome::NeverRan(error(cause)) }
}

pub(super) fn gone(id: u32) -> Event {
    Event::GroupGone { id: GenerationId(id) }
}

pub(super) fn refused(id: u32) -> Event {
    Event::KillRefused { id: GenerationId(id) }
}

pub(super) fn served(id: u32, count: u64) -> Event {
    Event::RequestsServed { id: GenerationId(id), count }
}

pub(super) fn orphan() -> Event {
    Event::OrphanReaped { pid: Pid(77), status: ExitStatus::Exited(0) }
}

// The states, each with the shortest way to it.

pub(super) fn new() -> Story {
    Story::new(POLICY)
}

pub(super) fn spawning() -> Story {
    new().after(0, TICK)
}

pub(super) fn failed() -> Story {
    spawning().after(0, spawn_failed(1))
}

pub(super) fn serving() -> Story {
    spawning().after(0, spawned(1))
}

/// Its budget is spent, but it is too young.
pub(super) fn spent() -> Story {
    serving().after(10_000, served(1, 5))
}

pub(super) fn recycling() -> Story {
    spent().after(30_000, TICK)
}

pub(super) fn recycling_reaped() -> Story {
    recycling().after(32_000, exited(1, 0))
}

pub(super) fn recycling_killed() -> Story {
    recycling().after(55_000, TICK)
}

/// Recycled once: generation 2 serves since 33 s.
pub(super) fn second() -> Story {
    recycling_reaped().after(33_000, gone(1)).after(33_000, spawned(2))
}

/// There was a process, but no memory to execute the program.
pub(super) fn short() -> Story {
    serving().after(1_000, never_ran(1, SpawnCause::Resources))
}

pub(super) fn stopping() -> Story {
    serving().after(40_000, TERM)
}

pub(super) fn stopping_reaped() -> Story {
    stopping().after(41_000, exited(1, 3))
}

pub(super) fn stopping_killed() -> Story {
    stopping().after(65_000, TICK)
}

pub(super) fn by_itself() -> Story {
    serving().after(40_000, exited(1, 3))
}

pub(super) fn ended() -> Story {
    new().after(0, TERM)
}
