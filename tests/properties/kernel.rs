//! A small model of the kernel and of the edge: it obeys orders in virtual time and answers as `system` does.

use ostler::supervisor::{
    Action, Event, ExitStatus, GenerationId, Outcome, Pid, Signal, SpawnCause, SpawnError, Target,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What will become of one start.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) start: Start,
    pub(crate) leader: Habits,
    /// The rest of the leader's process group; `None`: the leader is alone.
    pub(crate) others: Option<Habits>,
    pub(crate) status: ExitStatus,
}

#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// There is no process at all.
    Refused,
    /// There is a process, and it ends this soon without having executed the program.
    NeverRuns(SpawnCause, Duration),
    Runs,
}

/// What ends a process, and how long that takes. `None`: it never does.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Nothing but time.
    pub(crate) by_itself: Option<Duration>,
    /// SIGTERM, SIGINT or SIGQUIT.
    pub(crate) asked: Option<Duration>,
    /// SIGKILL. `None` is a process that hangs in the kernel.
    pub(crate) killed: Option<Duration>,
}

/// Something that comes from outside.
#[derive(Clone, Debug)]
pub(crate) enum External {
    Signal(Signal),
    /// So many requests were counted for whom.
    Served(Whose, u64),
}

/// A generation as the generators of arbitrary input name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// The last one that was to be started.
    Current,
    /// This one, whether it is long gone, not there yet, or current.
    Id(u32),
}

impl Whose {
    pub(crate) fn among(self, current: GenerationId) -> GenerationId {
        match self {
            Self::Current => current,
            Self::Id(number) => GenerationId(number),
        }
    }
}

pub(crate) struct Kernel {
    pub(crate) now: Instant,
    lives: VecDeque<Life>,
    /// In the order of time.
    externals: VecDeque<(Instant, External)>,
    groups: Vec<Group>,
    current: GenerationId,
    spawns: i32,
}

/// A process, or several that do as one.
struct Body {
    habits: Habits,
    end: Option<Instant>,
}

struct Group {
    id: GenerationId,
    leader: Body,
    others: Option<Body>,
    outcome: Outcome,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Alive,
    Zombie,
    Reaped,
}

impl Kernel {
    /// `lives` are lived one after another; all that start after the last of them do as they are told.
    pub(crate) fn new(now: Instant, lives: &[Life], externals: &[(Duration, External)]) -> Self {
        let mut externals: Vec<_> = externals.iter().map(|(at, what)| (now + *at, what.clone())).collect();
        externals.sort_by_key(|(at, _)| *at);
        Self {
            now,
            lives: lives.iter().cloned().collect(),
            externals: externals.into(),
            groups: Vec::new(),
            current: GenerationId(0),
            spawns: 0,
        }
    }

    /// Sleeps until something happens or until `deadline`. `None`: it would sleep for ever.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Option<Vec<Event>> {
        let external = self.externals.front().map(|(at, _)| *at);
        let wakes = self.groups.iter().filter_map(Group::next).chain(external).chain(deadline);
        self.now = self.now.max(wakes.min()?);

        let (mut signals, mut counts) = (Vec::new(), Vec::new());
        let now = self.now;
        let due = self.externals.partition_point(|(at, _)| *at <= now);
        for (_, what) in self.externals.drain(..due) {
            match what {
                External::Signal(signal) => signals.push(Event::Signal(signal)),
                External::Served(whose, count) => {
                    let id = whose.among(self.current);
                    // A program that is never executed answers no request.
                    let dumb =
                        |group: &Group| group.id == id && matches!(group.outcome, Outcome::NeverRan(_));
                    if !self.groups.iter().any(dumb) {
                        counts.push(Event::RequestsServed { id, count });
                    }
                }
            }
        }
        let deaths: Vec<_> = self.groups.iter_mut().filter_map(|group| group.death(now)).collect();
        let gone: Vec<_> =
            self.groups.iter().filter(|group| group.is_gone(now)).map(|group| group.id).collect();
        let gone: Vec<_> = gone.into_iter().map(|id| self.forget(id)).collect();
        Some([signals, counts, deaths, gone, vec![Event::Tick]].concat())
    }

    /// Obeys, and answers at once where the edge does.
    pub(crate) fn perform(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Spawn(id) => Some(self.spawn(*id)),
            Action::Kill { target: Target::Leader(id), signal } => {
                let now = self.now;
                let group = self.group(*id)?;
                if group.stage == Stage::Alive {
                    group.leader.hit(*signal, now);
                }
                None
            }
            Action::Kill { target: Target::Group(id), signal } => {
                let now = self.now;
                let group = self.group(*id)?;
                if group.is_gone(now) {
                    return Some(self.forget(*id));
                }
                group.leader.hit(*signal, now);
                group.others.iter_mut().for_each(|others| others.hit(*signal, now));
                None
            }
            Action::Reap(id) => {
                let now = self.now;
                let group = self.group(*id)?;
                if group.stage == Stage::Zombie {
                    group.stage = Stage::Reaped;
                }
                group.is_gone(now).then(|| self.forget(*id))
            }
            Action::Log(_) | Action::Exit(_) => None,
        }
    }

    fn spawn(&mut self, id: GenerationId) -> Event {
        self.current = id;
        self.spawns += 1;
        let Life { start, mut leader, others, status } = self.lives.pop_front().unwrap_or_else(obedient);
        let outcome = match start {
            Start::Refused => {
                return Event::SpawnFailed { id, error: error(SpawnCause::Resources) };
            }
            Start::NeverRuns(cause, after) => {
                leader.by_itself = Some(after);
                Outcome::NeverRan(error(cause))
            }
            Start::Runs => Outcome::Ended(status),
        };
        let (leader, others) =
            (Body::new(leader, self.now), others.map(|habits| Body::new(habits, self.now)));
        self.groups.push(Group { id, leader, others, outcome, stage: Stage::Alive });
        Event::Spawned { id, pid: Pid(100 + self.spawns) }
    }

    fn group(&mut self, id: GenerationId) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.id == id)
    }

    fn forget(&mut self, id: GenerationId) -> Event {
        self.groups.retain(|group| group.id != id);
        Event::GroupGone { id }
    }
}

impl Body {
    fn new(habits: Habits, now: Instant) -> Self {
        let end = habits.by_itself.map(|after| now + after);
        Self { habits, end }
    }

    fn hit(&mut self, signal: Signal, now: Instant) {
        let after = match signal {
            Signal::TERM | Signal::INT | Signal::QUIT => self.habits.asked,
            Signal::KILL => self.habits.killed,
            Signal(_) => None,
        };
        self.end = [self.end, after.map(|after| now + after)].into_iter().flatten().min();
    }

    fn has_ended(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

impl Group {
    /// When it will have something to tell.
    fn next(&self) -> Option<Instant> {
        match self.stage {
            Stage::Alive => self.leader.end,
            Stage::Zombie => None,
            Stage::Reaped => self.others.as_ref()?.end,
        }
    }

    /// The death of its leader, told once.
    fn death(&mut self, now: Instant) -> Option<Event> {
        if self.stage != Stage::Alive || !self.leader.has_ended(now) {
            return None;
        }
        self.stage = Stage::Zombie;
        Some(Event::Exited { id: self.id, outcome: self.outcome.clone() })
    }

    fn is_gone(&self, now: Instant) -> bool {
        self.stage == Stage::Reaped && self.others.as_ref().is_none_or(|others| others.has_ended(now))
    }
}

fn obedient() -> Life {
    let soon = Some(Duration::from_millis(100));
    let leader = Habits { by_itself: None, asked: soon, killed: soon };
    Life { start: Start::Runs, leader, others: None, status: ExitStatus::Exited(0) }
}

pub(crate) fn error(cause: SpawnCause) -> SpawnError {
    SpawnError { cause, message: "so it is".into() }
}
