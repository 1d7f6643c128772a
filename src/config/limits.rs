//! `OSTLER_ULIMIT_*`: every name that setrlimit(2) knows, in the syntax of `docker run --ulimit`.

use nix::sys::resource::{RLIM_INFINITY, Resource};

/// What a limit is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As ostler got it.
    Keep,
    /// The soft limit as high as the hard one.
    Max,
    /// These; `u64::MAX` is unlimited.
    Set {
        /// What the process may use.
        soft: u64,
        /// How far the process itself may raise the soft limit.
        hard: u64,
    },
}

/// What a limit counts.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// Bytes, which may be written as sizes.
    Bytes,
    /// Anything else.
    Number,
}

/// Every limit: its variable, what setrlimit(2) calls it, and what it counts.
pub(super) const ALL: [(&str, Resource, Unit); 16] = [
    ("OSTLER_ULIMIT_AS", Resource::RLIMIT_AS, Unit::Bytes),
    ("OSTLER_ULIMIT_CORE", Resource::RLIMIT_CORE, Unit::Bytes),
    ("OSTLER_ULIMIT_CPU", Resource::RLIMIT_CPU, Unit::Number),
    ("OSTLER_ULIMIT_DATA", Resource::RLIMIT_DATA, Unit::Bytes),
    ("OSTLER_ULIMIT_FSIZE", Resource::RLIMIT_FSIZE, Unit::Bytes),
    ("OSTLER_ULIMIT_LOCKS", Resource::RLIMIT_LOCKS, Unit::Number),
    ("OSTLER_ULIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, Unit::Bytes),
    ("OSTLER_ULIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE, Unit::Bytes),
    ("OSTLER_ULIMIT_NICE", Resource::RLIMIT_NICE, Unit::Number),
    ("OSTLER_ULIMIT_NOFILE", Resource::RLIMIT_NOFILE, Unit::Number),
    ("OSTLER_ULIMIT_NPROC", Resource::RLIMIT_NPROC, Unit::Number),
    ("OSTLER_ULIMIT_RSS", Resource::RLIMIT_RSS, Unit::Bytes),
    ("OSTLER_ULIMIT_RTPRIO", Resource::RLIMIT_RTPRIO, Unit::Number),
    ("OSTLER_ULIMIT_RTTIME", Resource::RLIMIT_RTTIME, Unit::Number),
    ("OSTLER_ULIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING, Unit::Number),
    ("OSTLER_ULIMIT_STACK", Resource::RLIMIT_STACK, Unit::Bytes),
];

/// The variable that sets this limit.
#[must_use]
pub fn variable(resource: Resource) -> &'static str {
    ALL.iter().find(|(_, each, _)| *each == resource).map_or("OSTLER_ULIMIT_*", |(name, _, _)| name)
}

/// A limit as people write it.
#[must_use]
pub fn written(limit: u64) -> String {
    if limit == RLIM_INFINITY { "unlimited".into() } else { limit.to_string() }
}

/// `0`, `65536`, `1024:65536`, `8MiB`, `unlimited`, `max`, `keep`.
pub(super) fn parse(value: &str, unit: Unit) -> Result<Limit, String> {
    match value {
        "keep" => return Ok(Limit::Keep),
        "max" => return Ok(Limit::Max),
        _ => {}
    }
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let (soft, hard) = (number(soft, unit)?, number(hard, unit)?);
    if soft > hard {
        return Err("the soft limit, which comes first, must not be over the hard one".into());
    }
    Ok(Limit::Set { soft, hard })
}

fn number(value: &str, unit: Unit) -> Result<u64, String> {
    if matches!(value, "unlimited" | "-1") {
        return Ok(RLIM_INFINITY);
    }
    let (number, example) = match unit {
        Unit::Bytes => (parse_size::parse_size(value).ok(), "64MiB"),
        Unit::Number => (value.parse().ok(), "65536"),
    };
    number.ok_or_else(|| {
        format!("write soft or soft:hard, such as {example} or 0:unlimited; max (soft = hard); or keep")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_docker_takes_and_more() {
        let set = |soft, hard| Ok(Limit::Set { soft, hard });
        for (text, unit, limit) in [
            ("0", Unit::Bytes, set(0, 0)),
            ("65536:65536", Unit::Number, set(65536, 65536)),
            ("1024:65536", Unit::Number, set(1024, 65536)),
            ("8MiB", Unit::Bytes, set(8 << 20, 8 << 20)),
            ("0:unlimited", Unit::Bytes, set(0, RLIM_INFINITY)),
            ("-1", Unit::Number, set(RLIM_INFINITY, RLIM_INFINITY)),
            ("unlimited", Unit::Number, set(RLIM_INFINITY, RLIM_INFINITY)),
            ("max", Unit::Number, Ok(Limit::Max)),
            ("keep", Unit::Number, Ok(Limit::Keep)),
        ] {
            assert_eq!(parse(text, unit), limit, "{text}");
        }
        for text in ["", ":", "1:", ":1", "2:1", "unlimited:1", "many", "1:2:3", "-2", "8MiB"] {
            assert!(parse(text, Unit::Number).is_err(), "{text}");
        }
    }

    #[test]
    fn every_limit_has_its_own_name() {
        for (name, resource, _) in ALL {
            assert_eq!(variable(resource), name);
            assert_eq!(format!("OSTLER_ULIMIT_{resource:?}"), name.replace("ULIMIT_", "ULIMIT_RLIMIT_"));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (parse(&text, Unit::Bytes), parse(&text, Unit::Number));
        }
    }
}
