//! Does what was drawn, and undoes in time what has to be undone.

use crate::acts::{Act, BURST, ORPHANS, Whom};
use crate::log::Log;
use crate::processes::{Init, Process, Sent};
use crate::subject::Subject;
use crate::support::fixture;
use crate::support::venv::Version;
use fastrand::Rng;
use nix::sys::signal::Signal;
use std::io::Result;
use std::process::Child;
use std::time::{Duration, Instant};

/// What is started inside ends by then: a recycle is answered at once, orphans are reaped at once. ostler itself may be
/// stopped for three seconds, and the machine is busy.
const HELPER: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Hands {
    stopped: Vec<Stopped>,
    helpers: Vec<Helper>,
}

/// Somebody who is to be continued then.
struct Stopped {
    until: Instant,
    who: Who,
}

enum Who {
    Ostler,
    Below(Process),
}

/// A program that was started inside.
struct Helper {
    name: &'static str,
    child: Child,
    until: Instant,
}

impl Helper {
    /// The kernel ends with the namespace what nsenter has started in it.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of an act.
pub(crate) enum Done {
    /// Words that say to whom.
    Done(String),
    /// There is nobody to whom it could be done.
    Nobody,
}

impl Hands {
    pub(crate) fn act(&mut self, act: Act, subject: &Subject, log: &Log, rng: &mut Rng) -> Result<Done> {
        let init = &subject.init;
        let done = match act {
            Act::Strike(signal, whom) => strike(subject, signal, whom, rng).map(|target| target.pid),
            Act::Stop(whom, time) => strike(subject, Signal::SIGSTOP, whom, rng).map(|target| {
                self.stopped.push(Stopped { until: Instant::now() + time, who: Who::Below(target) });
                target.pid
            }),
            Act::Order(signal) => sent(init, signal),
            Act::Freeze(time) => sent(init, Signal::SIGSTOP).inspect(|_| {
                self.stopped.push(Stopped { until: Instant::now() + time, who: Who::Ostler });
            }),
            Act::Burst(signal) => {
                let arrived = (0..BURST).filter_map(|_| sent(init, signal)).count();
                (arrived > 0).then(|| init.pid())
            }
            Act::Recycle => Some(self.help("ostler --recycle", subject.recycle()?)),
            Act::Orphans => {
                let (python, script) = (Version::New.program("python"), fixture("orphans.py"));
                let total = ORPHANS.to_string();
                let child = subject.inside(&python, &[&script.display().to_string(), &total, "10"])?;
                Some(self.help("orphans.py", child))
            }
            Act::Deaf(time) => {
                log.stick(time);
                Some(init.pid())
            }
        };
        Ok(done.map_or(Done::Nobody, |pid| Done::Done(format!("{act} ({pid})"))))
    }

    fn help(&mut self, name: &'static str, child: Child) -> u32 {
        let pid = child.id();
        self.helpers.push(Helper { name, child, until: Instant::now() + HELPER });
        pid
    }

    /// Is there something that still has to be undone?
    pub(crate) fn are_empty(&self) -> bool {
        self.stopped.is_empty() && self.helpers.is_empty()
    }

    /// Continues those whose time has come. What has been started inside and should have ended is told.
    pub(crate) fn tend(&mut self, init: &Init) -> Vec<String> {
        let now = Instant::now();
        for stopped in self.stopped.extract_if(.., |stopped| stopped.until <= now) {
            // Whoever is gone needs no help.
            let _ = match stopped.who {
                Who::Ostler => init.signal(Signal::SIGCONT),
                Who::Below(process) => init.signal_below(&process, Signal::SIGCONT),
            };
        }
        let ended = |helper: &mut Helper| !matches!(helper.child.try_wait(), Ok(None));
        let mut told = Vec::new();
        self.helpers.retain_mut(|helper| {
            if ended(helper) {
                return false;
            }
            if helper.until <= now {
                told.push(format!("{} has not ended within {HELPER:?}", helper.name));
                helper.end();
                return false;
            }
            true
        });
        told
    }

    /// The namespace is gone, and all that there was in it.
    pub(crate) fn forget(&mut self) {
        self.stopped.clear();
        self.helpers.drain(..).for_each(|mut helper| helper.end());
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.forget();
    }
}

fn sent(init: &Init, signal: Signal) -> Option<u32> {
    (init.signal(signal) == Sent::Sent).then(|| init.pid())
}

/// Sends a signal to one of them.
fn strike(subject: &Subject, signal: Signal, whom: Whom, rng: &mut Rng) -> Option<Process> {
    let init = subject.init.pid();
    let everybody = subject.everybody();
    // The first process of a generation has a group of its own.
    let leads = |process: &Process| process.parent == init && process.group == process.pid;
    let is_meant = |process: &&Process| match whom {
        Whom::Leader => leads(process),
        Whom::Worker => everybody.iter().any(|other| other.pid == process.parent && leads(other)),
        Whom::Anybody => true,
    };
    let meant: Vec<_> = everybody.iter().filter(is_meant).collect();
    let target = **meant.get(rng.usize(..meant.len().max(1)))?;
    (subject.init.signal_below(&target, signal) == Sent::Sent).then_some(target)
}
