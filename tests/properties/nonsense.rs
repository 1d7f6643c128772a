//! Events that nobody need have sent, in any order: answers to questions that were never asked among them.

use crate::kernel::Whose;
use crate::life::error;
use crate::scenario::{any_signal, cause, cost, count, status, tens, tenths, whose};
use ostler::supervisor::{
    Client, Command, Door, Event, ExitStatus, GenerationId, Outcome, Page, Pid, Queue, Sight, Signal, Slot,
    SpawnCause, View, Worker,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

/// An event by which nobody need be meant.
#[derive(Clone, Debug)]
pub(crate) enum Nonsense {
    Signal(Signal),
    Spawned(Whose, i32),
    SpawnFailed(Whose, SpawnCause),
    Exited(Whose, Outcome, Option<i32>),
    GroupGone(Whose),
    KillRefused(Whose),
    Orphans(Vec<(i32, ExitStatus)>),
    Served(Whose, u64),
    Looked(Whose, Sight),
    DrainChecked(Slot, Queue),
    QueueSeen(Slot, Vec<u64>),
    Measured(Whose, u64, Option<u64>, View, Duration),
    ConnectionsCounted(u64),
    Shed(u64),
    SteerFailed,
    OutputDropped(u64),
    Asked(u32),
    PageAsked(u32),
    Tick,
    /// A Tick at the very time at which one is wanted.
    TickAtDeadline,
}

impl Nonsense {
    /// As ostler is told it, when this generation is the newest.
    pub(crate) fn told(self, newest: GenerationId) -> Event {
        match self {
            Self::Signal(signal) => Event::Signal(signal),
            Self::Spawned(whose, pid) => Event::Spawned { id: whose.among(newest), pid: Pid(pid) },
            Self::SpawnFailed(whose, cause) => {
                Event::SpawnFailed { id: whose.among(newest), error: error(cause) }
            }
            Self::Exited(whose, outcome, heir) => {
                Event::Exited { id: whose.among(newest), outcome, heir: heir.map(Pid) }
            }
            Self::GroupGone(whose) => Event::GroupGone { id: whose.among(newest) },
            Self::KillRefused(whose) => Event::KillRefused { id: whose.among(newest) },
            Self::Orphans(dead) => {
                let dead = dead.into_iter().map(|(pid, status)| (Pid(pid), status)).collect();
                Event::OrphansReaped { dead }
            }
            Self::Served(whose, count) => Event::RequestsServed { id: whose.among(newest), count },
            Self::Looked(whose, sight) => Event::Looked { id: whose.among(newest), sight },
            Self::DrainChecked(slot, queue) => Event::DrainChecked { slot, queue },
            Self::QueueSeen(slot, waiting) => Event::QueueSeen { slot, waiting },
            Self::Measured(whose, bytes, shared, view, cost) => {
                Event::MemoryMeasured { id: whose.among(newest), bytes, shared, view, cost }
            }
            Self::ConnectionsCounted(total) => Event::ConnectionsCounted { total },
            Self::OutputDropped(lines) => Event::OutputDropped { lines },
            Self::Shed(connections) => Event::Shed { connections },
            Self::SteerFailed => Event::SteerFailed { message: "so it is".into() },
            Self::Asked(client) => Event::Asked { client: Some(Client(client)), command: Command::Recycle },
            Self::PageAsked(client) => Event::PageAsked { client: Client(client), page: Page::Status },
            Self::Tick | Self::TickAtDeadline => Event::Tick,
        }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => status().prop_map(Outcome::Ended),
        1 => cause().prop_map(|cause| Outcome::NeverRan(error(cause))),
    ]
}

fn sight() -> impl Strategy<Value = Sight> {
    let door = prop_oneof![
        3 => Just(Door::Open),
        1 => Just(Door::Blind),
        1 => Just(Door::Closed),
        1 => Just(Door::Unhealthy("503".into())),
        1 => Just(Door::Unreachable("Too many open files".into())),
    ];
    let worker = (0_u64..3, prop::bool::weighted(0.8)).prop_map(|(file, beats)| Worker { file, beats });
    let workers = prop_oneof![2 => Just(Vec::new()), 1 => vec(worker, 0..4)];
    (door, prop::bool::weighted(0.8), workers, view()).prop_map(|(door, said_ready, workers, view)| Sight {
        door,
        said_ready,
        workers,
        view,
    })
}

fn slot() -> impl Strategy<Value = Slot> {
    select(vec![Slot::A, Slot::B])
}

pub(crate) fn view() -> impl Strategy<Value = View> {
    select(vec![View::Clear, View::Hidden])
}

/// In ascending order, as the edge tells it.
fn waiting() -> impl Strategy<Value = Vec<u64>> {
    btree_set(0_u64..3, 0..3).prop_map(Vec::from_iter)
}

/// What happens, and how much later than the one before it.
pub(crate) fn story() -> impl Strategy<Value = Vec<(Duration, Nonsense)>> {
    vec((prop_oneof![3 => Just(Duration::ZERO), 1 => tenths(20)], nonsense()), 0..150)
}

pub(crate) fn nonsense() -> impl Strategy<Value = Nonsense> {
    let queue = prop_oneof![3 => Just(Queue::Empty), 1 => Just(Queue::Waiting)];
    // What ends everything is rare, so that stories last.
    prop_oneof![
        2 => any_signal().prop_map(Nonsense::Signal),
        24 => (whose(), any::<i32>()).prop_map(|(whose, pid)| Nonsense::Spawned(whose, pid)),
        2 => (whose(), cause()).prop_map(|(whose, cause)| Nonsense::SpawnFailed(whose, cause)),
        5 => (whose(), outcome(), option::weighted(0.3, any::<i32>()))
            .prop_map(|(whose, outcome, heir)| Nonsense::Exited(whose, outcome, heir)),
        16 => whose().prop_map(Nonsense::GroupGone),
        2 => whose().prop_map(Nonsense::KillRefused),
        1 => vec((any::<i32>(), status()), 1..4).prop_map(Nonsense::Orphans),
        14 => (whose(), count()).prop_map(|(whose, count)| Nonsense::Served(whose, count)),
        16 => (whose(), sight()).prop_map(|(whose, sight)| Nonsense::Looked(whose, sight)),
        10 => (slot(), queue).prop_map(|(slot, queue)| Nonsense::DrainChecked(slot, queue)),
        6 => (slot(), waiting()).prop_map(|(slot, waiting)| Nonsense::QueueSeen(slot, waiting)),
        20 => (whose(), prop_oneof![2 => Just(40), 1 => tens(6)], option::of(tens(6)), view(), cost())
            .prop_map(|(whose, bytes, shared, view, cost)| Nonsense::Measured(whose, bytes, shared, view, cost)),
        3 => tens(5).prop_map(Nonsense::ConnectionsCounted),
        1 => (0_u64..5).prop_map(Nonsense::OutputDropped),
        1 => (0_u64..5).prop_map(Nonsense::Shed),
        1 => Just(Nonsense::SteerFailed),
        8 => any::<u32>().prop_map(Nonsense::Asked),
        6 => any::<u32>().prop_map(Nonsense::PageAsked),
        12 => Just(Nonsense::Tick),
        14 => Just(Nonsense::TickAtDeadline),
    ]
}
