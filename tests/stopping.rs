//! How ostler stops, and what it does when the child ends by itself, as a real PID 1, with tini as the control.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::load::answers;
use support::venv::Version;
use support::{Folder, Namespace, OSTLER, Setup, children, eventually, free_port, refused, state, tini};

/// Says what it gets, and ends when it is asked to.
const TELLS: &str = "trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'echo asked; exit 4' TERM; \
                     trap 'echo quit; exit 5' QUIT; echo ready; while :; do sleep 0.05; done";

fn under(init: &str, script: &str) -> Setup {
    Setup::new(init, ["--", "sh", "-c", script])
}

fn telling(environment: &[(&str, &str)]) -> Namespace {
    let setup = under(OSTLER, TELLS);
    let mut namespace = environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
    namespace.wait_for_out("ready");
    namespace
}

#[test]
fn asked_to_stop_the_child_serves_on_for_the_delay() {
    let mut namespace = telling(&[("OSTLER_DRAIN_DELAY", "60s"), ("OSTLER_LOG_LEVEL", "debug")]);
    namespace.signal(15);
    namespace.wait_for_err(" draining: ");
    // It is still itself: other signals reach it.
    namespace.signal(10);
    namespace.wait_for_out("usr1");
    assert_eq!(namespace.out(), "ready\nusr1\n");
    // A second one skips the delay.
    namespace.signal(15);
    assert_eq!(namespace.end(), 4);
    assert_eq!(namespace.out(), "ready\nusr1\nasked\n");
    // It ends by itself too.
    let mut namespace = telling(&[("OSTLER_DRAIN_DELAY", "300ms")]);
    namespace.signal(15);
    assert_eq!(namespace.end(), 4);
    let times = |event: &str| namespace.err().find(&format!(" {event}: ")).unwrap();
    assert!(times("draining") < times("stopping"), "{}", namespace.err());
    // The control: without a delay it is told at once.
    let mut namespace = telling(&[]);
    namespace.signal(15);
    assert_eq!(namespace.end(), 4);
    assert!(namespace.events("draining").is_empty());
}

#[test]
fn a_delay_and_a_grace_period_that_do_not_fit_are_told() {
    let told = |delay: &str| {
        let mut namespace = Setup::ostler(["true"]).env("OSTLER_DRAIN_DELAY", delay).run();
        assert_eq!(namespace.end(), 0);
        namespace.events("advice").concat()
    };
    let err = told("6s");
    assert!(err.contains("OSTLER_DRAIN_DELAY and OSTLER_GRACE_PERIOD together are 31 s"), "{err}");
    assert_eq!(told("5s"), "");
}

#[test]
fn signals_are_taken_for_others() {
    let rewritten = [("OSTLER_SIGNALS", "TERM=QUIT,HUP=,USR2=USR1"), ("OSTLER_LOG_LEVEL", "debug")];
    let mut namespace = telling(&rewritten);
    namespace.signal(1);
    namespace.wait_for_err(" signal-rewritten: dropped, as OSTLER_SIGNALS says signal=SIGHUP");
    namespace.signal(12);
    namespace.wait_for_out("usr1");
    namespace.signal(15);
    // It is still a stop, with a grace period.
    assert_eq!(namespace.end(), 5);
    assert_eq!(namespace.out(), "ready\nusr1\nquit\n");
    assert!(namespace.err().contains(" stopping: ") && namespace.err().contains("grace_s=25"));
    // The control.
    let mut namespace = telling(&[]);
    namespace.signal(1);
    namespace.wait_for_out("hup");
    namespace.signal(15);
    assert_eq!((namespace.end(), namespace.out().as_str()), (4, "ready\nhup\nasked\n"));
    let err = refused(&[("OSTLER_SIGNALS", "TERM=")], &support::NEVER);
    assert!(err.contains("nothing could stop ostler"), "{err}");
    let both = [("OSTLER_SIGNALS", "TERM=QUIT"), ("OSTLER_STOP_SIGNAL", "INT")];
    assert!(refused(&both, &support::NEVER).contains("name two signals to stop by"));
}

/// A daemon with a session of its own, which says in a file what it gets; then its parent ends with 3.
fn leaves_a_daemon(on_term: &str) -> String {
    format!(
        "setsid sh -c 'trap \"{on_term}\" TERM; echo up > up; while :; do sleep 0.05; done' </dev/null & \
         while ! [ -s up ]; do sleep 0.02; done; exit 3"
    )
}

#[test]
fn a_daemon_is_asked_to_end_before_all_ends() {
    let script = leaves_a_daemon("echo told > told; exit");
    let end = |init: &str| {
        let mut namespace = Setup::new(init, ["--", "sh", "-c", &script]).run();
        assert_eq!(namespace.end(), 3, "{}", namespace.err());
        namespace
    };
    let namespace = end(OSTLER);
    assert_eq!(namespace.folder.read("told"), "told\n", "{}", namespace.err());
    let told = namespace.events("others-left").concat();
    assert!(told.contains("processes=") && told.contains("sh("), "{told}");
    assert!(namespace.events("others-killed").is_empty());
    // The control: tini ends at once, and the kernel takes the daemon along.
    assert_eq!(end(tini()).folder.read("told"), "");
    // Where nobody is left nothing is told.
    let namespace = Setup::ostler(["true"]).run();
    assert!(namespace.events("others-left").is_empty(), "{}", namespace.err());
}

#[test]
fn a_daemon_that_does_not_end_is_killed_and_named() {
    let script = leaves_a_daemon("");
    let mut namespace = Setup::ostler(["sh", "-c", &script]).env("OSTLER_GRACE_PERIOD", "300ms").run();
    assert_eq!(namespace.end(), 3, "{}", namespace.err());
    let killed = namespace.events("others-killed").concat();
    assert!(killed.contains(" count=") && killed.contains("sh("), "{killed}");
}

#[test]
fn where_it_is_not_pid_1_only_its_own_are_swept() {
    // A shell is PID 1, and has another child that has nothing to do with ostler.
    let other = "trap 'echo wrongly > wrong' TERM; echo up > other; while :; do sleep 0.05; done";
    let script = "sh -c \"$1\" & while ! [ -s other ]; do sleep 0.02; done; \"$0\" -- sh -c \"$2\"; echo $? > status; \
                  exit";
    let daemon = leaves_a_daemon("echo told > told; exit");
    let namespace = Setup::new("sh", ["-c", script, OSTLER, other, &daemon]).run();
    assert_eq!(namespace.folder.read("status"), "3\n", "{}", namespace.err());
    assert_eq!(
        (namespace.folder.read("told"), namespace.folder.read("wrong")),
        ("told\n".into(), String::new())
    );
}

/// Counts how often it was started, and ends with `status`, from the third time on with `later`.
fn counts(status: u8, later: u8) -> String {
    format!("echo run >> runs; [ $(wc -l < runs) -lt 3 ] && exit {status}; exit {later}")
}

#[test]
fn a_child_that_fails_is_started_again() {
    let run = |restart: &str, script: &str| {
        let setup = Setup::ostler(["sh", "-c", script]).env("OSTLER_RESTART_LIMIT", "3/1m");
        let mut namespace = setup.env("OSTLER_RESTART", restart).run();
        let status = namespace.end();
        (status, namespace.folder.read("runs").lines().count(), namespace)
    };
    let (status, runs, namespace) = run("on-failure", &counts(9, 0));
    assert_eq!((status, runs), (0, 3), "{}", namespace.err());
    assert_eq!(namespace.events("restarting").len(), 2);
    // Too often: the orchestrator is to see it.
    let (status, runs, namespace) = run("on-failure", &counts(9, 8));
    assert_eq!((status, runs), (8, 4), "{}", namespace.err());
    assert!(namespace.events("gave-up").concat().contains("ends=4 window_s=60"), "{}", namespace.err());
    let (status, runs, _) = run("always", &counts(0, 0));
    assert_eq!((status, runs), (0, 4));
    // The controls.
    let (status, runs, _) = run("never", &counts(9, 0));
    assert_eq!((status, runs), (9, 1));
    let (status, runs, _) = run("on-failure", &counts(0, 9));
    assert_eq!((status, runs), (0, 1));
    for (name, value, cure) in [
        ("OSTLER_RESTART", "sometimes", "write never, on-failure or always"),
        ("OSTLER_RESTART_LIMIT", "5", "such as 5/1m"),
        ("OSTLER_RESTART_LIMIT", "5/0", "such as 5/1m"),
        ("OSTLER_PIDFILE", "run/x.pid", "write the whole path"),
    ] {
        assert!(refused(&[(name, value)], &support::NEVER).contains(cure), "{name}={value}");
    }
}

#[test]
fn a_stop_while_it_is_down_is_heard() {
    let setup = Setup::ostler(["sh", "-c", "exit 1"]).env("OSTLER_RESTART", "always");
    let mut namespace = setup.env("OSTLER_RESTART_LIMIT", "1000/1m").start();
    // By then it pauses for seconds.
    eventually("it has failed often", || namespace.events("restarting").len() >= 6);
    namespace.signal(15);
    assert_eq!(namespace.end(), 143, "{}", namespace.err());
}

/// A daemon in the way of the old: it writes its pid into `FILE`, and its parent ends well.
const DAEMON: &str = "setsid sh -c 'echo $$ > \"$FILE\"; trap \"echo asked; exit 6\" TERM; trap \"echo hup\" HUP; \
                      echo ready; while :; do sleep 0.05; done' & while ! [ -s \"$FILE\" ]; do sleep 0.02; done";

#[test]
fn a_daemon_is_followed_by_its_pid_file() {
    let start = |follow: &str| {
        let setup = under(OSTLER, DAEMON);
        let file = setup.folder().path("pid").display().to_string();
        setup.env("FILE", &file).env("OSTLER_PIDFILE", if follow == "none" { follow } else { &file }).start()
    };
    let mut namespace = start("file");
    namespace.wait_for_err(" leader-followed: ");
    namespace.wait_for_out("ready");
    assert_eq!(children(namespace.init()).len(), 1, "the first process is reaped");
    namespace.signal(1);
    namespace.wait_for_out("hup");
    namespace.signal(15);
    assert_eq!(namespace.end(), 6, "{}", namespace.err());
    assert_eq!(namespace.out(), "ready\nhup\nasked\n");
    // The control: without it ostler ends with the first process.
    let mut namespace = start("none");
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
}

#[test]
fn a_pid_file_that_names_nobody_of_ours_is_not_believed() {
    // PID 1 is ostler itself, and 99999 nobody.
    for text in ["1", "99999", "-1", "nonsense"] {
        let script = format!("echo {text} > pid; exit 0");
        let setup = Setup::ostler(["sh", "-c", &script]);
        let file = setup.folder().path("pid").display().to_string();
        let mut namespace = setup.env("OSTLER_PIDFILE", file).start();
        // Until it is reaped, and that is when its heir is found or nobody is looked for any more.
        let dead = |pid: &u32| state(*pid) == Some('Z');
        eventually("the first process has ended", || children(namespace.init()).first().is_some_and(dead));
        // It may take its time; whoever is in a hurry stops it.
        namespace.signal(15);
        assert_eq!(namespace.end(), 0, "{text}: {}", namespace.err());
        assert!(namespace.events("leader-followed").is_empty(), "{text}: {}", namespace.err());
    }
}

#[test]
fn a_hundred_thousand_signals_do_not_hide_the_stop() {
    for init in [OSTLER, tini()] {
        let mut namespace = under(init, TELLS).start();
        namespace.wait_for_out("ready");
        let pid = Pid::from_raw(namespace.init().cast_signed());
        for number in 0..100_000 {
            let signal = if number % 2 == 0 { Signal::SIGUSR1 } else { Signal::SIGHUP };
            kill(pid, signal).unwrap();
        }
        kill(pid, Signal::SIGTERM).unwrap();
        assert_eq!(namespace.end(), 4, "{init}: {}", namespace.err());
        assert!(namespace.out().contains("usr1") && namespace.out().contains("hup"), "{init}");
    }
}

#[test]
fn a_real_gunicorn_daemon_is_followed() {
    let port = free_port();
    let mut command = Version::New.command("sync");
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}"), "--daemon".to_owned()]);
    let folder = Folder::new();
    let file = folder.path("g.pid").display().to_string();
    command.extend(["--pid".to_owned(), file.clone()]);
    let mut namespace = Setup::ostler(&command).env("OSTLER_PIDFILE", &file).start();
    eventually("it serves", || answers(port));
    namespace.wait_for_err(" leader-followed: ");
    // Of those that have forked it the last one may be reaped after this line.
    eventually("it is the only child", || children(namespace.init()).len() == 1);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert!(namespace.events("others-killed").is_empty(), "{}", namespace.err());
    // The control: without it ostler ends with the first process, and takes the server along.
    let mut namespace = Setup::ostler(&command).run();
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert!(!answers(port));
}
