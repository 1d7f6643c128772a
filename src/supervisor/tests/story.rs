//! A supervisor in virtual time, with its orders and states in words.

use super::super::*;
use ending::Then;
use retiring::Outgoing;
use std::time::Duration;

/// Who is left at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Nobody: that is told at once, and not shown.
    Nobody,
    /// Whom the rows tell of.
    Told,
}

/// A supervisor in virtual time.
pub(super) struct Story {
    supervisor: Supervisor,
    others: Others,
    origin: Instant,
    pub(super) now: Duration,
}

impl Story {
    pub(super) fn new(policy: Policy) -> Self {
        let origin = Instant::now();
        // As where sockets are held.
        let signals = policy.signals.or(Signal::USR2, Meaning::Recycle);
        let policy = Policy { signals, ..policy };
        Self {
            supervisor: Supervisor::new(policy, 1, origin),
            others: Others::Nobody,
            origin,
            now: Duration::ZERO,
        }
    }

    /// The same, but somebody may be left at the end.
    pub(super) fn with_others(self) -> Self {
        Self { others: Others::Told, ..self }
    }

    /// Lets an event happen and tells the orders.
    pub(super) fn step(&mut self, millis: u64, event: Event) -> String {
        self.now = Duration::from_millis(millis);
        let mut orders = self.supervisor.step(self.origin + self.now, event);
        let asks = |order: &Action| *order == Action::Sweep(Some(Signal::TERM));
        if self.others == Others::Nobody && orders.iter().any(asks) {
            orders.retain(|order| !asks(order));
            let nobody = Event::Swept { signal: Some(Signal::TERM), left: Vec::new() };
            orders.extend(self.supervisor.step(self.origin + self.now, nobody));
        }
        orders.iter().map(order).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn after(mut self, millis: u64, event: Event) -> Self {
        self.step(millis, event);
        self
    }

    /// Lets one row after the other happen.
    pub(super) fn goes(mut self, rows: &[(u64, Event, &str, &str)]) -> Self {
        for (millis, event, orders, next) in rows {
            let row = format!("{} + {event:?} at {millis} ms", self.state());
            let ordered = self.step(*millis, event.clone());
            assert_eq!((ordered.as_str(), self.state().as_str()), (*orders, *next), "{row}");
        }
        self
    }

    /// What is shown now.
    pub(super) fn status(&self) -> Status {
        self.supervisor.status(self.origin + self.now)
    }

    pub(super) fn state(&self) -> String {
        let state = match &self.supervisor.state {
            State::Waiting { start, .. } => format!("waiting to start {}", start.id),
            State::Spawning(start) => format!("spawning {}", start.id),
            State::Serving(incumbent) => format!("serving {}", incumbent.generation.id),
            State::HandingOver(handover, successor) => {
                let to = match successor {
                    Successor::Ordered => self.supervisor.last_id,
                    Successor::Starting(starting) => starting.generation.id,
                };
                format!("handing over {} to {to}", handover.incumbent.generation.id)
            }
            State::Retiring(Retirement { incumbent, outgoing }) => {
                let goes = match outgoing {
                    Outgoing::Draining(_) => "draining",
                    Outgoing::Departing(_) => "retiring",
                };
                format!("{goes} {} beside {}", outgoing.generation().id, incumbent.generation.id)
            }
            State::Searching(search) => format!("searching for {}", search.incumbent.generation.id),
            State::Sweeping(_) => "sweeping".into(),
            State::Departing(ending) => {
                let goes = match ending.then {
                    Then::Replace => "recycling",
                    Then::Restart(_) => "restarting",
                    Then::Exit => "stopping",
                };
                let beside = ending.beside().map(|generation| format!(" and {}", generation.id));
                format!("{goes} {}{}", ending.last().id, beside.unwrap_or_default())
            }
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
        Action::Spawn { id, slot } => format!("spawn {id} in {slot:?}"),
        Action::Kill { target, signal } => {
            let whom = match target {
                Target::Leader(id) => format!("leader {id}"),
                Target::Group(id) => format!("group {id}"),
                Target::Gunicorn(id) => format!("gunicorn {id}"),
            };
            format!("{} to {whom}", name(*signal))
        }
        Action::Reap(id) => format!("reap {id}"),
        Action::Follow { id, heir } => format!("follow {id} to {}", heir.0),
        Action::SeekHeir(id) => format!("seek heir of {id}"),
        Action::WatchWorkers(id) => format!("watch workers of {id}"),
        Action::Sweep(None) => "look who is left".into(),
        Action::Sweep(Some(signal)) => format!("{} to all", name(*signal)),
        Action::TidyCores(keep) => format!("keep {keep} cores"),
        Action::Show { client, page, .. } => format!("show {} the {page:?}", client.0),
        Action::Publish(_) => "publish".into(),
        Action::LookAtDisk => "look at the disk".into(),
        Action::SearchGrown => "search what has grown".into(),
        Action::Look(id) => format!("look at {id}"),
        Action::Steer(slot) => format!("steer to {slot:?}"),
        Action::CheckDrain(slot) => format!("check drain of {slot:?}"),
        Action::CheckQueue(slot) => format!("check queue of {slot:?}"),
        Action::Measure { id, limit, shared: 0 } => format!("measure {id} up to {limit}"),
        Action::Measure { id, limit, shared } => format!("measure {id} up to {limit} less {shared}"),
        Action::CountConnections => "count connections".into(),
        Action::Shed(slot) => format!("shed {slot:?}"),
        Action::Answer { client, answer } => format!("answer {} {}", client.0, said(*answer)),
        Action::Log(notice) => format!("[{}]", words(notice)),
        Action::Exit(code) => format!("exit {code}"),
    }
}

fn said(answer: Answer) -> String {
    match answer {
        Answer::Started(id) => format!("started {id}"),
        Answer::Busy => "busy".into(),
        Answer::Nobody => "nobody".into(),
    }
}

fn words(notice: &Notice) -> String {
    match notice {
        Notice::GenerationStarted { id, pid, limits: Limits { requests, age, memory } } => {
            let requests = requests.map_or("ever".into(), |n| n.to_string());
            let age = age.map(|age| format!(" or {age:?}")).unwrap_or_default();
            let memory = memory.map(|bytes| format!(" or {bytes} bytes")).unwrap_or_default();
            format!("{id} is process {} for {requests}{age}{memory}", pid.0)
        }
        Notice::MemoryBudgetSmall { id, used, limit } => format!("{id} too big: {used} of {limit}"),
        Notice::MemoryUnclear { id } => format!("{id} seen dimly"),
        Notice::CountSilent { connections, cure } => {
            format!("{connections} connections, silence: {}", cure.0)
        }
        Notice::CoreLeft { core } => format!("{} left", core.file),
        Notice::CoreDeleted { core } => format!("{} deleted", core.file),
        Notice::CoreStuck { core, error } => format!("{} stuck: {error}", core.file),
        Notice::DiskFills { disk, .. } => format!("{} % full", disk.percent()),
        Notice::DiskGrown { grown } => format!("{} have grown", grown.len()),
        Notice::OutputDropped { lines } => format!("{lines} lines dropped"),
        Notice::SpawnFailed { id, retry_in, .. } => format!("{id} not started{}", again(*retry_in)),
        Notice::RecycleStarted { id, reason, age } => match reason {
            RecycleReason::Requests { used, limit } => format!("{id} spent {used} of {limit} in {age:?}"),
            RecycleReason::Age { limit } => format!("{id} older than {limit:?} in {age:?}"),
            RecycleReason::Memory { used, limit } => format!("{id} holds {used} of {limit} in {age:?}"),
            RecycleReason::Command => format!("{id} on command in {age:?}"),
            RecycleReason::Hung(standing) => format!("{id} hung for {standing:?} in {age:?}"),
        },
        Notice::HandedOver { from, to, took, view: View::Clear } => {
            format!("{from} handed over to {to} in {took:?}")
        }
        Notice::HandedOver { from, to, took, view: View::Hidden } => {
            format!("{from} handed over to {to} in {took:?}, unseen")
        }
        Notice::HandoverFailed { id, lack, retry_in } => format!("{id} failed: {lack}{}", again(*retry_in)),
        Notice::Promoted { id } => format!("{id} promoted"),
        Notice::TakenBack { id, retry_in } => format!("{id} taken back{}", again(*retry_in)),
        Notice::DrainExpired { id } => format!("drain of {id} over"),
        Notice::SteerFailed { message } => format!("not steered: {message}"),
        Notice::ConnectionsShed { connections } => format!("{connections} shed"),
        Notice::LeaderFollowed { id, pid, requests, age } => {
            format!("{id} led by {}: {requests} in {age:?}", pid.0)
        }
        Notice::Reloaded { id, signal, requests } => format!("{id} got {}: {requests}", name(*signal)),
        Notice::RecycleRefused { answer } => format!("no recycle: {}", said(*answer)),
        Notice::GenerationEnded { id, outcome, cause, requests, age } => {
            format!("{id} {cause:?} with {}: {requests} in {age:?}", outcome.code())
        }
        Notice::Stopping { signal, grace } => format!("{} stops all in {grace:?}", name(*signal)),
        Notice::WorkerEnded { id, pid, status, manner } => {
            let how = status.map_or("somehow".into(), |status| format!("with {}", status.code()));
            format!("worker {} of {id} ended {how}, {manner:?}", pid.0)
        }
        Notice::WorkersCrash { id, ends, window } => format!("{ends} workers of {id} in {window:?}"),
        Notice::Draining { delay } => format!("stops in {delay:?}"),
        Notice::Restarting { pause } => format!("restart in {pause:?}"),
        Notice::GaveUp { ends, window } => format!("gives up after {ends} in {window:?}"),
        Notice::NobodyToFollow { id } => format!("nobody leads {id} on"),
        Notice::OthersLeft { left, grace } => format!("{} others left for {grace:?}", left.len()),
        Notice::OthersKilled { left } => format!("{} others killed", left.len()),
        Notice::GraceExpired { id } => format!("grace of {id} over"),
        Notice::GroupLeft { id } => format!("group of {id} left"),
        Notice::SignalForwarded { signal } => format!("{} forwarded", name(*signal)),
        Notice::SignalRewritten { signal, to } => {
            format!("{} taken for {}", name(*signal), to.map_or("nothing".into(), name))
        }
        Notice::SignalRefused { id } => format!("{id} refuses signals"),
        Notice::SignalDropped { signal } => format!("{} dropped", name(*signal)),
        Notice::OrphansReaped { dead } => {
            let pids: Vec<_> = dead.iter().map(|(pid, _)| pid.0.to_string()).collect();
            format!("orphan {}", pids.join(", "))
        }
    }
}

fn again(retry_in: Option<Duration>) -> String {
    retry_in.map(|pause| format!(", again in {pause:?}")).unwrap_or_default()
}

fn name(signal: Signal) -> String {
    match signal {
        Signal::HUP => "HUP".into(),
        Signal::INT => "INT".into(),
        Signal::QUIT => "QUIT".into(),
        Signal::KILL => "KILL".into(),
        Signal::USR2 => "USR2".into(),
        Signal::TERM => "TERM".into(),
        Signal::CONT => "CONT".into(),
        Signal(number) => number.to_string(),
    }
}
