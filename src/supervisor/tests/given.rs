//! What the tables are written with: policies, events in short, and the shortest way to each state.

use super::super::*;
use super::story::Story;
use std::time::Duration;

/// Five requests a generation, at least 30 s each, 25 s of grace, and no two at a time.
pub(super) const POLICY: Policy = Policy {
    budget: Budget {
        requests: Some(5),
        requests_jitter: 0,
        age: None,
        age_jitter: Duration::ZERO,
        memory: None,
    },
    min_age: Duration::from_secs(30),
    stop_signal: Signal::TERM,
    drain_delay: Duration::ZERO,
    grace_period: Duration::from_secs(25),
    restart: Restart::Never,
    cores: None,
    metrics: None,
    disk_warn: None,
    restart_limit: RestartLimit { ends: 5, window: Duration::from_mins(1) },
    follow: Follow::Nobody,
    workers: Workers::Unwatched,
    recipient: Recipient::Leader,
    recycle: Recycle::Restart,
    ready: Ready::Accept,
    ready_timeout: Duration::from_mins(1),
    linger: Duration::from_secs(1),
    watchdog: None,
    signals: Meanings::PLAIN,
    expected: Expected::NONE,
    cure: None,
};

/// The same, with a successor that serves before its predecessor stops.
pub(super) const HANDOVER: Policy = Policy { recycle: Recycle::Handover, ..POLICY };

pub(super) const TERM: Event = Event::Signal(Signal::TERM);
pub(super) const INT: Event = Event::Signal(Signal::INT);
pub(super) const QUIT: Event = Event::Signal(Signal::QUIT);
pub(super) const HUP: Event = Event::Signal(Signal::HUP);
pub(super) const USR2: Event = Event::Signal(Signal::USR2);
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

pub(super) fn ended_with(id: u32, status: ExitStatus) -> Event {
    Event::Exited { id: GenerationId(id), outcome: Outcome::Ended(status), heir: None }
}

pub(super) fn exited(id: u32, code: u8) -> Event {
    ended_with(id, ExitStatus::Exited(code))
}

pub(super) fn killed(id: u32) -> Event {
    ended_with(id, ExitStatus::Signaled(Signal::KILL))
}

/// Its leader has put process 77 in its own place.
pub(super) fn succeeded(id: u32) -> Event {
    let outcome = Outcome::Ended(ExitStatus::Exited(0));
    Event::Exited { id: GenerationId(id), outcome, heir: Some(Pid(77)) }
}

pub(super) fn never_ran(id: u32, cause: SpawnCause) -> Event {
    Event::Exited { id: GenerationId(id), outcome: Outcome::NeverRan(error(cause)), heir: None }
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
    Event::OrphansReaped { dead: vec![(Pid(77), ExitStatus::Exited(0))] }
}

pub(super) fn saw(id: u32, door: Door, workers: &[(u64, bool)]) -> Event {
    let workers = workers.iter().map(|(file, beats)| Worker { file: *file, beats: *beats }).collect();
    Event::Looked {
        id: GenerationId(id),
        sight: Sight { door, said_ready: false, workers, view: View::Clear },
    }
}

pub(super) fn ready(id: u32) -> Event {
    saw(id, Door::Open, &[])
}

pub(super) fn closed(id: u32) -> Event {
    saw(id, Door::Closed, &[])
}

pub(super) fn empty(slot: Slot) -> Event {
    Event::DrainChecked { slot, queue: Queue::Empty }
}

pub(super) fn busy(slot: Slot) -> Event {
    Event::DrainChecked { slot, queue: Queue::Waiting }
}

pub(super) fn waiting(slot: Slot, waiting: &[u64]) -> Event {
    Event::QueueSeen { slot, waiting: waiting.to_vec() }
}

pub(super) fn shed() -> Event {
    Event::Shed { connections: 3 }
}

pub(super) fn holds(id: u32, bytes: u64) -> Event {
    held(id, bytes, Duration::ZERO)
}

/// Measuring took so much of a processor.
pub(super) fn held(id: u32, bytes: u64, cost: Duration) -> Event {
    Event::MemoryMeasured { id: GenerationId(id), bytes, shared: None, view: View::Clear, cost }
}

/// It was measured exactly, and the cheaper sum would have been so much more.
pub(super) fn shares(id: u32, bytes: u64, shared: u64, cost: Duration) -> Event {
    let (id, shared) = (GenerationId(id), Some(shared));
    Event::MemoryMeasured { id, bytes, shared, view: View::Clear, cost }
}

pub(super) fn opened(total: u64) -> Event {
    Event::ConnectionsCounted { total }
}

pub(super) fn lines_dropped() -> Event {
    Event::OutputDropped { lines: 9 }
}

pub(super) fn not_steered() -> Event {
    Event::SteerFailed { message: "so it is".into() }
}

/// Client 7 wants a recycle.
pub(super) fn asked() -> Event {
    Event::Asked { client: Some(Client(7)), command: Command::Recycle }
}

// One generation after the other.

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
    serving_by(POLICY)
}

pub(super) fn serving_by(policy: Policy) -> Story {
    Story::new(policy).after(0, TICK).after(0, spawned(1))
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

// Two at a time.

/// Generation 1 serves, its budget not spent.
pub(super) fn alone() -> Story {
    serving_by(HANDOVER)
}

/// Its budget is spent: the start of generation 2 was ordered at 30 s.
pub(super) fn ordered() -> Story {
    alone().after(10_000, served(1, 5)).after(30_000, TICK)
}

/// Generation 2 starts since 30 s.
pub(super) fn starting() -> Story {
    ordered().after(30_000, spawned(2))
}

/// Generation 2 serves since 32 s, and generation 1 what is still its.
pub(super) fn draining() -> Story {
    starting().after(32_000, ready(2))
}

/// Generation 1 was told to stop at 33 s.
pub(super) fn retiring() -> Story {
    draining().after(33_000, empty(Slot::A))
}

/// Its leader ended at 33.5 s.
pub(super) fn retiring_reaped() -> Story {
    retiring().after(33_500, exited(1, 0))
}

/// It got SIGKILL at 58 s.
pub(super) fn retiring_killed() -> Story {
    retiring().after(58_000, TICK)
}

/// Generation 1 serves on: generation 2 was told to stop at 90 s.
pub(super) fn not_ready() -> Story {
    starting().after(30_050, closed(2)).after(90_000, TICK)
}

/// Generation 1 died at 31 s, and generation 2 serves as it is.
pub(super) fn promoted() -> Story {
    starting().after(31_000, exited(1, 3))
}

/// Handed over once: generation 2 serves alone since 34 s.
pub(super) fn handed_over() -> Story {
    retiring_reaped().after(34_000, gone(1))
}

/// Generation 1 hangs, even after SIGKILL: generation 2 serves alone since 63 s.
pub(super) fn left() -> Story {
    retiring_killed().after(63_000, TICK)
}

/// Both were told to stop at 31 s: generation 1 that served, and generation 2 that was being started.
pub(super) fn both_stopping() -> Story {
    starting().after(31_000, TERM)
}
