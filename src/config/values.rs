//! How the values of variables are written. Every error says what to write instead.

use super::{Level, LogFormat};
use crate::count::Source;
use crate::count::plan::Choice;
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

/// Where requests are counted.
pub(super) fn choice(value: &str) -> Result<Choice, String> {
    match value {
        "auto" => Ok(Choice::Auto),
        "statsd" => Ok(Choice::Only(Source::Statsd)),
        "access-log" => Ok(Choice::Only(Source::AccessLog)),
        _ => Err("write auto, statsd or access-log".into()),
    }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("30", 30_000),
            ("0", 0),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("1h 30m", 5_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1", "5x", "1.5", "soon", "5M", "99999999999999999999", "99999999999999d", "11y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn budgets() {
        assert_eq!(requests("off"), Ok(None));
        assert_eq!(requests("0"), Ok(None));
        assert_eq!(requests("00"), Ok(None));
        assert_eq!(requests("500"), Ok(Some(500)));
        for text in ["", "5k", "-1", "1.5", "none"] {
            assert!(requests(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (whole(&text), requests(&text), duration(&text), choice(&text), level(&text));
        }
    }
}
