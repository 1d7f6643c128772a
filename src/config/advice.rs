//! What works, but not as its user may think: a command and a configuration that do not fit together.

use super::{Address, Config, Steering};
use crate::count::gunicorn::{DAEMON, Gunicorn, MAX_REQUESTS, PID_FILE, REUSE_PORT, program, words};
use crate::supervisor::{Ready, Recycle};

/// A sentence for each, with what to write instead. `held` sockets are handed to the child, which is recycled by `recycle`.
#[must_use]
pub fn advice(
    config: &Config,
    argv: &[String],
    gunicorn: Option<&Gunicorn>,
    held: usize,
    recycle: Recycle,
) -> Vec<String> {
    let sets = |setting| gunicorn.is_some_and(|gunicorn| gunicorn.get(setting).is_some());
    let has_budget = config.has_budget();
    let shared = config.listen.addresses.is_empty() || config.listen.steering == Steering::Off;
    let is_delay = matches!(config.policy.ready, Ready::Delay(_));
    let is_tcp = |address: &Address| matches!(address, Address::Tcp(_));
    let all = [
        (
            has_budget && held == 0 && recycle == Recycle::Restart,
            "clients are refused between two generations; let ostler hold the sockets with OSTLER_LISTEN",
        ),
        (
            has_budget && sets(&MAX_REQUESTS),
            "gunicorn's own --max-requests still recycles its workers; remove it",
        ),
        (
            held > 0 && sets(&REUSE_PORT),
            "with --reuse-port the newest gunicorn does not take the held sockets; remove it",
        ),
        (sets(&DAEMON), "with --daemon gunicorn's first process ends at once, and ostler with it; remove it"),
        (
            held > 0 && sets(&PID_FILE) && recycle == Recycle::Handover,
            "with --pid a successor finds the file of the incumbent, and ends; remove it, or write \
             OSTLER_RECYCLE=restart",
        ),
        (
            config.health_path.is_some() && recycle != Recycle::Handover,
            "OSTLER_HEALTH_PATH has no effect, since generations are not handed over; write OSTLER_LISTEN and \
             OSTLER_RECYCLE=handover",
        ),
        (
            config.health_path.is_some() && recycle == Recycle::Handover && (shared || is_delay),
            "OSTLER_HEALTH_PATH is not asked for with OSTLER_READY=delay, nor where generations share their sockets",
        ),
        (
            recycle == Recycle::Handover
                && shared
                && gunicorn.is_none()
                && config.policy.ready == Ready::Accept,
            "generations share their sockets, so nobody can tell from outside when a successor serves; write \
             OSTLER_READY=delay:10s",
        ),
        (
            config.policy.watchdog.is_some()
                && held == config.listen.addresses.len()
                && !config.listen.addresses.iter().any(is_tcp),
            "OSTLER_WATCHDOG sees only the queues of held TCP sockets, and there are none; write OSTLER_LISTEN=0.0.0.0:8000",
        ),
    ];
    let all = all.into_iter().filter(|(applies, _)| *applies).map(|(_, sentence)| sentence.to_owned());
    all.chain(ignored(argv).filter(|_| held > 0 && gunicorn.is_none())).collect()
}

/// Servers that take held sockets only if they are told to, and by what; `None` if they cannot be. What they bind by
/// themselves instead would have to share the address with ostler, and nobody would be answered.
const OTHER_SERVERS: [(&str, Option<(&str, &str)>); 4] = [
    ("uvicorn", Some(("--fd", "--fd 3"))),
    ("hypercorn", Some(("fd://", "-b fd://3"))),
    ("daphne", Some(("--fd", "--fd 3"))),
    ("granian", None),
];

/// Does the command ignore held sockets?
fn ignored(argv: &[String]) -> impl Iterator<Item = String> {
    let words = words(argv);
    OTHER_SERVERS.into_iter().filter_map(move |(name, how)| {
        let at = words.iter().position(|word| program(word) == name)?;
        let mut flags = words.iter().skip(at);
        match how {
            Some((mark, _)) if flags.any(|word| word.starts_with(mark) || word == "-e") => None,
            Some((_, cure)) => {
                Some(format!("{name} takes the held sockets only if it is told to: write {cure}"))
            }
            None => Some(format!("{name} cannot take held sockets: unset OSTLER_LISTEN")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::count::gunicorn::FileText;

    fn advised(environment: &[(&str, &str)], command: &[&str]) -> Vec<String> {
        let pairs = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let config = Config::read(pairs, &Overrides::default()).unwrap();
        let argv: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        let gunicorn = Gunicorn::find(&argv, "", |_| FileText::Absent);
        let held = config.listen.addresses.len();
        let recycle = super::super::strategy(&config, held, gunicorn.as_ref()).unwrap().recycle;
        advice(&config, &argv, gunicorn.as_ref(), held, recycle)
    }

    #[test]
    fn what_fits_together_needs_no_advice() {
        let all = [
            ("OSTLER_MAX_REQUESTS", "9"),
            ("OSTLER_LISTEN", "0.0.0.0:80"),
            ("OSTLER_HEALTH_PATH", "/healthz"),
            ("OSTLER_WATCHDOG", "30s"),
        ];
        for command in [
            &["gunicorn", "a:b"][..],
            &["sh", "-c", "exec gunicorn a:b"],
            &["/start.sh"],
            &["gunicorn", "a:b", "-k", "uvicorn.workers.UvicornWorker"],
        ] {
            assert_eq!(advised(&all, command), [""; 0], "{command:?}");
            assert_eq!(advised(&[], command), [""; 0], "{command:?}");
        }
        let reload = [("OSTLER_MAX_REQUESTS", "9"), ("OSTLER_RECYCLE", "reload")];
        assert_eq!(advised(&reload, &["gunicorn", "a:b"]), [""; 0]);
        assert_eq!(advised(&all[..2], &["gunicorn", "--pid", "x"]), [""; 0], "auto knows");
    }

    #[test]
    fn servers_that_were_told_of_the_sockets_need_no_advice() {
        let listen = [("OSTLER_LISTEN", "0.0.0.0:80")];
        for command in
            [&["uvicorn", "a:b", "--fd", "3"][..], &["uvicorn", "--fd=3"], &["hypercorn", "-b", "fd://3"]]
        {
            assert_eq!(advised(&listen, command), [""; 0], "{command:?}");
        }
        assert_eq!(advised(&[], &["granian", "a:b"]), [""; 0]);
    }

    #[test]
    fn what_does_not_is_told() {
        let (budget, listen) = (("OSTLER_MAX_REQUESTS", "9"), ("OSTLER_LISTEN", "0.0.0.0:80"));
        for (environment, command, words) in [
            (&[budget][..], &["gunicorn", "a:b"][..], "with OSTLER_LISTEN"),
            (&[budget, listen], &["gunicorn", "--max-requests", "5"], "own --max-requests"),
            (&[listen], &["gunicorn", "--reuse-port"], "with --reuse-port"),
            (&[listen], &["gunicorn", "-D"], "with --daemon"),
            (&[listen, ("OSTLER_RECYCLE", "handover")], &["gunicorn", "--pid=x"], "with --pid"),
            (&[("OSTLER_HEALTH_PATH", "/")], &["gunicorn"], "OSTLER_HEALTH_PATH has no effect"),
            (&[("OSTLER_WATCHDOG", "9s"), ("OSTLER_LISTEN", "unix:a")], &["gunicorn"], "TCP sockets"),
            (&[listen, ("OSTLER_STEERING", "off")], &["/start"], "write OSTLER_READY=delay:10s"),
            (
                &[listen, ("OSTLER_READY", "delay:5s"), ("OSTLER_HEALTH_PATH", "/")],
                &["gunicorn"],
                "OSTLER_HEALTH_PATH is not asked for",
            ),
            (&[listen], &["python", "-m", "uvicorn", "a:b"], "write --fd 3"),
            (&[listen], &["sh", "-c", "exec hypercorn a:b"], "write -b fd://3"),
            (&[listen], &["daphne", "a:b"], "write --fd 3"),
            (&[listen], &["granian", "a:b"], "cannot take held sockets"),
        ] {
            let told = advised(environment, command);
            assert!(told.len() == 1 && told[0].contains(words), "{command:?}: {told:?}");
        }
    }
}
