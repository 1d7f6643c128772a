//! One cell of the matrix: a server under load, recycled again and again in one way.

use crate::figures::{Cell, Measured};
use crate::load::Load;
use crate::matrix::{Server, Strategy};
use crate::support::load::{answer, answers};
use crate::support::{LIMIT, Namespace, Setup, children, eventually, free_port};
use nix::sys::signal::Signal;
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How every cell of a run is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) recycles: u32,
    /// From the beginning of a recycle to that of the next one, unless it takes longer.
    pub(crate) every: Duration,
    /// Requests a second.
    pub(crate) rate: u32,
}

impl Plan {
    /// How long it takes if no recycle takes long.
    pub(crate) fn length(&self) -> Duration {
        self.every * self.recycles + self.rest()
    }

    /// The least time between a recycle's end and what follows. A gunicorn that is told to stop while a worker boots
    /// loses the signal, and the backlog of a gap is to be worked off.
    fn rest(&self) -> Duration {
        self.every / 2
    }

    /// A worker's own budget: two workers that share the load are to be replaced once in the time of a recycle.
    fn max_requests(&self) -> u128 {
        u128::from(self.rate) * self.every.as_millis() / 1000 / 2
    }
}

/// Measures a cell. Without recycles it takes `length`. Whatever goes wrong is told in the cell.
pub(crate) fn measure(server: Server, label: &str, strategy: Strategy, plan: Plan, length: Duration) -> Cell {
    let measured = || {
        let mut subject = Subject::start(server, strategy, plan);
        let load = Load::start(subject.port, plan.rate);
        let begin = Instant::now();
        subject.live(length);
        sleep(plan.rest());
        let seconds = begin.elapsed().as_secs_f64().round();
        let tally = load.end();
        Measured { seconds, fresh: tally.fresh.figures(), reused: tally.reused.figures() }
    };
    let result = catch_unwind(AssertUnwindSafe(measured)).map_err(|panic| message(&*panic));
    Cell { server: label.to_owned(), strategy, result }
}

fn message(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// The server of a cell, under ostler.
struct Subject {
    server: Server,
    strategy: Strategy,
    plan: Plan,
    port: u16,
    namespace: Namespace,
}

impl Subject {
    /// Starts it, and waits until all its workers serve.
    fn start(server: Server, strategy: Strategy, plan: Plan) -> Self {
        let port = free_port();
        let namespace = start(server, strategy, plan, port);
        let mut subject = Self { server, strategy, plan, port, namespace };
        let mut workers = BTreeSet::new();
        eventually("all workers serve", || {
            subject.assert_alive();
            workers.extend(answer(port));
            workers.len() >= server.workers()
        });
        subject
    }

    /// All the recycles of its life.
    fn live(&mut self, length: Duration) {
        match self.strategy {
            Strategy::Never => sleep(length.saturating_sub(self.plan.rest())),
            Strategy::MaxRequests => self.wait_for_new_workers(),
            Strategy::Handover
            | Strategy::Overlap
            | Strategy::Restart
            | Strategy::StopStart
            | Strategy::Hup => {
                for number in 1..=self.plan.recycles {
                    let next = Instant::now() + self.plan.every;
                    self.recycle(number);
                    let next = next.max(Instant::now() + self.plan.rest());
                    sleep(next.saturating_duration_since(Instant::now()));
                }
            }
        }
    }

    /// One recycle, to the end: what was before is gone, and what comes after serves.
    fn recycle(&mut self, number: u32) {
        match self.strategy {
            Strategy::Handover | Strategy::Overlap | Strategy::Restart => {
                self.signal(Signal::SIGUSR2);
                self.wait_for("recycle-started", number);
                if self.strategy != Strategy::Restart {
                    // One that fails costs nothing, and must not pass for one that was done.
                    self.wait_for("handed-over", number);
                }
                self.wait_for("generation-ended", number);
            }
            Strategy::StopStart => {
                self.signal(Signal::SIGTERM);
                self.namespace.end();
                self.namespace = start(self.server, self.strategy, self.plan, self.port);
            }
            Strategy::Hup => {
                let before = self.workers();
                self.signal(Signal::SIGHUP);
                eventually("new workers, and none of the old", || {
                    self.assert_alive();
                    let now = self.workers();
                    now.len() == self.server.workers() && now.is_disjoint(&before)
                });
            }
            Strategy::Never | Strategy::MaxRequests => {}
        }
        eventually("it serves again", || {
            self.assert_alive();
            answers(self.port)
        });
    }

    /// Waits until ostler's log has told so often of this.
    fn wait_for(&mut self, event: &str, number: u32) {
        let wanted = usize::try_from(number).expect("it fits");
        eventually(&format!("{event}, number {number}"), || {
            self.assert_alive();
            self.namespace.events(event).len() >= wanted
        });
    }

    /// Waits until gunicorn has replaced as many workers as the other strategies do.
    fn wait_for_new_workers(&mut self) {
        let recycles = usize::try_from(self.plan.recycles).expect("it fits");
        let wanted = self.server.workers() * (1 + recycles);
        let end = Instant::now() + self.plan.length() * 2 + LIMIT;
        loop {
            self.assert_alive();
            let booted = self.namespace.err().matches("Booting worker").count();
            if booted >= wanted {
                break;
            }
            assert!(Instant::now() < end, "{booted} of {wanted} workers were started in time");
            sleep(Duration::from_millis(100));
        }
    }

    fn assert_alive(&mut self) {
        assert!(!self.namespace.ended(), "the server has ended");
    }

    fn signal(&self, signal: Signal) {
        self.namespace.signal(signal as i32);
    }

    /// The children of gunicorn's master.
    fn workers(&self) -> BTreeSet<u32> {
        let master = children(self.namespace.init()).first().copied();
        master.map(children).unwrap_or_default().into_iter().collect()
    }
}

/// The server under ostler, set up for a strategy.
fn start(server: Server, strategy: Strategy, plan: Plan, port: u16) -> Namespace {
    let held = strategy.held();
    let mut command = server.command(held, port);
    if strategy == Strategy::MaxRequests {
        command.extend(["--max-requests".to_owned(), plan.max_requests().to_string()]);
    }
    let mut setup = Setup::ostler(command);
    if held {
        setup = setup.env("OSTLER_LISTEN", format!("127.0.0.1:{port}"));
    }
    let settings: &[_] = match strategy {
        Strategy::Handover => &[("OSTLER_RECYCLE", "handover")],
        Strategy::Overlap => &[("OSTLER_RECYCLE", "handover"), ("OSTLER_STEERING", "off")],
        Strategy::Restart => &[("OSTLER_RECYCLE", "restart")],
        Strategy::Never | Strategy::StopStart | Strategy::MaxRequests | Strategy::Hup => &[],
    };
    for (name, value) in settings {
        setup = setup.env(name, value);
    }
    if (server, strategy) == (Server::Uvicorn, Strategy::Overlap) {
        // On a shared socket nobody can tell from outside when a server without workers is ready.
        setup = setup.env("OSTLER_READY", "delay:3s");
    }
    setup.start()
}
