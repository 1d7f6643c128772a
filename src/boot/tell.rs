//! What the log tells at boot, before anything is started.

use super::soft_limit;
use crate::config::{Backlog, Chosen, Config, Level, Limit, Listening, Metrics};
use crate::count::plan::Plan;
use crate::log::{Log, Record};
use crate::supervisor::Recycle;
use crate::system::{self, Control, CorePattern, Counting, Held, Outlet, Privileges, SetLimit};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::Resource;
use std::fs;
use std::io;
use std::net::SocketAddr;

pub(super) fn name_of(recycle: Recycle) -> &'static str {
    match recycle {
        Recycle::Handover => "handover",
        Recycle::Restart => "restart",
        Recycle::Reload(_) => "reload",
    }
}

pub(super) fn describe(pattern: CorePattern) -> &'static str {
    match pattern {
        CorePattern::File => "file name: a limit of 0 stops core files",
        CorePattern::Pipe => "pipe: only a limit of 1 stops core dumps",
        CorePattern::Socket => "socket: no limit stops core dumps",
        CorePattern::Unknown => "secret (no /proc): a limit of 1 stops files and pipes",
    }
}

pub(super) fn of_core(log: &mut Log, config: &Config, limits: &[SetLimit], pattern: CorePattern) {
    let soft = soft_limit(limits, Resource::RLIMIT_CORE);
    if config.policy.cores.is_some() {
        return of_cores_to_keep(log, soft, pattern);
    }
    let none = (Resource::RLIMIT_CORE, Limit::Set { soft: 0, hard: 0 });
    if !config.limits.contains(&none) {
        return;
    }
    let (level, message) = match (pattern, soft) {
        (CorePattern::Pipe | CorePattern::Unknown, Some(1)) => {
            (Level::Info, "1 instead of 0, which would not stop a dump to a pipe")
        }
        (CorePattern::Pipe, _) => {
            let message = "core dumps are not stopped: a pipe ignores the hard limit of 0; start the container with --ulimit core=1";
            (Level::Warn, message)
        }
        (CorePattern::Socket, _) => {
            (Level::Warn, "core dumps are not stopped: no limit does that for a socket")
        }
        (CorePattern::File | CorePattern::Unknown, _) => return,
    };
    log.write(&Record::new(level, "core-limit", message).with("core_pattern", describe(pattern)));
}

pub(super) fn of_privileges(log: &mut Log, privileges: &Privileges) {
    let facts = privileges.facts();
    if facts.is_empty() {
        return;
    }
    let record =
        Record::new(Level::Info, "privileges", "what ostler is from here on, and every child with it");
    log.write(&facts.into_iter().fold(record, |record, (name, value)| record.with(name, value)));
}

/// Whoever wants core files wants to know why there will be none.
fn of_cores_to_keep(log: &mut Log, soft: Option<u64>, pattern: CorePattern) {
    let message = match (pattern, soft) {
        (CorePattern::Pipe | CorePattern::Socket, _) => {
            "OSTLER_CORES has no effect: core dumps go to a program of the host, and no file comes here"
        }
        (CorePattern::File | CorePattern::Unknown, Some(0)) => {
            "OSTLER_CORES has no effect: the hard limit of core files is 0; start the container with --ulimit core=-1"
        }
        (CorePattern::File | CorePattern::Unknown, _) => return,
    };
    log.write(&Record::new(Level::Warn, "core-limit", message).with("core_pattern", describe(pattern)));
}

pub(super) fn of_sockets(log: &mut Log, config: &Listening, taken_over: usize, held: &Held) {
    if taken_over > 0 {
        log.write(
            &Record::new(
                Level::Info,
                "sockets-inherited",
                "sockets that ostler was handed are held for the child",
            )
            .with("count", taken_over),
        );
    }
    for address in &config.addresses {
        log.write(
            &Record::new(Level::Info, "listening", "held open for the child")
                .with("address", address.to_string()),
        );
    }
    for (address, why) in &held.shared {
        let message = "generations share this socket, so a handover may reset connections there";
        log.write(
            &Record::new(Level::Warn, "socket-shared", message)
                .with("address", address.to_string())
                .with("error", why.as_str()),
        );
    }
    if !config.addresses.is_empty()
        && let Backlog::Number(wanted) = config.backlog
        && let Some(most) = somaxconn()
        && wanted > most
    {
        let message = "the kernel cuts the backlog; start the container with --sysctl net.core.somaxconn=N";
        log.write(
            &Record::new(Level::Warn, "backlog-cut", message).with("backlog", wanted).with("somaxconn", most),
        );
    }
}

fn somaxconn() -> Option<i32> {
    fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Only where something can be recycled.
pub(super) fn of_strategy(log: &mut Log, config: &Config, held: usize, chosen: &Chosen) {
    if held > 0 || config.has_budget() {
        let message =
            format!("generations are replaced by {}, since {}", name_of(chosen.recycle), chosen.because);
        log.write(&Record::new(Level::Info, "strategy", message).with("recycle", name_of(chosen.recycle)));
    }
}

/// Orphans come to PID 1 by themselves, to others only if they ask for them (prctl(2), `PR_SET_CHILD_SUBREAPER`).
pub(super) fn become_reaper(log: &mut Log) {
    if std::process::id() == 1 {
        return;
    }
    let record = match set_child_subreaper(true) {
        Ok(()) => Record::new(Level::Info, "subreaper", "not PID 1, so orphans of the child are asked for"),
        Err(errno) => {
            Record::new(Level::Warn, "subreaper", "not PID 1 and no sub-reaper: orphans go elsewhere")
                .with("error", errno.desc())
        }
    };
    log.write(&record);
}

pub(super) fn of_advice(log: &mut Log, advice: Vec<String>) {
    for sentence in advice {
        log.write(&Record::new(Level::Warn, "advice", sentence));
    }
}

/// A server whose memory is not measured is better than none.
pub(super) fn of_memory(log: &mut Log, budget: Option<u64>) {
    if budget.is_some()
        && let Err(error) = system::try_memory()
    {
        let message = "OSTLER_MAX_MEMORY has no effect, since /proc cannot be read";
        log.write(&Record::new(Level::Warn, "memory-unseen", message).with("error", error.to_string()));
    }
}

/// A server that is not counted is better than none: a source that cannot be opened is left out.
pub(super) fn of_counting(
    log: &mut Log,
    plan: Option<&mut Plan>,
    skip: &[String],
    forward: Option<SocketAddr>,
) -> Option<Counting> {
    let plan = plan?;
    let telling = plan.telling;
    let counting = Counting { source: plan.source, telling, skip: skip.to_vec(), forward };
    let source = plan.source.name();
    let opened = system::try_source(&counting);
    if let Err(error) = &opened {
        plan.warning = Some(format!("{source} cannot be opened here: {error}; requests are not counted"));
    }
    let record = if let Some(warning) = &plan.warning {
        Record::new(Level::Warn, "count-unsure", warning.clone())
    } else {
        let message = format!("requests are counted by {source}, since {}", plan.because);
        Record::new(Level::Info, "counting", message)
    };
    log.write(&record.with("source", source));
    opened.ok().map(|()| counting)
}

/// A server of which nothing is measured is better than none.
pub(super) fn of_metrics(
    log: &mut Log,
    metrics: Option<&Metrics>,
    address: Option<SocketAddr>,
) -> Option<Outlet> {
    match metrics.map(|metrics| Outlet::open(metrics, address))? {
        Ok(outlet) => Some(outlet),
        Err(error) => {
            let message = "OSTLER_METRICS has no effect: there is no socket to send from";
            log.write(&Record::new(Level::Warn, "no-metrics", message).with("error", error.to_string()));
            None
        }
    }
}

pub(super) fn of_control(log: &mut Log, control: io::Result<Control>) -> Option<Control> {
    match control {
        Ok(control) => Some(control),
        Err(error) => {
            let message = "no control socket: ostler --status, --health and --recycle do not work here";
            log.write(&Record::new(Level::Info, "no-control", message).with("error", error.to_string()));
            None
        }
    }
}
