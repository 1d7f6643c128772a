//! From arguments and environment to a supervisor, an edge and a log. Straight-line, and the only code that may fail.

mod ask;
mod check;
mod doctor;
mod look;
mod tell;

pub use ask::{health, metrics, recycle, status};
pub use check::{check, print};
pub use doctor::doctor;

use crate::config::{Config, Level, Memory, Metrics, Overrides, Steering};
use crate::log::{Log, Record};
use crate::supervisor::{Budget, Cure, Policy, Ready, Recycle, Signal, Supervisor};
use crate::system::{
    self, Between, Control, CorePattern, Inherited, LookOut, Program, SetLimit, Signals, Sockets, System,
    Word,
};
use anyhow::{Context, Result, anyhow, bail};
use look::{Outlook, look_at};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::Resource;
use nix::sys::signal::Signal as Known;
use std::ffi::{CString, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

/// Everything that [`run`](crate::run) needs.
#[derive(Debug)]
pub struct Booted {
    pub(crate) supervisor: Supervisor,
    pub(crate) system: System,
    pub(crate) log: Log,
}

/// Reads the environment, resolves limits, opens sockets. Nothing is started.
///
/// # Errors
/// Everything that is wrong, a line each, with the variable and what to write instead.
pub fn boot(
    signals: io::Result<Signals>,
    overrides: &Overrides,
    command: Vec<OsString>,
) -> Result<Box<Booted>> {
    let signals = signals.context("cannot catch signals")?;
    let environment: Vec<_> = std::env::vars_os().collect();
    let config = Config::read(&environment, overrides).map_err(all)?;
    set_up(signals, overrides, config, environment, command)
}

/// All but reading the configuration. Not inlined: the stack that this
/// takes would be below that which reading takes, and not in its place.
#[inline(never)]
fn set_up(
    signals: Signals,
    overrides: &Overrides,
    config: Config,
    environment: Vec<(OsString, OsString)>,
    command: Vec<OsString>,
) -> Result<Box<Booted>> {
    let own = config.listen.addresses.len();
    let inherited = Inherited::take(own).map_err(anyhow::Error::msg)?;
    let held = inherited.len() + own;
    let Outlook { chosen, mut plan, between, workers, advice } =
        look_at(&config, held, &command, &environment).map_err(anyhow::Error::msg)?;
    let pattern = CorePattern::read();
    let memory = memory_budget(config.memory);
    let forward = config
        .forward
        .as_ref()
        .map(|endpoint| system::look_up("OSTLER_STATSD_FORWARD", endpoint))
        .transpose();
    let statsd = metrics_address(config.metrics.as_ref());
    let (memory, forward, statsd) = match (memory, forward, statsd) {
        (Ok(memory), Ok(forward), Ok(statsd)) => (memory, forward, statsd),
        (memory, forward, statsd) => {
            return Err(all([memory.err(), forward.err(), statsd.err()].into_iter().flatten()));
        }
    };

    let sockets = match (chosen.recycle, config.listen.steering) {
        (Recycle::Handover, Steering::Auto) => Sockets::Own,
        (Recycle::Handover, Steering::Off) | (Recycle::Restart | Recycle::Reload(_), _) => Sockets::Shared,
    };
    let taken_over = inherited.len();
    let limits = system::resolve_limits(&config.limits, pattern);
    let privileges = system::resolve_privileges(&config.privileges);
    let opened = system::listen(&config.listen, inherited, sockets, privileges.as_ref().ok());
    let (limits, privileges, opened) = match (limits, privileges, opened) {
        (Ok(limits), Ok(privileges), Ok(opened)) => (limits, privileges, opened),
        (limits, privileges, opened) => {
            let errors = [limits.err(), privileges.err(), opened.err()];
            return Err(all(errors.into_iter().flatten().flatten()));
        }
    };
    hand_over_is_possible(&limits, held)?;

    let mut log = Log::new(config.logging);
    log.write(
        &Record::new(Level::Info, "boot", concat!("ostler ", env!("CARGO_PKG_VERSION")))
            .with("pid", std::process::id()),
    );
    // What needs root has been done: what follows finds what the rest of ostler's life will be like.
    system::without_memory_in_cores(&limits);
    let mut advice = advice;
    advice.extend(privileges.take_effect().map_err(anyhow::Error::msg)?);
    advice.extend(config.policy.cores.and_then(|_| system::no_core_can_be_left()));
    // The kernel forgets it when the user changes.
    overrides.parent_death.map(die_with_parent).transpose()?;
    tell::of_privileges(&mut log, &privileges);
    tell::of_core(&mut log, &config, &limits, pattern);
    tell::of_sockets(&mut log, &config.listen, taken_over, &opened);
    tell::of_strategy(&mut log, &config, held, &chosen);
    tell::become_reaper(&mut log);
    tell::of_advice(&mut log, advice);
    tell::of_memory(&mut log, memory);
    let counting = tell::of_counting(&mut log, plan.as_mut(), &config.skip, forward);
    let outlet = tell::of_metrics(&mut log, config.metrics.as_ref(), statsd);
    let control = tell::of_control(&mut log, Control::open());

    // std keys its hash maps with the kernel's randomness,
    // getrandom(2), and falls back by itself where that is refused.
    let seed = RandomState::new().hash_one(());
    let budget = Budget { memory, ..config.policy.budget };
    let heard = counting.as_ref().and(plan.and_then(|plan| plan.cure));
    let cure = heard.map(|cure| Cure(cure.to_owned()));
    let policy =
        Policy { recycle: chosen.recycle, signals: chosen.signals, workers, budget, cure, ..config.policy };
    let notify = if policy.ready == Ready::Notify { Word::Wanted } else { Word::Unwanted };
    let argv = command
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect::<Result<_, _>>()
        .context("an argument holds a byte 0")?;
    let program = Program {
        argv,
        environment,
        limits,
        privileges,
        held: opened,
        counting,
        pid_file: config.pid_file,
        health_path: config.health_path,
        between: if held > 0 { between } else { Between::Nothing },
        notify,
        cores: policy.cores.map_or(LookOut::None, |_| LookOut::Kept),
        outlet,
    };
    let supervisor = Supervisor::new(policy, seed, Instant::now());
    // Boxed: each move would be another copy on a stack that is never left.
    Ok(Box::new(Booted { supervisor, system: System::new(signals, program, control), log }))
}

/// Where the statsd is that metrics go to, if they do.
fn metrics_address(metrics: Option<&Metrics>) -> Result<Option<SocketAddr>, String> {
    match metrics {
        Some(Metrics::Statsd(endpoint)) => system::look_up("OSTLER_METRICS", endpoint).map(Some),
        Some(Metrics::Emf { .. }) | None => Ok(None),
    }
}

/// The child opens the held sockets at 3, 4, ..., under the limit that it is given.
fn hand_over_is_possible(limits: &[SetLimit], sockets: usize) -> Result<()> {
    let needed = sockets as u64 + 3;
    let soft = soft_limit(limits, Resource::RLIMIT_NOFILE);
    if sockets > 0 && soft.is_some_and(|soft| soft < needed) {
        bail!("OSTLER_ULIMIT_NOFILE: too few for the sockets of OSTLER_LISTEN; write {needed} at least");
    }
    Ok(())
}

/// What ostler gets when its own parent ends (prctl(2), `PR_SET_PDEATHSIG`).
fn die_with_parent(signal: Signal) -> Result<()> {
    let known = Known::try_from(signal.0).context("-p: write a signal that has a name")?;
    set_pdeathsig(known).context("-p: the kernel refuses it")
}

/// The memory budget in bytes.
///
/// # Errors
/// It is a share of a limit that there is not.
fn memory_budget(wanted: Option<Memory>) -> Result<Option<u64>, String> {
    match wanted {
        None => Ok(None),
        Some(Memory::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Memory::Percent(percent)) => match system::memory_limit() {
            // Limits are below 2^62.
            Some(limit) => {
                Ok(Some(limit / 100 * u64::from(percent) + limit % 100 * u64::from(percent) / 100))
            }
            None => Err(format!(
                "OSTLER_MAX_MEMORY={percent}%: this container has no memory limit that could be seen from inside; write a \
                 size, such as 800MiB, or start it with one (docker run --memory)"
            )),
        },
    }
}

/// Several errors as one, a line each.
fn all(lines: impl IntoIterator<Item = String>) -> anyhow::Error {
    anyhow!(lines.into_iter().collect::<Vec<_>>().join("\n"))
}

/// The soft limit that a child gets, if it is set at all.
fn soft_limit(limits: &[SetLimit], wanted: Resource) -> Option<u64> {
    limits.iter().find(|(resource, ..)| *resource == wanted).map(|(_, soft, _)| *soft)
}
