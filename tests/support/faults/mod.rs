//! Faults on purpose: each system call that ostler makes fails in its turn, while a server is recycled, a signal passed
//! on, an orphan reaped, a worker lost. strace does it, from outside, and to ostler alone: it does not follow forks.

pub mod calls;
pub mod strace;

use super::load::answer;
use super::{
    Namespace, Setup, children, eventually, eventually_some, fixture, free_port, kill, ticks,
    ticks_in_a_second,
};
use calls::{Call, Errno};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use strace::Strace;

/// A server that is told to stop ends with this.
pub const STATUS: i32 = 7;
/// So long a recycle is waited for that a fault may keep from ever succeeding.
const WINDOW: Duration = Duration::from_secs(4);

/// Which of the calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    First,
    /// The first, and then every third.
    NowAndThen,
    Always,
}

impl When {
    fn words(self) -> &'static str {
        match self {
            Self::First => "1..5",
            Self::NowAndThen => "1+3",
            Self::Always => "1+",
        }
    }
}

/// One call, one error.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub call: &'static Call,
    pub errno: Errno,
    pub when: When,
}

/// What becomes of the server when nothing fails any more.
enum After {
    Recycled,
    /// It has refused a signal, as another user's does: it is not replaced, since it could not be told to stop.
    Kept,
}

impl Cell {
    fn after(&self) -> After {
        if self.call.is("kill") && self.errno == "EPERM" { After::Kept } else { After::Recycled }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// So many calls failed.
    pub injected: usize,
    /// Was the server recycled while they did?
    pub recycled: bool,
    /// What the log told of beyond the usual, while they did.
    pub told: BTreeSet<String>,
}

/// All that are tried: each error now and then; the first of each call in a row, and for ever where that can be borne.
pub fn cells() -> Vec<Cell> {
    let of = |call: &'static Call| {
        let each = call.errnos.iter().map(move |errno| (*errno, When::NowAndThen));
        let first = call.errnos.first().map(|errno| (*errno, When::First));
        let always = call.unbearable.is_none().then(|| (call.errnos[0], When::Always));
        each.chain(first).chain(always).map(move |(errno, when)| Cell { call, errno, when })
    };
    calls::CALLS.iter().flat_map(of).collect()
}

/// A server of which all is watched that ostler can watch.
pub struct Stage {
    pub namespace: Namespace,
    port: u16,
    asking: Option<Child>,
}

impl Stage {
    pub fn new() -> Self {
        let port = free_port();
        let setup = Setup::ostler(["./gunicorn", "app:app"]);
        // What is called gunicorn is looked after as a gunicorn is.
        fs::copy(fixture("small.py"), setup.folder().path("gunicorn")).unwrap();
        let mut namespace = [
            ("OSTLER_LISTEN", format!("127.0.0.1:{port},unix:app.sock").as_str()),
            ("OSTLER_COUNT", "statsd"),
            ("OSTLER_MAX_REQUESTS", "100000"),
            ("OSTLER_MAX_MEMORY", "1GiB"),
            ("OSTLER_READY", "notify"),
            ("OSTLER_READY_TIMEOUT", "2s"),
            ("OSTLER_HEALTH_PATH", "/"),
            ("OSTLER_LINGER", "100ms"),
            ("OSTLER_WATCHDOG", "10s"),
            ("OSTLER_MIN_AGE", "1s"),
            ("OSTLER_LOG_LEVEL", "debug"),
        ]
        .iter()
        .fold(setup, |setup, (name, value)| setup.env(name, value))
        .start();
        namespace.wait_for_out("serves");
        let stage = Self { namespace, port, asking: None };
        eventually("the server answers", || stage.server().is_some());
        stage
    }

    /// Who answers.
    fn server(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&answer(self.port)?).into_owned())
    }

    /// The same as soon as somebody does: a handover may be under way, and its outgoing generation loses who is late.
    fn answers(&self) -> String {
        eventually_some("somebody answers", || self.server())
    }

    /// Passes a signal on, by which the server leaves ostler an orphan, and waits until that is reaped.
    fn orphan(&self) {
        let orphans = || self.namespace.out().matches("orphan").count();
        let before = orphans();
        self.namespace.signal(10);
        let mut asked = Instant::now();
        eventually("the signal is passed on", || {
            // It may be among what fails.
            if asked.elapsed() > Duration::from_secs(1) {
                self.namespace.signal(10);
                asked = Instant::now();
            }
            orphans() > before
        });
        let init = self.namespace.init();
        let zombies = || children(init).into_iter().filter(|child| super::state(*child) == Some('Z')).count();
        eventually("no zombie is left", || zombies() == 0);
    }

    /// A worker of the server's is killed; it starts another.
    fn lose_worker(&self) {
        let leader = children(self.namespace.init())[0];
        if let [worker] = children(leader)[..] {
            kill(worker, 9);
        }
        self.answers();
    }

    /// Asks for a recycle, in every way and again and again. Is it done within so long?
    fn recycle(&mut self, within: Duration) -> bool {
        let (before, start) = (self.answers(), Instant::now());
        if self.asking.is_none() {
            self.asking = Some(ask_for_recycle(self.namespace.init()));
        }
        let mut asked = start;
        while start.elapsed() < within {
            sleep(Duration::from_millis(20));
            // One that is taken back has served too, for a moment.
            let is_another = self.server().is_some_and(|server| server != before);
            if is_another && children(self.namespace.init()).len() == 1 {
                return true;
            }
            // Of a recycle that is under way that is no more than a line in the log.
            if asked.elapsed() > Duration::from_secs(1) {
                self.namespace.signal(12);
                asked = Instant::now();
            }
        }
        false
    }

    fn alive(&mut self) {
        assert!(!self.namespace.ended(), "ostler has ended: {}", self.namespace.err());
    }

    /// SIGTERM ends it, with the server's status, and before anybody had to be killed.
    pub fn stop(&mut self) {
        self.namespace.signal(15);
        assert_eq!(self.namespace.end(), STATUS, "{}", self.namespace.err());
        assert!(self.namespace.events("grace-expired").is_empty(), "{}", self.namespace.err());
    }

    /// What the log has told as a warning or an error.
    fn told(&self) -> BTreeSet<String> {
        let err = self.namespace.err();
        let unusual =
            err.lines().filter(|line| line.contains(" ostler warn ") || line.contains(" ostler error "));
        let names = unusual.filter_map(|line| line.split(' ').nth(3)?.strip_suffix(':'));
        names.map(str::to_owned).collect()
    }

    /// All that goes on in a life.
    pub fn live(&mut self, within: Duration) -> bool {
        self.orphan();
        self.lose_worker();
        self.recycle(within)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(asking) = &mut self.asking {
            let _ = asking.kill();
            let _ = asking.wait();
        }
    }
}

/// `ostler --recycle`, executed inside.
fn ask_for_recycle(init: u32) -> Child {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--user", "--preserve-credentials", "--pid", "--mount", "--target", &init.to_string()]);
    nsenter.args([super::OSTLER, "--recycle"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// One cell, from a fresh start.
pub fn run(cell: &Cell) -> Seen {
    let mut stage = Stage::new();
    let init = stage.namespace.init();
    let trace = stage.namespace.folder.path("trace");
    let strace = Strace::inject(init, &trace, cell.call.names, cell.errno, cell.when.words());
    let (began, used) = (Instant::now(), ticks(init));
    let recycled = stage.live(WINDOW);
    stage.alive();
    let told = stage.told();
    if cell.when == When::Always {
        // Who is traced has not much of the processor: what spins makes thousands of calls.
        let (before, look) = (injected(&trace), Instant::now());
        assert!(ticks_in_a_second(init) < 50, "it spins: {}", stage.namespace.err());
        let calls = u128::try_from(injected(&trace) - before).unwrap() * 1000 / look.elapsed().as_millis();
        assert!(calls < 1000, "it spins, {calls} calls in a second: {}", stage.namespace.err());
        stage.answers();
    } else {
        // Some calls are made only now and then.
        eventually("a call fails", || injected(&trace) > 0);
        strace.detach();
        stage.alive();
        stage.orphan();
        match cell.after() {
            After::Recycled => {
                assert!(stage.recycle(super::LIMIT), "no recycle any more: {}", stage.namespace.err());
            }
            After::Kept => {
                assert!(!stage.recycle(WINDOW), "it was recycled: {}", stage.namespace.err());
                assert!(told.contains("signal-refused"), "{}", stage.namespace.err());
            }
        }
        // In hundredths of a second both.
        let (used, elapsed) = (ticks(init) - used, began.elapsed().as_millis() / 10);
        assert!(u128::from(used) * 2 < elapsed, "it has used {used} of {elapsed} ticks");
    }
    stage.stop();
    let injected = injected(&trace);
    assert!(injected > 0, "nothing failed");
    Seen { injected, recycled, told }
}

fn injected(trace: &Path) -> usize {
    fs::read_to_string(trace).unwrap().lines().filter(|line| line.ends_with("(INJECTED)")).count()
}
