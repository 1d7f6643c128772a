//! A thousand tasks that start in the same second and have the same load, in virtual time: when do they recycle, with
//! and without jitter? `cargo bench --bench fleet -- --write docs` puts the answer into docs/budgets.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/chart.rs"]
mod chart;
#[path = "common/page.rs"]
mod page;

use anyhow::Result;
use arguments::Invocation;
use chart::{Curve, Panel};
use ostler::supervisor::{
    Action, Budget, Door, Event, ExitStatus, Expected, Follow, GenerationId, Meanings, Notice, Outcome, Pid,
    Policy, Queue, Ready, Recipient, Recycle, Restart, RestartLimit, Sight, Signal, Slot, Supervisor, Target,
    View, Workers,
};
use page::Page;
use std::collections::VecDeque;
use std::fmt::Write;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

const HELP: &str = "\
Usage: cargo bench --bench fleet -- [OPTIONS]

  --write FOLDER  put the answer into FOLDER/budgets.md and FOLDER/fleet.svg
";

const TASKS: u32 = 1000;
/// Requests of each task.
const RATE: u32 = 50;
const BUDGET: u64 = 30_000;
const LENGTH: Duration = Duration::from_hours(1);
const STEP: Duration = Duration::from_millis(500);
/// Jitters, in hundredths of the budget.
const JITTERS: [u64; 4] = [0, 10, 50, 100];
/// What counts as "at once": about as long as a successor takes to boot an ordinary app.
const AT_ONCE: Duration = Duration::from_secs(10);
/// A successor serves after this time.
const BOOT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let folder = match arguments::read(HELP)? {
        Invocation::Bench(folder) => folder,
        Invocation::Other => return Ok(()),
    };
    let page = folder.as_ref().map(|folder| Page::read(&folder.join("budgets.md"), "fleet")).transpose()?;
    let fleets: Vec<_> = JITTERS.into_iter().map(|jitter| (jitter, recycles(jitter))).collect();
    let table = table(&fleets);
    print!("{table}");
    if let Some((folder, page)) = folder.zip(page) {
        fs::write(folder.join("budgets.md"), page.with(&table))?;
        fs::write(folder.join("fleet.svg"), plot(&fleets))?;
    }
    Ok(())
}

/// When recycles began, in all tasks together.
fn recycles(jitter: u64) -> Vec<Duration> {
    let mut all: Vec<_> = (0..TASKS).flat_map(|_| Task::new(jitter).live()).collect();
    all.sort_unstable();
    all
}

/// One ostler with a server that does what it is told.
struct Task {
    supervisor: Supervisor,
    origin: Instant,
    now: Duration,
    serving: GenerationId,
    /// Of the newest generation.
    spawned: Duration,
    recycles: Vec<Duration>,
}

impl Task {
    fn new(jitter: u64) -> Self {
        let budget =
            Budget { requests: Some(BUDGET), requests_jitter: BUDGET * jitter / 100, ..Budget::default() };
        let policy = Policy {
            budget,
            min_age: Duration::from_secs(30),
            stop_signal: Signal::TERM,
            grace_period: Duration::from_secs(25),
            drain_delay: Duration::ZERO,
            restart: Restart::Never,
            cores: None,
            metrics: None,
            disk_warn: None,
            restart_limit: RestartLimit { ends: 5, window: Duration::from_mins(1) },
            follow: Follow::Nobody,
            workers: Workers::Unwatched,
            recipient: Recipient::Leader,
            recycle: Recycle::Handover,
            ready: Ready::Accept,
            ready_timeout: Duration::from_mins(1),
            linger: Duration::from_secs(1),
            watchdog: None,
            signals: Meanings::PLAIN,
            expected: Expected::default(),
            cure: None,
        };
        let origin = Instant::now();
        // As boot draws it: from the kernel's randomness.
        let seed = RandomState::new().hash_one(());
        Self {
            supervisor: Supervisor::new(policy, seed, origin),
            origin,
            now: Duration::ZERO,
            serving: GenerationId(1),
            spawned: Duration::ZERO,
            recycles: Vec::new(),
        }
    }

    fn live(mut self) -> Vec<Duration> {
        while self.now < LENGTH {
            let count = u64::from(RATE) * u64::try_from(STEP.as_millis()).expect("it fits") / 1000;
            self.tell(Event::RequestsServed { id: self.serving, count });
            self.tell(Event::Tick);
            self.now += STEP;
        }
        self.recycles
    }

    /// One event, and all that comes of it at once.
    fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for order in self.supervisor.step(self.origin + self.now, event) {
                self.obey(&order, &mut events);
            }
        }
    }

    fn obey(&mut self, order: &Action, events: &mut VecDeque<Event>) {
        match order {
            Action::Spawn { id, .. } => {
                self.spawned = self.now;
                events.push_back(Event::Spawned { id: *id, pid: Pid(100) });
            }
            Action::Look(id) => {
                let door = if self.now >= self.spawned + BOOT { Door::Open } else { Door::Closed };
                let sight = Sight { door, said_ready: false, workers: Vec::new(), view: View::Clear };
                events.push_back(Event::Looked { id: *id, sight });
            }
            Action::CheckDrain(slot) => {
                events.push_back(Event::DrainChecked { slot: *slot, queue: Queue::Empty });
            }
            Action::Kill { target: Target::Leader(id), .. } => {
                let outcome = Outcome::Ended(ExitStatus::Exited(0));
                events.push_back(Event::Exited { id: *id, outcome, heir: None });
            }
            Action::Reap(id) => events.push_back(Event::GroupGone { id: *id }),
            Action::Log(Notice::HandedOver { to, .. }) => self.serving = *to,
            Action::Log(Notice::RecycleStarted { .. }) => self.recycles.push(self.now),
            Action::Log(_)
            | Action::Kill { .. }
            | Action::Follow { .. }
            | Action::SeekHeir(_)
            | Action::Sweep(_)
            | Action::TidyCores(_)
            | Action::Show { .. }
            | Action::Publish(_)
            | Action::LookAtDisk
            | Action::SearchGrown
            | Action::WatchWorkers(_)
            | Action::Steer(Slot::A | Slot::B)
            | Action::CheckQueue(_)
            | Action::Measure { .. }
            | Action::CountConnections
            | Action::Shed(_)
            | Action::Answer { .. }
            | Action::Exit(_) => {}
        }
    }
}

/// The most recycles that began within `AT_ONCE`, in a time.
fn most_at_once(recycles: &[Duration], from: Duration, to: Duration) -> usize {
    let inside: Vec<_> = recycles.iter().filter(|at| (from..to).contains(at)).collect();
    let ends = inside
        .iter()
        .enumerate()
        .map(|(first, at)| inside.partition_point(|other| **other < **at + AT_ONCE) - first);
    ends.max().unwrap_or(0)
}

fn table(fleets: &[(u64, Vec<Duration>)]) -> String {
    let half = LENGTH / 2;
    let mut text = "| jitter | recycles | at once, first half hour | at once, second half hour |\n\
                    | --- | --- | --- | --- |\n"
        .to_owned();
    for (jitter, recycles) in fleets {
        let [first, second] =
            [(Duration::ZERO, half), (half, LENGTH)].map(|(from, to)| most_at_once(recycles, from, to));
        let total = recycles.len();
        let _ = writeln!(
            text,
            "| {jitter} % of the budget | {total} | {first} of {TASKS} | {second} of {TASKS} |"
        );
    }
    let _ = writeln!(
        text,
        "\n{TASKS} tasks that start at once, {RATE} requests a second each, a budget of {BUDGET}, in virtual time. At once: the most \
         recycles that begin within {AT_ONCE:?}. `cargo bench --bench fleet -- --write docs`"
    );
    text
}

fn plot(fleets: &[(u64, Vec<Duration>)]) -> String {
    let panel = |(jitter, recycles): &(u64, Vec<Duration>)| {
        let bins = LENGTH.as_secs() / AT_ONCE.as_secs();
        let points = (0..bins).map(|bin| {
            let from = AT_ONCE * u32::try_from(bin).expect("it fits");
            let count = recycles.iter().filter(|at| (from..from + AT_ONCE).contains(at)).count();
            (from.as_secs_f64() / 60.0, f64::from(u32::try_from(count).expect("it fits")))
        });
        let points: Vec<_> = points.collect();
        let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
        Panel {
            title: format!("jitter {jitter} %: recycles in each {AT_ONCE:?}, at most {most}"),
            curves: vec![Curve { name: String::new(), points }],
            limit: None,
        }
    };
    let panels: Vec<_> = fleets.iter().map(panel).collect();
    chart::render("Recycles of a fleet of 1,000 tasks", "minutes", &panels)
}
