//! Reads the environment, a group of variables after the other. Every variable
//! is read before anything is made of them, so that all errors are told at once.

use super::reader::{Origin, Reader};
use super::signals::Rewrites;
use super::{
    Config, Endpoint, Limit, Listening, Logging, Memory, Metrics, Overrides, Privileges, Strategy, address,
    limits, signals, values, variables,
};
use crate::count::plan::Choice;
use crate::supervisor::{
    Budget, Follow, Meanings, Policy, Ready, Recycle, Restart, RestartLimit, Signal, Workers,
};
use nix::sys::resource::Resource;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

impl Config {
    /// Reads the `OSTLER_*` variables of an environment.
    ///
    /// # Errors
    /// A line for each variable that is unknown or has a value that cannot be used, with what to write instead.
    pub fn read(environment: &[(OsString, OsString)], overrides: &Overrides) -> Result<Self, Vec<String>> {
        let given = overrides.level;
        let overrides = overrides.with_tinis(environment);
        let level_from = given.map_or(Origin::Environment, |_| Origin::CommandLine);
        let mut reader = Reader::new(environment);
        let cores = reader.read("OSTLER_CORES", "off", values::cores);
        let limits = limits_of(&mut reader, cores.flatten());
        let budgets = Budgets::read(&mut reader);
        let counting = Counting::read(&mut reader);
        let listen = Listening::read(&mut reader);
        let succession = Succession::read(&mut reader);
        let stopping = Stopping::read(&mut reader);
        let ending = Ending::read(&mut reader);
        let privileges = Privileges::read(&mut reader);
        let watching = Watching::read(&mut reader);
        let logging = Logging::read(&mut reader, &overrides);
        if let Some(level) = overrides.level {
            reader.overridden("OSTLER_LOG_LEVEL", values::name(level), level_from);
        }
        let settings = reader.finish(&variables())?;
        // Whatever could not be read is an error above, so what remains is there.
        let config = || {
            let (budgets, counting, stopping, ending) = (budgets?, counting?, stopping?, ending?);
            let watching = watching?;
            let Succession { strategy, ready, health_path, ready_timeout, linger, watchdog } = succession?;
            Some(Self {
                policy: Policy {
                    budget: budgets.budget,
                    min_age: budgets.min_age,
                    stop_signal: stopping.signal,
                    drain_delay: stopping.drain_delay,
                    grace_period: stopping.grace_period,
                    restart: ending.restart,
                    restart_limit: ending.limit,
                    follow: ending.pid_file.as_ref().map_or(Follow::Nobody, |_| Follow::PidFile),
                    recipient: overrides.recipient,
                    // These depend on the command and on what ostler was handed: `strategy` and `count::plan` say what
                    // they are.
                    recycle: Recycle::Restart,
                    workers: Workers::Unwatched,
                    signals: stopping.meanings,
                    cure: None,
                    cores: cores?,
                    metrics: watching.metrics.as_ref().map(Metrics::every),
                    disk_warn: watching.disk_warn,
                    expected: overrides.expected,
                    ready,
                    ready_timeout,
                    linger,
                    watchdog,
                },
                limits,
                memory: budgets.memory,
                count: counting.choice,
                skip: counting.skip,
                forward: counting.forward,
                metrics: watching.metrics,
                privileges: privileges?,
                listen: listen?,
                strategy,
                pid_file: ending.pid_file,
                health_path,
                logging: logging?,
                settings,
            })
        };
        config().ok_or_else(|| vec!["a variable could not be read".into()])
    }
}

fn limits_of(reader: &mut Reader, cores: Option<NonZeroUsize>) -> Vec<(Resource, Limit)> {
    // Who wants core files wants no limit that stops them.
    let core = cores.map_or("0", |_| "max");
    let read = |(name, resource, unit)| {
        let parse = |value: &str| match (resource, limits::parse(value, unit)) {
            (Resource::RLIMIT_CORE, Ok(Limit::Set { soft: 0, .. })) if cores.is_some() => {
                Err("no core file is left to keep for OSTLER_CORES; write max, or OSTLER_CORES=off".into())
            }
            (_, limit) => limit,
        };
        let limit = if resource == Resource::RLIMIT_CORE {
            reader.read(name, core, parse)
        } else {
            reader.read_if_set(name, parse)
        };
        Some((resource, limit?))
    };
    limits::ALL.into_iter().filter_map(read).collect()
}

/// What a generation may use.
struct Budgets {
    budget: Budget,
    memory: Option<Memory>,
    min_age: Duration,
}

impl Budgets {
    // Not inlined, as all groups are not: 1,700 bytes less.
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let requests = reader.read("OSTLER_MAX_REQUESTS", "off", values::requests);
        let requests_jitter = reader.read("OSTLER_MAX_REQUESTS_JITTER", "0", values::whole);
        let age = reader.read("OSTLER_MAX_AGE", "off", values::age);
        let age_jitter = reader.read("OSTLER_MAX_AGE_JITTER", "0", values::duration);
        let memory = reader.read("OSTLER_MAX_MEMORY", "off", values::memory);
        let min_age = reader.read("OSTLER_MIN_AGE", "30s", values::duration);
        let budget = Budget {
            requests: requests?,
            requests_jitter: requests_jitter?,
            age: age?,
            age_jitter: age_jitter?,
            // It may depend on the container's limit.
            memory: None,
        };
        Some(Self { budget, memory: memory?, min_age: min_age? })
    }
}

/// How requests are counted.
struct Counting {
    choice: Choice,
    skip: Vec<String>,
    forward: Option<Endpoint>,
}

impl Counting {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let choice = reader.read("OSTLER_COUNT", "auto", values::choice);
        let skip = reader.read("OSTLER_COUNT_SKIP", "none", values::paths);
        let forward = reader.read("OSTLER_STATSD_FORWARD", "none", values::endpoint);
        Some(Self { choice: choice?, skip: skip?, forward: forward? })
    }
}

impl Listening {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let addresses = reader.read("OSTLER_LISTEN", "none", address::parse);
        let backlog = reader.read("OSTLER_LISTEN_BACKLOG", "2048", values::backlog);
        let mode = reader.read("OSTLER_LISTEN_MODE", "0777", values::mode);
        let owner = reader.read("OSTLER_LISTEN_OWNER", "keep", values::owner);
        let steering = reader.read("OSTLER_STEERING", "auto", values::auto_or_off);
        Some(Self {
            addresses: addresses?,
            backlog: backlog?,
            mode: mode?,
            owner: owner?,
            steering: steering?,
        })
    }
}

/// How a generation is replaced.
struct Succession {
    strategy: Strategy,
    ready: Ready,
    health_path: Option<String>,
    ready_timeout: Duration,
    linger: Duration,
    watchdog: Option<Duration>,
}

impl Succession {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let strategy = reader.read("OSTLER_RECYCLE", "auto", values::strategy);
        let ready = reader.read("OSTLER_READY", "accept", values::ready);
        let health_path = reader.read("OSTLER_HEALTH_PATH", "none", values::path);
        let ready_timeout = reader.read("OSTLER_READY_TIMEOUT", "60s", values::timeout);
        let linger = reader.read("OSTLER_LINGER", "1s", values::duration);
        let watchdog = reader.read("OSTLER_WATCHDOG", "off", values::watchdog);
        Some(Self {
            strategy: strategy?,
            ready: ready?,
            health_path: health_path?,
            ready_timeout: ready_timeout?,
            linger: linger?,
            watchdog: watchdog?,
        })
    }
}

/// How ostler is told to stop, and how it stops.
struct Stopping {
    meanings: Meanings,
    signal: Signal,
    drain_delay: Duration,
    grace_period: Duration,
}

impl Stopping {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let rewrites = reader.read("OSTLER_SIGNALS", "none", signals::parse);
        let signal = reader.read("OSTLER_STOP_SIGNAL", "TERM", signals::stop);
        let drain_delay = reader.read("OSTLER_DRAIN_DELAY", "0", values::duration);
        let grace_period = reader.read("OSTLER_GRACE_PERIOD", "25s", values::duration);
        let Rewrites { meanings, stop } = rewrites?;
        let by = stop.or(signal)?;
        if signal.is_some_and(|signal| ![Signal::TERM, by].contains(&signal)) {
            reader.refuse(
                "OSTLER_SIGNALS and OSTLER_STOP_SIGNAL name two signals to stop by; write one".into(),
            );
        }
        Some(Self { meanings, signal: by, drain_delay: drain_delay?, grace_period: grace_period? })
    }
}

/// What happens when the child ends by itself.
struct Ending {
    restart: Restart,
    limit: RestartLimit,
    pid_file: Option<PathBuf>,
}

impl Ending {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let restart = reader.read("OSTLER_RESTART", "never", values::restart);
        let limit = reader.read("OSTLER_RESTART_LIMIT", "5/1m", values::restart_limit);
        let pid_file = reader.read("OSTLER_PIDFILE", "none", values::pid_file);
        Some(Self { restart: restart?, limit: limit?, pid_file: pid_file? })
    }
}

/// What is told of it all, beside the log.
struct Watching {
    metrics: Option<Metrics>,
    disk_warn: Option<u8>,
}

impl Watching {
    #[inline(never)]
    fn read(reader: &mut Reader) -> Option<Self> {
        let metrics = reader.read("OSTLER_METRICS", "off", values::metrics);
        let disk_warn = reader.read("OSTLER_DISK_WARN", "off", values::percent);
        Some(Self { metrics: metrics?, disk_warn: disk_warn? })
    }
}

impl Logging {
    #[inline(never)]
    fn read(reader: &mut Reader, overrides: &Overrides) -> Option<Self> {
        let format = reader.read("OSTLER_LOG", "text", values::log_format);
        let level = reader.read("OSTLER_LOG_LEVEL", "info", values::level);
        let level = overrides.level.or(level);
        Some(Self { format: format?, level: level?, orphans: overrides.orphans })
    }
}
