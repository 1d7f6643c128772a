//! tini's command line and variables: what tini answers, ostler answers. tini itself is asked beside it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::os::unix::fs::symlink;
use support::{Namespace, OSTLER, Setup, children, eventually, state, tini};

/// Each of the two, as PID 1 with these arguments.
fn both(arguments: &[&str], environment: &[(&str, &str)]) -> [Namespace; 2] {
    [tini(), OSTLER].map(|init| {
        let setup = Setup::new(init, arguments);
        environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
    })
}

#[test]
fn statuses_are_tinis() {
    for (arguments, expected) in [
        (&["--", "true"][..], 0),
        (&["true"], 0),
        (&["--", "sh", "-c", "exit 5"], 5),
        (&["-e", "5", "--", "sh", "-c", "exit 5"], 0),
        (&["-e", "5", "-e", "6", "--", "sh", "-c", "exit 6"], 0),
        (&["-e5", "--", "sh", "-c", "exit 7"], 7),
        (&["-e", "0", "--", "sh", "-c", "exit 7"], 7),
        (&["-e", "255", "--", "sh", "-c", "exit 255"], 0),
        (&["--", "sh", "-c", "kill -TERM $$"], 143),
        (&["-e", "143", "--", "sh", "-c", "kill -TERM $$"], 0),
        (&["-e", "137", "--", "sh", "-c", "kill -KILL $$"], 0),
        (&["-e", "127", "no-such-program"], 0),
        (&["-s", "-g", "-vvv", "-w", "--", "sh", "-c", "exit 3"], 3),
        (&["-p", "SIGTERM", "--", "sh", "-c", "exit 4"], 4),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
        (&["-e", "256", "true"], 1),
        (&["-e", "-1", "true"], 1),
        (&["-e", "five", "true"], 1),
        (&["-p", "NOPE", "true"], 1),
        (&["-x", "true"], 1),
        (&[], 1),
        (&["-h"], 0),
        (&["-l"], 0),
        (&["--version"], 0),
    ] {
        let [mut tini, mut ostler] = both(arguments, &[]);
        assert_eq!(tini.end(), expected, "tini {arguments:?}");
        assert_eq!(ostler.end(), expected, "ostler {arguments:?}: {}", ostler.err());
    }
}

#[test]
fn what_a_person_asks_for_is_on_stdout() {
    for (flag, words) in [("-l", "Permission is hereby granted"), ("-h", "-e"), ("--version", "version")] {
        for mut asked in both(&[flag], &[]) {
            asked.end();
            assert!(asked.out().contains(words), "{flag}: {}", asked.out());
        }
    }
}

#[test]
fn a_parent_that_ends_is_told_of() {
    let child = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done";
    // The parent is a shell in between that ends when the child is ready.
    let script = r#"sh -c '"$@" & until grep -q ready out; do sleep 0.05; done' sh "$@"; sleep 3600"#;
    for init in [tini(), OSTLER] {
        let start = |flags: &[&str]| {
            let words = [&["-c", script, "sh", init], flags, &["-s", "--", "sh", "-c", child]].concat();
            let mut namespace = Setup::new("sh", words).start();
            namespace.wait_for_out("ready");
            namespace
        };
        start(&["-p", "SIGTERM"]).wait_for_out("told");
        // The control: nobody tells.
        let namespace = start(&[]);
        std::thread::sleep(std::time::Duration::from_millis(700));
        assert_eq!(namespace.out(), "ready\n", "{init}");
    }
}

#[test]
fn tinis_variables_mean_what_they_mean_to_tini() {
    let member = "trap 'echo member; exit' TERM; echo ready; while :; do sleep 0.05; done";
    let child = r#"trap 'echo leader; sleep 60' TERM; sh -c "$0" & while :; do sleep 0.05; done"#;
    for (environment, members) in
        [(&[][..], 0), (&[("TINI_KILL_PROCESS_GROUP", "")], 1), (&[("TINI_KILL_PROCESS_GROUP", "0")], 1)]
    {
        for mut namespace in both(&["--", "sh", "-c", child, member], environment) {
            namespace.wait_for_out("ready");
            namespace.signal(15);
            namespace.wait_for_out("leader");
            if members > 0 {
                namespace.wait_for_out("member");
            }
            assert_eq!(namespace.out().matches("member").count(), members, "{environment:?}");
        }
    }
    let log = |environment: &[(&str, &str)]| {
        let [_, mut ostler] = both(&["true"], environment);
        assert_eq!(ostler.end(), 0, "{}", ostler.err());
        ostler.err()
    };
    assert_eq!(log(&[("TINI_VERBOSITY", "0"), ("TINI_SUBREAPER", "1")]), "");
    assert_eq!(log(&[("TINI_VERBOSITY", "1")]), "");
    assert!(log(&[("TINI_VERBOSITY", "2")]).contains("generation-started"));
    assert!(log(&[]).contains("generation-started"));
    // What is ostler's own wins.
    assert!(log(&[("TINI_VERBOSITY", "0"), ("OSTLER_LOG_LEVEL", "info")]).contains("generation-started"));
    let [_, mut checked] = both(&["--check"], &[("TINI_VERBOSITY", "3")]);
    checked.end();
    let line = checked.out().lines().find(|line| line.starts_with("OSTLER_LOG_LEVEL")).unwrap().to_owned();
    assert!(line.contains("debug") && line.ends_with("environment"), "{line}");
    // What is no number is 0, and more than 3 is 3.
    for (value, level) in [("much", "error"), ("-1", "error"), ("9", "debug"), ("2", "info")] {
        for mut init in both(&["true"], &[("TINI_VERBOSITY", value)]) {
            assert_eq!(init.end(), 0, "{value}: {}", init.err());
        }
        let [_, mut checked] = both(&["--check"], &[("TINI_VERBOSITY", value)]);
        checked.end();
        let out = checked.out();
        let line = out.lines().find(|line| line.starts_with("OSTLER_LOG_LEVEL")).unwrap();
        assert!(line.contains(level), "{value}: {line}");
    }
}

#[test]
fn the_name_it_is_called_by_makes_no_difference() {
    for name in ["tini", "tini-static", "docker-init", "init"] {
        let setup = Setup::new(format!("./{name}"), ["--", "sh", "-c", "exit 6"]);
        symlink(OSTLER, setup.folder().path(name)).unwrap();
        let mut namespace = setup.run();
        assert_eq!(namespace.end(), 6, "{name}: {}", namespace.err());
    }
}

#[test]
fn a_program_that_knows_another_stop_signal_gets_that() {
    let child =
        "trap 'echo asked politely; exit 4' QUIT; trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut namespace = Setup::ostler(["sh", "-c", child]).env("OSTLER_STOP_SIGNAL", "SIGQUIT").start();
    namespace.wait_for_out("ready");
    namespace.signal(15);
    assert_eq!(
        (namespace.end(), namespace.out().as_str()),
        (4, "ready\nasked politely\n"),
        "{}",
        namespace.err()
    );
    let err = support::refused(&[("OSTLER_STOP_SIGNAL", "KILL")], &support::NEVER);
    assert!(err.contains("OSTLER_STOP_SIGNAL=KILL: write a signal by which the program stops"), "{err}");
}

#[test]
fn a_stopped_child_is_woken_to_stop() {
    let stopped = |init| {
        let mut namespace =
            Setup::new(init, ["--", "sh", "-c", "echo ready; kill -STOP $$; sleep 60"]).start();
        namespace.wait_for_out("ready");
        eventually("it is stopped", || {
            children(namespace.init()).first().is_some_and(|pid| state(*pid) == Some('T'))
        });
        namespace.signal(15);
        namespace
    };
    let mut namespace = stopped(OSTLER);
    assert_eq!(namespace.end(), 143, "{}", namespace.err());
    assert!(namespace.events("grace-expired").is_empty(), "{}", namespace.err());
    // The control: under tini it stays stopped.
    let mut namespace = stopped(tini());
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!namespace.ended());
}
