//! How signals are written, and what they are taken for: `TERM=QUIT,HUP=,USR2=@recycle`.

use crate::supervisor::{Meaning, Meanings, Signal};
use nix::sys::signal::Signal as Known;
use std::collections::BTreeSet;

/// The first real-time signal that the C library leaves to programs (signal(7)), and the last.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal by its name, with or without SIG, or by its number. Real-time signals are `RTMIN+3` or 37.
pub(crate) fn signal(name: &str) -> Option<Signal> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Ok(number) = name.parse() {
        return Some(Signal(number)).filter(|_| (1..=REAL_TIME.1).contains(&number));
    }
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse().ok()? };
        let number = REAL_TIME.0.checked_add(offset).filter(|number| *number <= REAL_TIME.1);
        return number.filter(|_| offset >= 0).map(Signal);
    }
    format!("SIG{name}").parse::<Known>().ok().map(|known| Signal(known as i32))
}

/// What signals are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rewrites {
    pub(super) meanings: Meanings,
    /// What the child is stopped by if ostler gets SIGTERM.
    pub(super) stop: Option<Signal>,
}

/// `TERM=QUIT,HUP=,USR2=@recycle`; or none.
pub(super) fn parse(value: &str) -> Result<Rewrites, String> {
    let mut named = BTreeSet::new();
    let mut rewrites = Rewrites { meanings: Meanings::PLAIN, stop: None };
    for pair in value.split(',').map(str::trim).filter(|_| value != "none") {
        let (from, to) =
            pair.split_once('=').ok_or("write pairs, such as TERM=QUIT,HUP=,USR2=@recycle, or none")?;
        let from = signal(from.trim()).filter(|signal| !UNHEARD.contains(&signal.0)).ok_or_else(|| {
            format!("{pair} names no signal that can be caught and sent on; write one such as HUP or USR1")
        })?;
        if !named.insert(from.0) {
            return Err(format!("{pair} names a signal for the second time; write it once"));
        }
        let meaning = match to.trim() {
            "" => Meaning::Nothing,
            "@recycle" => Meaning::Recycle,
            name => signal(name).map(Meaning::Other).ok_or_else(|| {
                format!("{pair} names no signal; write one such as QUIT, nothing at all, or @recycle")
            })?,
        };
        match (from, meaning) {
            // It is still the stop, with all that belongs to it.
            (Signal::TERM, Meaning::Other(stop)) if can_stop(stop) => rewrites.stop = Some(stop),
            (Signal::TERM, _) => {
                return Err(format!(
                    "{pair}: then nothing could stop ostler; write a signal that stops the program, such as TERM=QUIT"
                ));
            }
            (from, meaning) => rewrites.meanings = rewrites.meanings.with(from, meaning),
        }
    }
    Ok(rewrites)
}

/// They cannot be caught, or are ostler's own, or faults, or the C library's.
const UNHEARD: [i32; 8] = [4, 8, 9, 11, 17, 19, 32, 33];

/// A signal by which a program can be asked to stop.
pub(super) fn stop(value: &str) -> Result<Signal, String> {
    signal(value)
        .filter(|signal| can_stop(*signal))
        .ok_or_else(|| "write a signal by which the program stops, such as TERM, QUIT or INT".into())
}

/// SIGKILL asks nobody; the others stop, continue, or do nothing unless a program says otherwise, and none of them says
/// "end" to any (signal(7)).
fn can_stop(signal: Signal) -> bool {
    // KILL; CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG.
    signal.0 != 9 && !(17..=23).contains(&signal.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_or_by_number() {
        for (text, number) in [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("15", Some(15)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMIN", Some(34)),
            ("RTMIN+30", Some(64)),
            ("64", Some(64)),
            ("RTMIN+31", None),
            ("RTMIN-1", None),
            ("RTMIN+-1", None),
            ("RTMIN+2147483647", None),
            ("0", None),
            ("65", None),
            ("-15", None),
            ("term", Some(15)),
            ("sigterm", Some(15)),
            ("tERMINATE", None),
            ("", None),
        ] {
            assert_eq!(signal(text).map(|signal| signal.0), number, "{text}");
        }
    }

    #[test]
    fn what_signals_are_taken_for() {
        let plain = Rewrites { meanings: Meanings::PLAIN, stop: None };
        assert_eq!(parse("none"), Ok(plain));
        let rewrites = parse("TERM=QUIT, HUP=,USR2=@recycle,SIGUSR1=USR2,38=RTMIN+3").unwrap();
        assert_eq!(rewrites.stop, Some(Signal::QUIT));
        for (signal, meaning) in [
            (Signal::TERM, Meaning::Itself),
            (Signal::HUP, Meaning::Nothing),
            (Signal::USR2, Meaning::Recycle),
            (Signal(10), Meaning::Other(Signal::USR2)),
            (Signal(38), Meaning::Other(Signal(37))),
            (Signal::INT, Meaning::Itself),
        ] {
            assert_eq!(rewrites.meanings.of(signal), meaning, "{signal:?}");
        }
        for (text, cure) in [
            ("HUP", "write pairs"),
            ("", "write pairs"),
            ("HUP=NOPE", "HUP=NOPE names no signal; write one such as QUIT"),
            ("HUP=@restart", "or @recycle"),
            ("HUP=,SIGHUP=TERM", "names a signal for the second time"),
            ("TERM=CHLD", "nothing could stop ostler"),
            ("KILL=TERM", "KILL=TERM names no signal that can be caught"),
            ("CHLD=", "can be caught and sent on"),
            ("TERM=", "nothing could stop ostler"),
            ("TERM=KILL", "nothing could stop ostler"),
            ("TERM=@recycle", "nothing could stop ostler"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
}
