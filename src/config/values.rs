//! How the values of variables are written. Every error says what to write instead.

use super::signals::signal;
use super::{Backlog, Endpoint, Level, LogFormat, Memory, Metrics, Owner, Steering, Strategy, Who};
use crate::count::Source;
use crate::count::plan::Choice;
use crate::supervisor::{Ready, Recycle, Restart, RestartLimit};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than any container lives, and short enough that adding it to the clock cannot overflow.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// A whole number.
pub(super) fn whole(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| "write a whole number, such as 5000".into())
}

/// A budget in requests: a whole number; `off` and `0` turn it off.
pub(super) fn requests(value: &str) -> Result<Option<u64>, String> {
    match value {
        "off" => Ok(None),
        _ => value
            .parse()
            .map(|number| Some(number).filter(|number| *number > 0))
            .map_err(|_| "write a whole number of requests, such as 5000, or off".into()),
    }
}

/// A duration: `250ms`, `30s`, `5m`, `24h`, `1h 30m`; a bare number is seconds.
pub(super) fn duration(value: &str) -> Result<Duration, String> {
    let duration = match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // To humantime 5M is five months.
        Err(_) if value.contains(char::is_uppercase) => None,
        Err(_) => humantime::parse_duration(value).ok(),
    };
    match duration {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err("that is over 10 years; write 365d at most".into()),
        None => Err("write a duration, such as 250ms, 30s, 5m or 24h".into()),
    }
}

/// A budget in time; `off` and `0` turn it off.
pub(super) fn age(value: &str) -> Result<Option<Duration>, String> {
    match value {
        "off" => Ok(None),
        _ => duration(value)
            .map(|age| Some(age).filter(|age| !age.is_zero()))
            .map_err(|error| format!("{error}, or off")),
    }
}

/// No server is smaller: whoever writes less has left out the unit.
const LEAST_MEMORY: u64 = 1 << 20;

/// A budget in bytes, or in hundredths of the container's limit; `off` and `0` turn it off.
pub(super) fn memory(value: &str) -> Result<Option<Memory>, String> {
    let cure =
        || "write a size, such as 512MiB, a share of the container's limit, such as 80%, or off".to_owned();
    let percent = |text: &str| text.parse().ok().filter(|percent| *percent <= 100).map(Memory::Percent);
    match value.strip_suffix('%') {
        _ if value == "off" => Ok(None),
        Some(text) => percent(text).ok_or_else(cure).map(Some),
        None => match parse_size::parse_size(value) {
            Ok(bytes @ 1..LEAST_MEMORY) => {
                Err(format!("that is {bytes} bytes; write a size with its unit, such as 800MiB"))
            }
            Ok(bytes) => Ok(Some(Memory::Bytes(bytes))),
            Err(_) => Err(cure()),
        },
    }
    .map(|memory| memory.filter(|memory| !matches!(memory, Memory::Bytes(0) | Memory::Percent(0))))
}

/// Beginnings of paths, comma-separated; or none.
pub(super) fn paths(value: &str) -> Result<Vec<String>, String> {
    if value == "none" {
        return Ok(Vec::new());
    }
    let paths = value.split(',').map(str::trim);
    paths
        .map(|path| {
            let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
            is_path.then(|| path.to_owned())
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "write beginnings of paths, such as /healthz,/ping, or none".into())
}

/// `host:port`, or none.
pub(super) fn endpoint(value: &str) -> Result<Option<Endpoint>, String> {
    if value == "none" {
        return Ok(None);
    }
    let parsed = value.rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_host = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
        let port = port.parse().ok().filter(|port| *port != 0)?;
        is_host.then(|| Endpoint { host: host.to_owned(), port })
    });
    parsed.map(Some).ok_or_else(|| "write host:port, such as 10.0.0.1:8125, or none".into())
}

/// `emf:60s`, `emf:60s:NAME`, `statsd:host:port`, or off.
pub(super) fn metrics(value: &str) -> Result<Option<Metrics>, String> {
    const CURE: &str = "write emf:60s, emf:60s:NAME, statsd:10.0.0.1:8125, or off";
    let metrics = match value.split_once(':') {
        None if value == "off" => return Ok(None),
        Some(("emf", rest)) => {
            let (every, service) =
                rest.split_once(':').map_or((rest, None), |(every, name)| (every, Some(name)));
            let is_name = |name: &str| {
                (1..=250).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
            };
            match (duration(every), service) {
                (Ok(every), _) if every < Duration::from_secs(1) => {
                    return Err("write a second or more, such as emf:60s".into());
                }
                (Ok(every), None) => Some(Metrics::Emf { every, service: None }),
                (Ok(every), Some(name)) if is_name(name) => {
                    Some(Metrics::Emf { every, service: Some(name.to_owned()) })
                }
                (Ok(_) | Err(_), _) => None,
            }
        }
        Some(("statsd", rest)) => endpoint(rest).ok().flatten().map(Metrics::Statsd),
        Some(_) | None => None,
    };
    metrics.map(Some).ok_or_else(|| CURE.into())
}

/// `80%`, or off.
pub(super) fn percent(value: &str) -> Result<Option<u8>, String> {
    if value == "off" {
        return Ok(None);
    }
    let number = value.strip_suffix('%').and_then(|number| number.parse().ok());
    number
        .filter(|number| (1..=99).contains(number))
        .map(Some)
        .ok_or_else(|| "write 1% to 99%, or off".into())
}

/// Where requests are counted.
pub(super) fn choice(value: &str) -> Result<Choice, String> {
    match value {
        "auto" => Ok(Choice::Auto),
        "statsd" => Ok(Choice::Only(Source::Statsd)),
        "access-log" => Ok(Choice::Only(Source::AccessLog)),
        "stdout" => Ok(Choice::Only(Source::Stdout)),
        "connections" => Ok(Choice::Only(Source::Connections)),
        _ => Err("write auto, statsd, access-log, stdout or connections".into()),
    }
}

/// A duration that is not 0.
pub(super) fn timeout(value: &str) -> Result<Duration, String> {
    match duration(value)? {
        Duration::ZERO => Err("write a duration over 0, such as 60s".into()),
        some => Ok(some),
    }
}

/// A duration of a second or more; `off` and `0` turn it off.
pub(super) fn watchdog(value: &str) -> Result<Option<Duration>, String> {
    let parsed = if value == "off" { Ok(Duration::ZERO) } else { duration(value) };
    match parsed {
        Ok(Duration::ZERO) => Ok(None),
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(Some(duration)),
        Ok(_) | Err(_) => Err("write a duration of 1s or more, such as 30s, or off".into()),
    }
}

/// How a generation is recycled.
pub(super) fn strategy(value: &str) -> Result<Strategy, String> {
    match value.split_once(':').unwrap_or((value, "HUP")) {
        ("auto", _) if value == "auto" => Ok(Strategy::Auto),
        ("handover", _) if value == "handover" => Ok(Strategy::Only(Recycle::Handover)),
        ("restart", _) if value == "restart" => Ok(Strategy::Only(Recycle::Restart)),
        ("reload", name) => match signal(name) {
            // These end it, or stop it for ever.
            Some(signal) if ![2, 3, 9, 15, 19].contains(&signal.0) => {
                Ok(Strategy::Only(Recycle::Reload(signal)))
            }
            Some(_) | None => Err("write a signal by which the program reloads, such as reload:HUP".into()),
        },
        _ => Err("write auto, handover, restart, reload or reload:SIGNAL".into()),
    }
}

/// What happens when the child ends by itself.
pub(super) fn restart(value: &str) -> Result<Restart, String> {
    match value {
        "never" => Ok(Restart::Never),
        "on-failure" => Ok(Restart::OnFailure),
        "always" => Ok(Restart::Always),
        _ => Err("write never, on-failure or always".into()),
    }
}

/// `5/1m`: so many ends in so much time.
pub(super) fn restart_limit(value: &str) -> Result<RestartLimit, String> {
    let parsed = value.split_once('/').and_then(|(ends, window)| {
        let window = duration(window.trim()).ok().filter(|window| !window.is_zero())?;
        Some(RestartLimit { ends: ends.trim().parse().ok()?, window })
    });
    parsed.ok_or_else(|| "write a number and a duration, such as 5/1m".into())
}

/// The path of a file, or none.
pub(super) fn pid_file(value: &str) -> Result<Option<PathBuf>, String> {
    match value {
        "none" => Ok(None),
        _ if value.starts_with('/') => Ok(Some(value.into())),
        _ => Err("write the whole path, such as /run/nginx.pid, or none".into()),
    }
}

/// When a successor counts as ready.
pub(super) fn ready(value: &str) -> Result<Ready, String> {
    match value.split_once(':') {
        None if value == "accept" => Ok(Ready::Accept),
        None if value == "notify" => Ok(Ready::Notify),
        Some(("delay", time)) => duration(time).map(Ready::Delay),
        Some(_) | None => Err("write accept, notify or delay:10s".into()),
    }
}

/// The path of a health request, or none.
pub(super) fn path(value: &str) -> Result<Option<String>, String> {
    match value {
        "none" => Ok(None),
        _ if value.starts_with('/') && value.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(value.to_owned()))
        }
        _ => Err("write a path as it stands in a request, such as /healthz".into()),
    }
}

/// On or off.
pub(super) fn auto_or_off(value: &str) -> Result<Steering, String> {
    match value {
        "auto" => Ok(Steering::Auto),
        "off" => Ok(Steering::Off),
        _ => Err("write auto or off".into()),
    }
}

/// How many connections may wait.
pub(super) fn backlog(value: &str) -> Result<Backlog, String> {
    match value.parse() {
        Ok(number @ 1..=4096) => Ok(Backlog::Number(number)),
        Err(_) if value == "max" => Ok(Backlog::Max),
        Ok(_) | Err(_) => {
            Err("write a number from 1 to 4096, or max (what net.core.somaxconn allows)".into())
        }
    }
}

/// The mode of a file, in octal.
pub(super) fn mode(value: &str) -> Result<u32, String> {
    u32::from_str_radix(value, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && !value.starts_with('+'))
        .ok_or_else(|| "write a mode in octal, such as 0660".into())
}

/// `keep`, `app`, `app:web`, `1000:1000`.
pub(super) fn owner(value: &str) -> Result<Option<Owner>, String> {
    // What useradd(8) lets a name be made of.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-$".contains(&byte);
    let who = |text: &str| match text.parse() {
        Ok(id) => Some(Who::Id(id)),
        Err(_) if text.is_empty() || !text.bytes().all(plain) => None,
        Err(_) => Some(Who::Name(text.to_owned())),
    };
    if value == "keep" {
        return Ok(None);
    }
    let (user, group) = value.split_once(':').map_or((value, None), |(user, group)| (user, Some(group)));
    match (who(user), group.map(who)) {
        (Some(user), None) => Ok(Some(Owner { user, group: None })),
        (Some(user), Some(Some(group))) => Ok(Some(Owner { user, group: Some(group) })),
        (None, _) | (_, Some(None)) => Err("write a user or user:group, such as app:web or 1000:1000".into()),
    }
}

/// `off`, `keep:2`: how many core files are left.
pub(super) fn cores(value: &str) -> Result<Option<NonZeroUsize>, String> {
    const MOST: usize = 1000;
    if value == "off" {
        return Ok(None);
    }
    let number = value.strip_prefix("keep:").and_then(|number| number.parse().ok());
    let number = number.filter(|number: &NonZeroUsize| number.get() <= MOST);
    number.map(Some).ok_or_else(|| format!("write keep:N, such as keep:1, N up to {MOST}, or off"))
}

/// How log lines look.
pub(super) fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "off" => Ok(LogFormat::Off),
        _ => Err("write text, json or off".into()),
    }
}

/// tini's verbosity: errors, warnings, the course of things, everything.
pub(super) fn verbosity(number: u64) -> Level {
    match number {
        0 => Level::Error,
        1 => Level::Warn,
        2 => Level::Info,
        3.. => Level::Debug,
    }
}

pub(super) fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// What is logged.
pub(super) fn level(value: &str) -> Result<Level, String> {
    match value {
        "error" => Ok(Level::Error),
        "warn" => Ok(Level::Warn),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        _ => Err("write error, warn, info or debug".into()),
    }
}

#[cfg(test)]
mod tests;
