//! SIGKILL to a leader, to a worker, to all processes of a generation, in each state of a handover: a real gunicorn,
//! held in the state by gates (gated.py), and what has to come of it.

use super::load::answer;
use super::recycles::{USR2, held, told};
use super::venv::Version;
use super::{Namespace, children, eventually, free_port, kill, state};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

/// How far a handover from generation 1 to generation 2 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Alone,
    /// The successor is there, and its workers load the app.
    Starting,
    /// It has handed over, and the outgoing one lingers.
    Lingering,
    /// The outgoing one has been told to stop, and has a request still.
    Departing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Incumbent,
    Successor,
    Outgoing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Leader,
    Worker,
    All,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This generation serves.
    Serves(usize),
    /// The generation before it serves as long as its successor's gate is closed, and then this one.
    ServesThen(usize),
    /// ostler ends with the status of a leader that was killed.
    Ends,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub stage: Stage,
    pub whose: Whose,
    pub victim: Victim,
    /// `OSTLER_RESTART`.
    pub restart: &'static str,
    /// The log tells of it by this. Empty: its master replaces the worker, and ostler has nothing to tell.
    pub told: &'static str,
    pub end: End,
}

use End::{Ends, Serves, ServesThen};
use Stage::{Alone, Departing, Lingering, Starting};
use Victim::{All, Leader, Worker};
use Whose::{Incumbent, Outgoing, Successor};

const NEVER: &str = "never";
const ALWAYS: &str = "always";

const fn case(
    (stage, whose, victim): (Stage, Whose, Victim),
    restart: &'static str,
    told: &'static str,
    end: End,
) -> Case {
    Case { stage, whose, victim, restart, told, end }
}

pub static CASES: [Case; 25] = [
    case((Alone, Incumbent, Leader), NEVER, "generation-ended", Ends),
    case((Alone, Incumbent, Leader), ALWAYS, "restarting", Serves(2)),
    case((Alone, Incumbent, Worker), NEVER, "worker-ended", Serves(1)),
    case((Alone, Incumbent, All), NEVER, "generation-ended", Ends),
    case((Alone, Incumbent, All), ALWAYS, "restarting", Serves(2)),
    case((Starting, Incumbent, Leader), NEVER, "promoted", Serves(2)),
    case((Starting, Incumbent, Worker), NEVER, "worker-ended", ServesThen(2)),
    case((Starting, Incumbent, All), NEVER, "promoted", Serves(2)),
    case((Starting, Successor, Leader), NEVER, "handover-failed", Serves(1)),
    case((Starting, Successor, Worker), NEVER, "handover-failed", Serves(1)),
    case((Starting, Successor, All), NEVER, "handover-failed", Serves(1)),
    case((Lingering, Incumbent, Leader), NEVER, "taken-back", Serves(1)),
    case((Lingering, Incumbent, Worker), NEVER, "", Serves(2)),
    case((Lingering, Incumbent, All), NEVER, "taken-back", Serves(1)),
    case((Lingering, Outgoing, Leader), NEVER, "generation-ended", Serves(2)),
    case((Lingering, Outgoing, Worker), NEVER, "worker-ended", Serves(2)),
    case((Lingering, Outgoing, All), NEVER, "generation-ended", Serves(2)),
    case((Departing, Incumbent, Leader), NEVER, "generation-ended", Ends),
    case((Departing, Incumbent, Leader), ALWAYS, "restarting", Serves(3)),
    case((Departing, Incumbent, Worker), NEVER, "", Serves(2)),
    case((Departing, Incumbent, All), NEVER, "generation-ended", Ends),
    case((Departing, Incumbent, All), ALWAYS, "restarting", Serves(3)),
    case((Departing, Outgoing, Leader), NEVER, "generation-ended", Serves(2)),
    case((Departing, Outgoing, Worker), NEVER, "generation-ended", Serves(2)),
    case((Departing, Outgoing, All), NEVER, "generation-ended", Serves(2)),
];

/// So many processes does ostler watch that are not its children.
fn watched(init: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{init}/fd")).unwrap().flatten();
    let links = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    links.filter(|link| link.to_string_lossy() == "anon_inode:[pidfd]").count()
}

struct Scene {
    namespace: Namespace,
    port: u16,
    /// A client of the outgoing generation.
    busy: Option<TcpStream>,
}

impl Scene {
    /// Brings a gunicorn into the state.
    fn of(case: &Case) -> Self {
        let port = free_port();
        let mut command = Version::New.command("sync");
        command[1] = "gated:app".into();
        command.extend(["--timeout", "600", "--graceful-timeout", "600"].map(str::to_owned));
        let linger = if case.stage == Lingering { "10m" } else { "100ms" };
        let setup = held(command, port)
            .env("OSTLER_RESTART", case.restart)
            .env("OSTLER_LINGER", linger)
            .env("OSTLER_READY_TIMEOUT", "10m")
            .env("OSTLER_LOG_LEVEL", "debug")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let mut scene = Self { namespace: setup.start(), port, busy: None };
        scene.serves(1);
        scene.has_workers(1);
        let init = scene.namespace.init();
        eventually("ostler watches both workers", || watched(init) == 2);
        match case.stage {
            Alone => {}
            Starting => {
                scene.close("boot");
                scene.namespace.signal(USR2);
                scene.has_workers(2);
            }
            Lingering => scene.hand_over(),
            Departing => {
                scene.close("busy");
                scene.keep_busy();
                scene.hand_over();
                eventually("the idle worker ends", || scene.workers(1).len() == 1);
            }
        }
        scene
    }

    fn close(&self, gate: &str) {
        File::create(self.namespace.folder.path(gate)).unwrap();
    }

    /// There may be none.
    fn open(&self, gate: &str) {
        let _ = fs::remove_file(self.namespace.folder.path(gate));
    }

    fn hand_over(&mut self) {
        self.namespace.signal(USR2);
        self.namespace.wait_for_err(" handed-over: ");
        self.has_workers(2);
    }

    /// Gives a worker a request that it has as long as the gate is closed.
    fn keep_busy(&mut self) {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        client.write_all(b"GET /busy HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let taken = self.namespace.folder.path("taken");
        eventually("a worker has the request", || taken.exists());
        self.busy = Some(client);
    }

    /// The leader of a generation as the log tells it, by its number in the namespace.
    fn own_pid(&self, generation: usize) -> Option<String> {
        let mark = format!(" generation={generation} ");
        let started = self.namespace.events("generation-started");
        let line = started.iter().find(|line| line.contains(&mark))?;
        Some(line.rsplit_once(" pid=")?.1.split(' ').next()?.to_owned())
    }

    /// And as the test calls it.
    fn leader(&self, generation: usize) -> Option<u32> {
        let own = self.own_pid(generation)?;
        children(self.namespace.init()).into_iter().find(|child| {
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            pids.is_some_and(|pids| pids.split_whitespace().last() == Some(&own))
        })
    }

    fn workers(&self, generation: usize) -> Vec<u32> {
        self.leader(generation).map(children).unwrap_or_default()
    }

    fn has_workers(&self, generation: usize) {
        eventually("both workers are there", || self.workers(generation).len() == 2);
    }

    fn serves(&self, generation: usize) {
        eventually(&format!("generation {generation} answers: {}", self.namespace.err()), || {
            let leader = answer(self.port).and_then(|body| String::from_utf8(body).ok());
            leader.is_some() && leader == self.own_pid(generation)
        });
    }

    /// Kills whom the case names, and waits until that is seen.
    fn kill(&mut self, case: &Case) {
        let generation = match (case.stage, case.whose) {
            (Alone | Starting, Incumbent) | (_, Outgoing) => 1,
            (_, Incumbent | Successor) => 2,
        };
        let (before, workers) = (told(&self.namespace, case.told), self.workers(generation));
        let is_seen = |scene: &Self| match case.told {
            "" => {
                let now = scene.workers(generation);
                now.len() == 2 && now != workers
            }
            told_by => told(&scene.namespace, told_by) > before,
        };
        let leader = self.leader(generation).unwrap();
        match case.victim {
            Leader => kill(leader, 9),
            // The leader first, so that it replaces nobody. ostler tells the others to end, too, and may be quicker.
            All => [vec![leader], workers.clone()].concat().into_iter().for_each(kill_if_there),
            // ostler looks at a successor's workers now and then: one that is killed before it was seen is no loss.
            Worker if case.whose == Successor => eventually("the loss of a worker is seen", || {
                if let Some(worker) = self.workers(generation).first() {
                    kill_if_there(*worker);
                }
                sleep(Duration::from_millis(200));
                is_seen(self)
            }),
            Worker => kill(workers[0], 9),
        }
        eventually("what came of it is seen", || is_seen(self));
    }

    fn no_zombie(&self) {
        let init = self.namespace.init();
        eventually("no zombie is left", || {
            let all = children(init).into_iter().flat_map(|child| [vec![child], children(child)].concat());
            all.into_iter().all(|process| state(process) != Some('Z'))
        });
    }
}

/// By SIGKILL. A worker may have ended by itself, and its number be nobody's.
fn kill_if_there(process: u32) {
    match signal::kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("{errno}"),
    }
}

/// From a fresh start to the end.
pub fn run(case: &Case) {
    let mut scene = Scene::of(case);
    scene.kill(case);
    match case.end {
        Serves(_) | Ends => {}
        ServesThen(generation) => scene.serves(generation - 1),
    }
    // Where the server is started again soon the outgoing one is not waited for.
    let hurried = case.stage == Departing && case.restart == ALWAYS;
    if hurried {
        scene.namespace.wait_for_err(" grace-expired: ");
    }
    scene.open("boot");
    scene.open("busy");
    let status = match case.end {
        Serves(generation) | ServesThen(generation) => {
            scene.serves(generation);
            scene.no_zombie();
            // A gunicorn that is told to stop while a worker boots loses the signal.
            scene.has_workers(generation);
            scene.namespace.signal(15);
            0
        }
        Ends => 137,
    };
    assert_eq!(scene.namespace.end(), status, "{}", scene.namespace.err());
    let expired = told(&scene.namespace, "grace-expired");
    // Workers whose master is dead have a second, where it is started again.
    let may_be_late = case.stage == Alone && case.restart == ALWAYS;
    let expected = usize::from(hurried)..=usize::from(hurried || may_be_late);
    assert!(expected.contains(&expired), "{}", scene.namespace.err());
}
