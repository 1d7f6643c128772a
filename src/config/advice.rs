//! What works, but not as its user may think: a command and a configuration that do not fit together.

use super::{Address, Config, Owner, Privileges, Steering, Who};
use crate::count::gunicorn::{
    BIND, DAEMON, GRACEFUL_TIMEOUT, GROUP, Gunicorn, MAX_REQUESTS, PID_FILE, REUSE_PORT, Setting, USER,
    Value, program, words,
};
use crate::supervisor::{Ready, Recycle};
use caps::Capability;
use std::time::Duration;

/// How long ECS and Kubernetes wait after SIGTERM unless they are told otherwise.
const USUAL: Duration = Duration::from_secs(30);

/// A sentence for each, with what to write instead. `held` sockets
/// are handed to the child, which is recycled by `recycle`.
#[must_use]
pub fn advice(
    config: &Config,
    argv: &[String],
    gunicorn: Option<&Gunicorn>,
    held: usize,
    recycle: Recycle,
) -> Vec<String> {
    let sets = |setting| gunicorn.is_some_and(|gunicorn| gunicorn.get(setting).is_some());
    let text = |setting: &Setting| match gunicorn.and_then(|gunicorn| gunicorn.get(setting)) {
        Some((Value::Text(text), _)) => Some(text),
        Some((Value::Unclear, _)) | None => None,
    };
    let graceful = text(&GRACEFUL_TIMEOUT).and_then(|seconds| seconds.parse::<u64>().ok());
    let own_address = |bind: &str| config.listen.addresses.iter().any(|address| address.to_string() == bind);
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
            held > 0 && text(&BIND).is_some_and(|bind| !own_address(&bind)),
            "gunicorn serves where OSTLER_LISTEN says, whatever its --bind is; remove that",
        ),
        (
            graceful.is_some_and(|seconds| seconds > config.policy.grace_period.as_secs()),
            "gunicorn's --graceful-timeout is longer than OSTLER_GRACE_PERIOD, which ends it first; make it shorter",
        ),
        (
            held > 0 && sets(&REUSE_PORT),
            "with --reuse-port the newest gunicorn does not take the held sockets; remove it",
        ),
        (
            sets(&DAEMON) && config.pid_file.is_none(),
            "with --daemon gunicorn's first process ends at once, and ostler with it; remove it, or write --pid and \
             OSTLER_PIDFILE",
        ),
        (
            config.pid_file.is_some() && gunicorn.is_some() && !sets(&DAEMON),
            "OSTLER_PIDFILE is for programs that put themselves into the background; without --daemon unset it",
        ),
        (
            sets(&DAEMON)
                && config.pid_file.as_ref().is_some_and(|file| text(&PID_FILE).as_deref() != file.to_str()),
            "gunicorn's --pid and OSTLER_PIDFILE name two files; write the same",
        ),
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
    let together = config.policy.drain_delay + config.policy.grace_period;
    let names = match config.policy.drain_delay {
        Duration::ZERO => "OSTLER_GRACE_PERIOD is",
        _ => "OSTLER_DRAIN_DELAY and OSTLER_GRACE_PERIOD together are",
    };
    let too_long = (together > USUAL).then(|| {
        format!(
            "{names} {} s; ECS and Kubernetes send SIGKILL after 30 s unless \
             they are told otherwise (stopTimeout, terminationGracePeriodSeconds)",
            together.as_secs()
        )
    });
    let all = all.into_iter().filter(|(applies, _)| *applies).map(|(_, sentence)| sentence);
    let all = all.chain(of_privileges(&config.privileges, argv, gunicorn)).map(str::to_owned);
    all.chain(too_long).chain(ignored(argv).filter(|_| held > 0 && gunicorn.is_none())).collect()
}

/// What becomes another user, and then a program.
const BECOMERS: [&str; 8] = ["gosu", "su-exec", "su", "sudo", "runuser", "setuser", "s6-setuidgid", "chpst"];

/// What cannot work once ostler has become who it should be.
fn of_privileges(
    privileges: &Privileges,
    argv: &[String],
    gunicorn: Option<&Gunicorn>,
) -> impl Iterator<Item = &'static str> {
    let names_one = |setting| gunicorn.is_some_and(|gunicorn| gunicorn.get(setting).is_some());
    let names_one = names_one(&USER) || names_one(&GROUP);
    let lacks = |capability| privileges.capabilities.as_ref().is_some_and(|kept| !kept.contains(&capability));
    let becomes = words(argv).iter().any(|word| BECOMERS.contains(&program(word)));
    // Its master gives files to its workers, and signals them.
    let needed =
        [Capability::CAP_CHOWN, Capability::CAP_KILL, Capability::CAP_SETGID, Capability::CAP_SETUID];
    let cannot = needed.into_iter().any(lacks);
    let by_init = argv.iter().any(|word| word.contains("/proc/1/fd/"));
    let is_root = |owner: &Owner| matches!(&owner.user, Who::Id(0)) || owner.user == Who::Name("root".into());
    let all = [
        (
            privileges.user.as_ref().is_some_and(is_root),
            "OSTLER_USER=root makes nobody less; write another user, or OSTLER_CAPS=none",
        ),
        (
            privileges.user.is_some() && by_init,
            "with OSTLER_USER /proc/1/fd cannot be opened; write /dev/stdout and /dev/stderr instead",
        ),
        (
            privileges.user.is_some() && names_one,
            "gunicorn cannot become another user any more; remove --user and --group: OSTLER_USER says who it is",
        ),
        (
            privileges.user.is_some() && becomes,
            "gosu and its like cannot become another user any more; remove them: OSTLER_USER says who the child is",
        ),
        (
            (names_one || becomes) && privileges.user.is_none() && cannot,
            "a program that becomes another user by itself needs CHOWN, KILL, SETGID and SETUID, and OSTLER_CAPS leaves some of \
             them out; write OSTLER_USER instead of its --user or gosu, or add them",
        ),
    ];
    all.into_iter().filter(|(applies, _)| *applies).map(|(_, sentence)| sentence)
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
        let config = Config::read(&pairs.collect::<Vec<_>>(), &Overrides::default()).unwrap();
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
            &["gunicorn", "a:b", "-b", "0.0.0.0:80", "--graceful-timeout", "25"],
        ] {
            assert_eq!(advised(&all, command), [""; 0], "{command:?}");
            assert_eq!(advised(&[], command), [""; 0], "{command:?}");
        }
        let may = [("OSTLER_CAPS", "SETUID,SETGID,KILL,CHOWN")];
        assert_eq!(advised(&may, &["gunicorn", "-u", "www"]), [""; 0]);
        assert_eq!(advised(&[], &["gosu", "app", "gunicorn", "-u", "app"]), [""; 0]);
        let reload = [("OSTLER_MAX_REQUESTS", "9"), ("OSTLER_RECYCLE", "reload")];
        assert_eq!(advised(&reload, &["gunicorn", "a:b"]), [""; 0]);
        assert_eq!(advised(&all[..2], &["gunicorn", "--pid", "x"]), [""; 0], "auto knows");
        let follows = [("OSTLER_PIDFILE", "/run/g.pid")];
        assert_eq!(advised(&follows, &["gunicorn", "-D", "--pid", "/run/g.pid"]), [""; 0]);
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
            (&[listen], &["gunicorn", "-b", "0.0.0.0:9000"], "where OSTLER_LISTEN says"),
            (&[("OSTLER_PIDFILE", "/a")], &["gunicorn"], "unset it"),
            (&[("OSTLER_PIDFILE", "/a")], &["gunicorn", "-D", "-p", "/b"], "write the same"),
            (&[("OSTLER_PIDFILE", "/a")], &["gunicorn", "-D"], "write the same"),
            (&[], &["gunicorn", "--graceful-timeout", "60"], "--graceful-timeout is longer"),
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
            (&[("OSTLER_USER", "app")], &["gunicorn", "-u", "www"], "remove --user and --group"),
            (&[("OSTLER_USER", "app")], &["gosu", "app", "gunicorn", "a:b"], "gosu and its like"),
            (&[("OSTLER_USER", "app")], &["gunicorn", "--log-file", "/proc/1/fd/2"], "/dev/stderr"),
            (&[("OSTLER_USER", "root")], &["gunicorn"], "makes nobody less"),
            (&[("OSTLER_CAPS", "none")], &["gunicorn", "--user=www"], "needs CHOWN, KILL"),
            (&[("OSTLER_CAPS", "none")], &["gosu", "app", "gunicorn"], "needs CHOWN, KILL"),
            (&[("OSTLER_CAPS", "SETUID,SETGID,KILL")], &["gunicorn", "-u", "www"], "needs CHOWN, KILL"),
        ] {
            let told = advised(environment, command);
            assert!(told.len() == 1 && told[0].contains(words), "{command:?}: {told:?}");
        }
    }
}
