//! The environment in, a `Config` out, or every error at once. Plain data: nothing here touches the system.

mod address;
mod advice;
pub mod limits;
mod reader;
mod values;

pub use address::Address;
pub use advice::advice;
pub use limits::Limit;
pub use reader::{Origin, Setting};

use crate::count::plan::Choice;
use crate::supervisor::{Budget, Policy, Recipient};
use nix::sys::resource::Resource;
use reader::Reader;
use std::ffi::OsString;

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

/// What tini's flags say, where they overlap with variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// `-g`: who gets forwarded signals.
    pub recipient: Recipient,
    /// `-v`: the log level.
    pub level: Option<Level>,
    /// `-w`: the level at which reaped orphans are told.
    pub orphans: Level,
}

impl Default for Overrides {
    fn default() -> Self {
        Self { recipient: Recipient::Leader, level: None, orphans: Level::Debug }
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
    /// Where requests are counted.
    pub count: Choice,
    /// What ostler listens on for the child.
    pub listen: Vec<Address>,
    /// The log.
    pub logging: Logging,
    /// All of it as written, with where it comes from.
    pub settings: Vec<Setting>,
}

/// Every variable but the limits.
const VARIABLES: [&str; 8] = [
    "OSTLER_MAX_REQUESTS",
    "OSTLER_MAX_REQUESTS_JITTER",
    "OSTLER_COUNT",
    "OSTLER_MIN_AGE",
    "OSTLER_LISTEN",
    "OSTLER_GRACE_PERIOD",
    "OSTLER_LOG",
    "OSTLER_LOG_LEVEL",
];

/// Every variable there is.
pub fn variables() -> impl Iterator<Item = &'static str> + Clone {
    VARIABLES.into_iter().chain(limits::ALL.iter().map(|(name, _, _)| *name))
}

impl Config {
    /// Reads the `OSTLER_*` variables of an environment.
    ///
    /// # Errors
    /// A line for each variable that is unknown or has a value that cannot be used, with what to write instead.
    pub fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, Vec<String>> {
        let mut reader = Reader::new(environment);
        let limits: Vec<_> = limits::ALL
            .into_iter()
            .filter_map(|(name, resource, unit)| {
                let parse = |value: &str| limits::parse(value, unit);
                let limit = if resource == Resource::RLIMIT_CORE {
                    reader.read(name, "0", parse)
                } else {
                    reader.read_if_set(name, parse)
                };
                Some((resource, limit?))
            })
            .collect();
        let requests = reader.read("OSTLER_MAX_REQUESTS", "off", values::requests);
        let requests_jitter = reader.read("OSTLER_MAX_REQUESTS_JITTER", "0", values::whole);
        let count = reader.read("OSTLER_COUNT", "auto", values::choice);
        let min_age = reader.read("OSTLER_MIN_AGE", "30s", values::duration);
        let listen = reader.read("OSTLER_LISTEN", "none", address::parse);
        let grace_period = reader.read("OSTLER_GRACE_PERIOD", "25s", values::duration);
        let format = reader.read("OSTLER_LOG", "text", values::log_format);
        let level = reader.read("OSTLER_LOG_LEVEL", "info", values::level);
        if overrides.level.is_some() {
            reader.overridden("OSTLER_LOG_LEVEL", "debug");
        }
        let settings = reader.finish(&variables())?;
        // Whatever could not be read is an error above, so what remains is there.
        let config = || {
            Some(Self {
                policy: Policy {
                    budget: Budget { requests: requests?, requests_jitter: requests_jitter? },
                    min_age: min_age?,
                    grace_period: grace_period?,
                    recipient: overrides.recipient,
                },
                limits,
                count: count?,
                listen: listen?,
                logging: Logging {
                    format: format?,
                    level: overrides.level.or(level)?,
                    orphans: overrides.orphans,
                },
                settings,
            })
        };
        config().ok_or_else(|| vec!["a variable could not be read".into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::time::Duration;

    fn read(environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let pairs = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Config::read(pairs, &Overrides::default())
    }

    #[test]
    fn defaults() {
        let config = read(&[("PATH", "/bin"), ("TINI_SUBREAPER", "1")]).unwrap();
        assert_eq!(config.limits, [(Resource::RLIMIT_CORE, Limit::Set { soft: 0, hard: 0 })]);
        assert_eq!(config.policy.budget, Budget { requests: None, requests_jitter: 0 });
        assert_eq!(config.policy.min_age, Duration::from_secs(30));
        assert_eq!(config.policy.grace_period, Duration::from_secs(25));
        assert_eq!(config.count, Choice::Auto);
        assert!(config.listen.is_empty());
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
    fn bytes_that_are_not_utf_8_are_an_error_not_a_panic() {
        let value = OsString::from_vec(b"\xff".to_vec());
        let errors = Config::read([("OSTLER_LOG".into(), value)], &Overrides::default()).unwrap_err();
        assert!(errors.concat().contains("write text, json or off"), "{errors:?}");
        let name = OsString::from_vec(b"OSTLER_\xff".to_vec());
        assert!(Config::read([(name, "1".into())], &Overrides::default()).is_err());
    }

    #[test]
    fn the_command_line_wins() {
        let overrides = Overrides { level: Some(Level::Debug), ..Overrides::default() };
        let config = Config::read([("OSTLER_LOG_LEVEL".into(), "warn".into())], &overrides).unwrap();
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
