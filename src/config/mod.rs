//! The environment in, a `Config` out, or every error at once. Plain data: nothing here touches the system.

mod address;
mod advice;
pub mod limits;
mod overrides;
pub mod privileges;
mod read;
mod reader;
mod shell;
mod signals;
mod strategy;
mod values;

pub use address::Address;
pub use advice::advice;
pub use limits::Limit;
pub use overrides::Overrides;
pub use privileges::{NewPrivileges, Privileges};
pub use reader::{Origin, Setting};
pub use shell::stays;
pub(crate) use signals::signal;
pub use strategy::{Chosen, Strategy, strategy};

use crate::count::plan::Choice;
use crate::supervisor::{Budget, Policy};
use nix::sys::resource::Resource;
use std::path::PathBuf;
use std::time::Duration;

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something may not work for long, or is not what was asked for.
    Warn,
    /// The course of things.
    Info,
    /// Every signal and every orphan.
    Debug,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
    /// No log.
    Off,
}

/// How the sockets that are held are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub addresses: Vec<Address>,
    /// How many connections may wait.
    pub backlog: Backlog,
    /// Who may connect to a unix socket: the mode of its file.
    pub mode: u32,
    /// Whose the file of a unix socket is to be; `None`: ostler's.
    pub owner: Option<Owner>,
    /// May every generation have a socket of its own?
    pub steering: Steering,
}

/// How many connections may wait to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// So many.
    Number(i32),
    /// As many as the kernel allows (`net.core.somaxconn`).
    Max,
}

/// Whether the kernel is asked to tell the connections of two generations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Wherever that can be done.
    Auto,
    /// Generations share one socket.
    Off,
}

/// A user, and perhaps a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Who,
    /// The group; `None`: as it is.
    pub group: Option<Who>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// A memory budget as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// So many.
    Bytes(u64),
    /// So much of the container's limit, 1 to 100.
    Percent(u8),
}

/// Where something is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An address, or a name.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

/// Where metrics go by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// To stdout, as CloudWatch's embedded metrics.
    Emf {
        /// So often.
        every: Duration,
        /// Their dimension, `Service`.
        service: Option<String>,
    },
    /// To a statsd.
    Statsd(Endpoint),
}

impl Metrics {
    /// How often they are sent. A statsd sums up what it got in ten seconds (its `flushInterval`).
    #[must_use]
    pub fn every(&self) -> Duration {
        match self {
            Self::Emf { every, .. } => *every,
            Self::Statsd(_) => Duration::from_secs(10),
        }
    }
}

/// What the log is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// How lines look.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: Level,
    /// The level of a reaped orphan's line.
    pub orphans: Level,
}

/// Everything that ostler was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the supervisor decides by.
    pub policy: Policy,
    /// The limits of the child.
    pub limits: Vec<(Resource, Limit)>,
    /// The memory budget; `policy` has it once the container's limit is known.
    pub memory: Option<Memory>,
    /// Where requests are counted.
    pub count: Choice,
    /// Requests of paths that begin like this do not count.
    pub skip: Vec<String>,
    /// Where the datagrams go on to that were counted.
    pub forward: Option<Endpoint>,
    /// Where metrics go by themselves; `None`: nowhere.
    pub metrics: Option<Metrics>,
    /// Who the child is, and what it may do.
    pub privileges: Privileges,
    /// What ostler listens on for the child.
    pub listen: Listening,
    /// How a generation is to be recycled.
    pub strategy: Strategy,
    /// Where a program that puts itself into the background writes the pid of its server.
    pub pid_file: Option<PathBuf>,
    /// The path that a successor must answer with 2xx.
    pub health_path: Option<String>,
    /// The log.
    pub logging: Logging,
    /// All of it as written, with where it comes from.
    pub settings: Vec<Setting>,
}

/// Every variable but the limits.
const VARIABLES: [&str; 36] = [
    "OSTLER_MAX_REQUESTS",
    "OSTLER_MAX_REQUESTS_JITTER",
    "OSTLER_MAX_AGE",
    "OSTLER_MAX_AGE_JITTER",
    "OSTLER_MAX_MEMORY",
    "OSTLER_COUNT",
    "OSTLER_COUNT_SKIP",
    "OSTLER_STATSD_FORWARD",
    "OSTLER_MIN_AGE",
    "OSTLER_LISTEN",
    "OSTLER_LISTEN_BACKLOG",
    "OSTLER_LISTEN_MODE",
    "OSTLER_LISTEN_OWNER",
    "OSTLER_STEERING",
    "OSTLER_RECYCLE",
    "OSTLER_READY",
    "OSTLER_HEALTH_PATH",
    "OSTLER_READY_TIMEOUT",
    "OSTLER_LINGER",
    "OSTLER_WATCHDOG",
    "OSTLER_SIGNALS",
    "OSTLER_STOP_SIGNAL",
    "OSTLER_DRAIN_DELAY",
    "OSTLER_GRACE_PERIOD",
    "OSTLER_RESTART",
    "OSTLER_RESTART_LIMIT",
    "OSTLER_PIDFILE",
    "OSTLER_CORES",
    "OSTLER_USER",
    "OSTLER_CAPS",
    "OSTLER_NO_NEW_PRIVS",
    "OSTLER_UMASK",
    "OSTLER_METRICS",
    "OSTLER_DISK_WARN",
    "OSTLER_LOG",
    "OSTLER_LOG_LEVEL",
];

/// Every variable there is.
pub fn variables() -> impl Iterator<Item = &'static str> + Clone {
    VARIABLES.into_iter().chain(limits::ALL.iter().map(|(name, _, _)| *name))
}

impl Config {
    /// Is a generation recycled by itself at all?
    #[must_use]
    pub fn has_budget(&self) -> bool {
        let Budget { requests, age, .. } = &self.policy.budget;
        requests.is_some() || age.is_some() || self.memory.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn read(environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let pairs = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Config::read(&pairs.collect::<Vec<_>>(), &Overrides::default())
    }

    #[test]
    fn defaults() {
        let config = read(&[("PATH", "/bin"), ("TINI_SUBREAPER", "1")]).unwrap();
        assert_eq!(config.limits, [(Resource::RLIMIT_CORE, Limit::Set { soft: 0, hard: 0 })]);
        assert_eq!(config.policy.budget, Budget::default());
        assert_eq!(config.policy.min_age, Duration::from_secs(30));
        assert_eq!(config.policy.grace_period, Duration::from_secs(25));
        assert_eq!(config.count, Choice::Auto);
        assert!(config.listen.addresses.is_empty());
        assert!(config.settings.iter().all(|setting| setting.origin == Origin::Default));
    }

    #[test]
    fn an_empty_variable_is_as_if_not_set() {
        let empty: Vec<_> = variables().map(|name| (name, "")).collect();
        assert_eq!(read(&empty).unwrap(), read(&[]).unwrap());
    }

    #[test]
    fn all_errors_at_once() {
        let errors = read(&[
            ("OSTLER_MAX_REQUESTS", "5k"),
            ("OSTLER_GRACE_PERIOD", "soon"),
            ("OSTLER_ULIMIT_NOFILE", "many"),
            ("OSTLER_MAX_REQUEST", "500"),
            ("OSTLER_ULIMIT_NFILE", "1"),
            ("OSTLER_WORKERS", "4"),
            ("OSTLER_LISTEN", "localhost:80"),
        ])
        .unwrap_err();
        assert_eq!(errors.len(), 7, "{errors:#?}");
        for cure in [
            "OSTLER_MAX_REQUESTS=5k: write a whole number of requests, such as 5000, or off",
            "OSTLER_MAX_REQUEST: there is no such variable; the nearest is OSTLER_MAX_REQUESTS",
            "OSTLER_WORKERS: there is no such variable; ostler --help lists them",
            "OSTLER_ULIMIT_NFILE: there is no such variable; the nearest is OSTLER_ULIMIT_NOFILE",
        ] {
            assert!(errors.iter().any(|error| error == cure), "{cure} in {errors:#?}");
        }
    }

    #[test]
    fn a_service_of_kubernetes_may_be_called_as_ostler_is() {
        let service = [
            ("OSTLER_SERVICE_HOST", "10.0.0.1"),
            ("OSTLER_SERVICE_PORT", "80"),
            ("OSTLER_SERVICE_PORT_HTTP", "80"),
            ("OSTLER_PORT", "tcp://10.0.0.1:80"),
            ("OSTLER_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("OSTLER_WEB_SERVICE_HOST", "10.0.0.2"),
            ("OSTLER_WEB_PORT_80_TCP", "tcp://10.0.0.2:80"),
            ("OSTLER_MAX_REQUESTS", "500"),
        ];
        assert_eq!(read(&service).unwrap().policy.budget.requests, Some(500));
        // The control: without a Service such a name is a mistake, and so is what no Service is called by.
        for name in ["OSTLER_PORT", "OSTLER_SERVICE_PORT", "OSTLER_WEB_PORT"] {
            assert!(read(&[(name, "80")]).is_err(), "{name}");
        }
        let with = |name| read(&[service.as_slice(), &[(name, "1")]].concat());
        assert!(with("OSTLER_PORTS").is_err() && with("OSTLER_SERVER_PORT").is_err());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_an_error_not_a_panic() {
        let value = OsString::from_vec(b"\xff".to_vec());
        let errors = Config::read(&[("OSTLER_LOG".into(), value)], &Overrides::default()).unwrap_err();
        assert!(errors.concat().contains("write text, json or off"), "{errors:?}");
        let name = OsString::from_vec(b"OSTLER_\xff".to_vec());
        assert!(Config::read(&[(name, "1".into())], &Overrides::default()).is_err());
    }

    #[test]
    fn the_command_line_wins() {
        let overrides = Overrides { level: Some(Level::Debug), ..Overrides::default() };
        let config = Config::read(&[("OSTLER_LOG_LEVEL".into(), "warn".into())], &overrides).unwrap();
        assert_eq!(config.logging.level, Level::Debug);
        let setting = config.settings.iter().find(|setting| setting.name == "OSTLER_LOG_LEVEL").unwrap();
        assert_eq!(setting.origin, Origin::CommandLine);
    }

    #[test]
    fn every_variable_is_read_and_none_is_invented() {
        let all: Vec<_> = variables().map(|name| (name, "?")).collect();
        let errors = read(&all).unwrap_err();
        for name in variables() {
            assert!(errors.iter().any(|error| error.starts_with(&format!("{name}=?: "))), "{name}");
        }
    }
}
