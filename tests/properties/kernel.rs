//! A small model of the kernel and of the edge: it obeys orders in virtual time and answers as `system` does.

use crate::life::{Body, Boot, Hearing, Life, Memory, PRIVATE_STOP, Start, error};
use crate::nonsense::Nonsense;
use crate::surroundings::{Surroundings, Visitors};
use ostler::supervisor::{
    Action, Client, Command, Event, GenerationId, Kin, Left, Outcome, Pid, Queue, Signal, Slot, SpawnCause,
    Target,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Something that comes from outside.
#[derive(Clone, Debug)]
pub(crate) enum External {
    Signal(Signal),
    /// So many requests were counted for whom.
    Served(Whose, u64),
    /// Somebody wants a recycle.
    Asked,
    /// What nobody did.
    Odd(Nonsense),
}

/// A generation as the generators of arbitrary input name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// The last one that was to be started.
    Newest,
    /// The one before it.
    Before,
    /// This one, whether it is long gone, not there yet, or serves.
    Id(u32),
}

impl Whose {
    pub(crate) fn among(self, newest: GenerationId) -> GenerationId {
        match self {
            Self::Newest => newest,
            Self::Before => GenerationId(newest.0.saturating_sub(1)),
            Self::Id(number) => GenerationId(number),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) now: Instant,
    lives: VecDeque<Life>,
    /// In the order of time.
    externals: VecDeque<(Instant, External)>,
    blind: bool,
    steering_fails: VecDeque<bool>,
    shed: VecDeque<u64>,
    visitors: Visitors,
    others: Vec<Body>,
    origin: Instant,
    groups: Vec<Group>,
    /// Where new connections go.
    open: Slot,
    newest: GenerationId,
    /// Has the program ever been executed?
    has_run: bool,
    pids: i32,
    clients: u32,
    looks: u64,
}

#[derive(Debug)]
struct Group {
    id: GenerationId,
    slot: Slot,
    started: Instant,
    life: Life,
    leader: Body,
    others: Option<Body>,
    /// It will take the leader's place, or stay behind with the others.
    heir: Option<Body>,
    outcome: Outcome,
    stage: Stage,
    /// New connections go elsewhere since then.
    left_at: Option<Instant>,
    /// Has ostler told it to stop?
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alive,
    Zombie,
    Reaped,
}

impl Kernel {
    /// `lives` are lived one after another; all that start after the last of them do as they are told.
    pub(crate) fn new(
        now: Instant,
        lives: &[Life],
        externals: &[(Duration, External)],
        surroundings: Surroundings,
    ) -> Self {
        let mut externals: Vec<_> = externals.iter().map(|(at, what)| (now + *at, what.clone())).collect();
        externals.sort_by_key(|(at, _)| *at);
        let Surroundings { blind, steering_fails, shed, visitors, others } = surroundings;
        Self {
            now,
            lives: lives.to_vec().into(),
            externals: externals.into(),
            blind,
            steering_fails: steering_fails.into(),
            shed: shed.into(),
            visitors,
            others: others.into_iter().map(|habits| Body::new(habits, now)).collect(),
            origin: now,
            groups: Vec::new(),
            open: Slot::A,
            newest: GenerationId(0),
            has_run: false,
            pids: 100,
            clients: 0,
            looks: 0,
        }
    }

    /// Sleeps until something happens or until `deadline`. `None`: it would sleep for ever.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Option<Vec<Event>> {
        self.now = self.now.max(self.next().into_iter().chain(deadline).min()?);
        let now = self.now;
        let due = self.externals.partition_point(|(at, _)| *at <= now);
        let (mut signals, mut asked, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (_, what) in self.externals.drain(..due) {
            match what {
                External::Signal(signal) => signals.push(Event::Signal(signal)),
                External::Odd(nonsense) => signals.push(nonsense.told(self.newest)),
                External::Served(whose, count) => {
                    let id = whose.among(self.newest);
                    // A program that is never executed answers no request.
                    let dumb =
                        |group: &Group| group.id == id && matches!(group.outcome, Outcome::NeverRan(_));
                    if !self.groups.iter().any(dumb) {
                        counts.push(Event::RequestsServed { id, count });
                    }
                }
                External::Asked => {
                    self.clients += 1;
                    asked
                        .push(Event::Asked { client: Some(Client(self.clients)), command: Command::Recycle });
                }
            }
        }
        let death = Vec::from_iter(self.death());
        let gone: Vec<_> =
            self.groups.iter().filter(|group| group.is_gone(now)).map(|group| group.id).collect();
        let gone: Vec<_> = gone.into_iter().map(|id| self.forget(id)).collect();
        let tick = Vec::from_iter(deadline.filter(|deadline| *deadline <= now).map(|_| Event::Tick));
        Some([signals, asked, counts, death, gone, tick].concat())
    }

    /// When something happens that ostler has not asked for.
    pub(crate) fn next(&self) -> Option<Instant> {
        let external = self.externals.front().map(|(at, _)| *at);
        let hidden = |group: &&Group| group.stage == Stage::Alive && self.has_zombie();
        self.groups.iter().filter(|group| !hidden(group)).filter_map(Group::next).chain(external).min()
    }

    /// A zombie leader hides all others that are dead (waitid(2) with `WNOWAIT`).
    fn has_zombie(&self) -> bool {
        self.groups.iter().any(|group| group.stage == Stage::Zombie)
    }

    /// How many generations are there, or what is left of them?
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Does a new connection reach a server that lives, and that nobody has told to stop? Before the first one has run
    /// there is nobody to ask for that.
    pub(crate) fn serves(&self) -> bool {
        let serves = |group: &Group| group.slot == self.open && group.stage == Stage::Alive && !group.told;
        !self.has_run || self.groups.iter().any(serves)
    }

    /// Obeys, and answers at once where the edge does.
    pub(crate) fn perform(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Spawn { id, slot } => Some(self.spawn(*id, *slot)),
            Action::Kill { target, signal } => self.kill(*target, *signal),
            Action::Reap(id) => self.reap(*id),
            Action::Follow { id, .. } => {
                self.follow(*id);
                None
            }
            Action::Look(id) => {
                let (now, blind) = (self.now, self.blind);
                let group = self.group(*id)?;
                Some(Event::Looked { id: *id, sight: group.life.boot.sight(now - group.started, blind) })
            }
            Action::Sweep(signal) => Some(self.sweep(*signal)),
            Action::Steer(slot) => self.steer(*slot),
            Action::CheckDrain(slot) => {
                let now = self.now;
                let queue = self.at(*slot).map_or(Queue::Empty, |group| {
                    group.life.queue(group.left_at.map_or(Duration::ZERO, |left_at| now - left_at))
                });
                Some(Event::DrainChecked { slot: *slot, queue })
            }
            Action::CheckQueue(slot) => {
                self.looks += 1;
                let waiting =
                    self.at(*slot).map(|group| group.life.waiting(self.now - group.started, self.looks));
                Some(Event::QueueSeen { slot: *slot, waiting: waiting.unwrap_or_default() })
            }
            Action::Shed(_) => {
                let connections = self.shed.pop_front().unwrap_or_default();
                (connections > 0).then_some(Event::Shed { connections })
            }
            Action::Measure { id, limit, shared } => {
                let now = self.now;
                let group = self.group(*id)?;
                let (age, memory) = (now - group.started, &group.life.memory);
                let (bytes, shared, view) = memory.measured(age, *limit, *shared);
                Some(Event::MemoryMeasured { id: *id, bytes, shared, view, cost: memory.cost })
            }
            Action::CountConnections => {
                self.visitors.answers = self.visitors.answers.checked_sub(1)?;
                let total = self.visitors.until(self.now - self.origin);
                Some(Event::ConnectionsCounted { total })
            }
            Action::SeekHeir(_)
            | Action::WatchWorkers(_)
            | Action::TidyCores(_)
            | Action::Show { .. }
            | Action::Publish(_)
            | Action::LookAtDisk
            | Action::SearchGrown
            | Action::Answer { .. }
            | Action::Log(_)
            | Action::Exit(_) => None,
        }
    }

    fn spawn(&mut self, id: GenerationId, slot: Slot) -> Event {
        self.newest = id;
        self.pids += 1;
        let mut life = self.lives.pop_front().unwrap_or_else(Life::obedient);
        let outcome = match life.start {
            Start::Refused => {
                return Event::SpawnFailed { id, error: error(SpawnCause::Resources) };
            }
            Start::NeverRuns(cause, after) => {
                life.leader.by_itself = Some(after);
                life.boot = Boot::never();
                // What was never executed has forked nothing.
                life.others = None;
                life.heir = None;
                Outcome::NeverRan(error(cause))
            }
            Start::Runs => Outcome::Ended(life.status),
        };
        self.has_run |= matches!(outcome, Outcome::Ended(_));
        let leader = Body::new(life.leader.clone(), self.now);
        let others = life.others.clone().map(|habits| Body::new(habits, self.now));
        self.groups.push(Group {
            id,
            slot,
            started: self.now,
            life,
            leader,
            others,
            heir: None,
            outcome,
            stage: Stage::Alive,
            left_at: None,
            told: false,
        });
        Event::Spawned { id, pid: Pid(self.pids) }
    }

    fn kill(&mut self, target: Target, signal: Signal) -> Option<Event> {
        let (Target::Leader(id) | Target::Group(id) | Target::Gunicorn(id)) = target;
        let now = self.now;
        let group = self.group(id)?;
        match target {
            Target::Group(_) if group.is_gone(now) => return Some(self.forget(id)),
            Target::Leader(_) if group.stage == Stage::Reaped => return None,
            Target::Gunicorn(_) if group.stage != Stage::Alive => return None,
            Target::Leader(_) | Target::Group(_) | Target::Gunicorn(_) => {}
        }
        match (group.life.hearing, target) {
            // Nobody is told what became of these.
            (Hearing::Refuses, Target::Gunicorn(_)) => None,
            (Hearing::Refuses, Target::Leader(_) | Target::Group(_)) => Some(Event::KillRefused { id }),
            (Hearing::Hears, Target::Leader(_) | Target::Gunicorn(_)) => {
                group.hit(signal, now);
                None
            }
            (Hearing::Hears, Target::Group(_)) => {
                group.hit(signal, now);
                group.others.iter_mut().chain(&mut group.heir).for_each(|body| body.hit(signal, now));
                None
            }
        }
    }

    /// Those who are no generation's get a signal.
    fn sweep(&mut self, signal: Option<Signal>) -> Event {
        let now = self.now;
        self.others.retain(|body| !body.has_ended(now));
        let left = (1..)
            .zip(&self.others)
            .map(|(pid, _)| Left { pid: Pid(pid), name: "it".into(), kin: Kin::Own })
            .collect();
        if let Some(signal) = signal {
            self.others.iter_mut().for_each(|body| body.hit(signal, now));
        }
        Event::Swept { signal, left }
    }

    fn reap(&mut self, id: GenerationId) -> Option<Event> {
        let now = self.now;
        let group = self.group(id)?;
        if group.stage == Stage::Zombie {
            group.stage = Stage::Reaped;
        }
        group.is_gone(now).then(|| self.forget(id))
    }

    fn follow(&mut self, id: GenerationId) {
        if let Some(group) = self.group(id)
            && let Some(heir) = group.heir.take()
        {
            (group.leader, group.stage) = (heir, Stage::Alive);
        }
    }

    fn steer(&mut self, slot: Slot) -> Option<Event> {
        if self.steering_fails.pop_front().unwrap_or_default() {
            return Some(Event::SteerFailed { message: "so it is".into() });
        }
        self.open = slot;
        for group in &mut self.groups {
            group.left_at = (group.slot != slot).then(|| group.left_at.unwrap_or(self.now));
        }
        None
    }

    /// The death of a leader.
    fn death(&mut self) -> Option<Event> {
        let now = self.now;
        if self.has_zombie() {
            return None;
        }
        let dead = |group: &&mut Group| group.stage == Stage::Alive && group.leader.has_ended(now);
        let group = self.groups.iter_mut().find(dead)?;
        group.stage = Stage::Zombie;
        let heir = group.heir.as_ref().filter(|heir| !heir.has_ended(now));
        let heir = heir.map(|_| {
            self.pids += 1;
            Pid(self.pids)
        });
        Some(Event::Exited { id: group.id, outcome: group.outcome.clone(), heir })
    }

    fn group(&mut self, id: GenerationId) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.id == id)
    }

    /// Who serves there, or did at last.
    fn at(&self, slot: Slot) -> Option<&Group> {
        self.groups.iter().rev().find(|group| group.slot == slot)
    }

    fn forget(&mut self, id: GenerationId) -> Event {
        self.groups.retain(|group| group.id != id);
        Event::GroupGone { id }
    }
}

impl Group {
    /// When it will have something to tell.
    fn next(&self) -> Option<Instant> {
        match self.stage {
            Stage::Alive => self.leader.end,
            Stage::Zombie => None,
            Stage::Reaped => {
                let ends = self.others.iter().chain(&self.heir).map(|body| body.end);
                ends.max_by_key(|end| (end.is_none(), *end)).flatten()
            }
        }
    }

    /// What its leader does on a signal.
    fn hit(&mut self, signal: Signal, now: Instant) {
        self.told |= matches!(signal, Signal::TERM | Signal::KILL | PRIVATE_STOP);
        self.leader.hit(signal, now);
        if signal == Signal::HUP {
            // The processes that held it are replaced.
            self.life.memory = Memory { cost: self.life.memory.cost, ..Memory::default() };
        }
        if let (Signal::USR2, Some(after)) = (signal, self.life.heir) {
            self.leader.ends_by(Some(now + after));
            // Not another one on the next signal.
            self.heir.get_or_insert_with(|| Body::new(self.life.leader.clone(), now));
            self.life.heir = None;
        }
    }

    fn is_gone(&self, now: Instant) -> bool {
        let mut rest = self.others.iter().chain(&self.heir);
        self.stage == Stage::Reaped && rest.all(|body| body.has_ended(now))
    }
}
