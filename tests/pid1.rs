//! ostler as a real PID 1 in a namespace of its own, with tini as the control.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;
use support::terminal::Terminal;
use support::{
    LIMIT, Namespace, OSTLER, Setup, children, eventually, eventually_within, fixture, is_musl, kill, state,
    tini,
};

/// The signals that reach the child when each from 1 to 64 is sent to PID 1. TERM comes last: it ends the child. Those
/// that are expected to arrive are waited for, one by one: of two that are pending the lower one is first, and a
/// SIGTSTP takes a pending SIGCONT away (signal(7)).
fn matrix(init: &[&str], expected: &BTreeSet<i32>) -> BTreeSet<i32> {
    let signals = fixture("signals.py");
    let command = [init, &["--", "python3", signals.to_str().unwrap()]].concat();
    let mut namespace = Setup::new("env", command).start();
    namespace.wait_for_out("ready\n");
    // KILL and STOP cannot be caught by any program, and these two would end or freeze the test.
    for signal in (1..=64).filter(|signal| ![9, 15, 19].contains(signal)) {
        namespace.signal(signal);
        if expected.contains(&signal) {
            namespace.wait_for_out(&format!("got {signal}\n"));
        } else {
            // Time to show that it does arrive.
            sleep(Duration::from_millis(5));
        }
    }
    namespace.signal(15);
    namespace.end();
    namespace.out().lines().filter_map(|line| line.strip_prefix("got ")?.parse().ok()).collect()
}

/// All but these.
fn all_but(kept: &[i32]) -> BTreeSet<i32> {
    (1..=64).filter(|signal| !kept.contains(signal)).collect()
}

#[test]
fn every_signal_that_can_be_caught_reaches_the_child() {
    // KILL, STOP; CHLD is ostler's own; SEGV tells of its own stack; 32 and 33 belong to the C library, and 34 to musl.
    let kept = [9, 11, 17, 19, 32, 33, if is_musl() { 34 } else { 33 }];
    let expected = all_but(&kept);
    assert_eq!(matrix(&[OSTLER], &expected), expected);
    assert_eq!(expected.len(), if is_musl() { 57 } else { 58 });
    // By handlers: ILL and FPE are faults to signal-hook.
    let (refuse, fewer) = (refuse(), &expected - &BTreeSet::from([4, 8]));
    assert_eq!(matrix(&["python3", &refuse, "signalfd4=EPERM", OSTLER], &fewer), fewer);
}

#[test]
fn control_tini_swallows_what_gunicorn_needs() {
    // 21 and 22, TTIN and TTOU, add and take away a worker of gunicorn's.
    let expected = all_but(&[4, 5, 6, 7, 8, 9, 11, 17, 19, 21, 22, 31, 32, 33]);
    assert_eq!(matrix(&[tini()], &expected), expected);
    assert_eq!(expected.len(), 50);
}

/// What takes system calls away from what follows it.
fn refuse() -> String {
    fixture("refuse.py").to_str().unwrap().to_owned()
}

#[test]
fn the_child_starts_with_the_signals_that_ostler_was_given() {
    let (given, refuse) = (fixture("given.py"), refuse());
    // Rust's start-up ignores SIGPIPE (13): once it was given ignored, once not.
    for (ignored, blocked) in [("", ""), ("1,13,34", "10,15,40"), ("2,3,17,21,22", "13,64")] {
        let status = ["grep", "^Sig[BI]", "/proc/self/status"];
        let direct = [&[given.to_str().unwrap(), ignored, blocked][..], &status].concat();
        let under =
            [&["python3", given.to_str().unwrap(), ignored, blocked, OSTLER, "--"][..], &status].concat();
        let expected = Setup::new("python3", direct).run().out();
        // Signals are kept by the kernel, or handled.
        for before in [&["env"][..], &["python3", &refuse, "signalfd4"]] {
            let (program, arguments) = before.split_first().unwrap();
            let out = Setup::new(program, [arguments, &under].concat()).run().out();
            assert_eq!(out, expected, "{before:?} {ignored} {blocked}");
        }
        assert!(expected.contains("SigIgn"));
    }
}

#[test]
fn signals_that_ostler_was_given_blocked_reach_the_child() {
    let (given, signals) = (fixture("given.py"), fixture("signals.py"));
    let [given, signals] = [&given, &signals].map(|path| path.to_str().unwrap());
    let mut namespace =
        Setup::new("python3", [given, "", "10,15,17", OSTLER, "--", "python3", signals]).start();
    namespace.wait_for_out("ready\n");
    namespace.signal(10);
    namespace.wait_for_out("got 10\n");
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
}

#[test]
fn sigbus_reaches_the_child_more_than_once() {
    // Rust's start-up has a handler on it, which after its first signal leaves it to the kernel.
    let (signals, refuse) = (fixture("signals.py"), refuse());
    let ostler = [OSTLER, "--", "python3", signals.to_str().unwrap()];
    // Signals are kept by the kernel, or handled.
    for before in [&["env"][..], &["python3", &refuse, "signalfd4"]] {
        let (program, arguments) = before.split_first().unwrap();
        let mut namespace = Setup::new(program, [arguments, &ostler].concat()).start();
        for expected in ["ready\n", "ready\ngot 7\n", "ready\ngot 7\ngot 7\n"] {
            namespace.wait_for_out(expected);
            namespace.signal(7);
        }
    }
}

#[test]
fn of_real_time_signals_each_one_goes_on_and_of_others_one() {
    let signals = fixture("signals.py");
    let mut namespace = Setup::ostler(["python3", signals.to_str().unwrap()]).start();
    namespace.wait_for_out("ready\n");
    let init = namespace.init();
    kill(init, 19);
    eventually("it is stopped", || state(init) == Some('T'));
    for signal in [40, 10, 40, 10, 40, 18] {
        kill(init, signal);
    }
    namespace.wait_for_out("got 40\ngot 40\ngot 40\n");
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
    assert_eq!(namespace.out().matches("got 10\n").count(), 1, "{}", namespace.out());
}

#[test]
fn signals_that_the_kernel_refuses_are_told() {
    let (refuse, signals) = (fixture("refuse.py"), fixture("signals.py"));
    let [refuse, signals] = [&refuse, &signals].map(|path| path.to_str().unwrap());
    let mut namespace = Setup::new("python3", [refuse, "kill", OSTLER, "--", "python3", signals]).start();
    namespace.wait_for_out("ready\n");
    assert!(namespace.events("signal-refused").is_empty(), "the control");
    namespace.signal(10);
    namespace.wait_for_err(" signal-refused: ");
    assert_eq!(namespace.out(), "ready\n");
}

#[test]
fn a_core_dump_is_told_and_without_a_limit_of_ones_own_there_is_none() {
    for (limit, dumped) in [("keep", true), ("", false)] {
        let inner = ["--core=unlimited:unlimited", OSTLER, "--", "sh", "-c", "kill -6 $$"];
        let mut namespace = Setup::new("prlimit", inner).env("OSTLER_ULIMIT_CORE", limit).run();
        assert_eq!(namespace.end(), 128 + 6);
        let told = namespace.events("generation-ended").concat();
        assert_eq!(told.contains("ended by SIGABRT, core dumped"), dumped, "{told}");
    }
}

#[test]
fn exit_statuses_are_tinis() {
    let scripts = [
        "exit 0",
        "exit 3",
        "exit 255",
        "kill -1 $$",
        "kill -9 $$",
        "kill -15 $$",
        "kill -34 $$",
        "kill -64 $$",
    ];
    for script in scripts {
        let of = |init: &str| Setup::new(init, ["--", "sh", "-c", script]).run().end();
        assert_eq!(of(OSTLER), of(tini()), "{script}");
    }
    for program in ["/nonexistent", "nonexistent", "/etc/passwd", "/"] {
        let of = |init: &str| Setup::new(init, ["--", program]).run().end();
        assert_eq!(of(OSTLER), of(tini()), "{program}");
    }
}

/// Runs the orphan maker under `init` and returns how many zombies were left.
fn orphans(init: &[&str], total: &str, at_once: &str, patience: &str) -> (Namespace, String) {
    let script = fixture("orphans.py");
    let (program, rest) = init.split_first().unwrap();
    let arguments = [rest, &["python3", script.to_str().unwrap(), total, at_once, patience]].concat();
    let mut namespace = Setup::new(program, arguments).env("OSTLER_LOG_LEVEL", "debug").start();
    // Twenty thousand processes take their time.
    eventually_within(LIMIT * 5, "all have ended", || namespace.ended());
    let zombies = namespace.out();
    (namespace, zombies)
}

#[test]
fn twenty_thousand_orphans_are_reaped_500_of_which_end_at_the_same_moment() {
    let (namespace, zombies) = orphans(&[OSTLER, "--"], "20000", "500", "30");
    assert_eq!(zombies, "zombies 0\n");
    assert_eq!(namespace.events("orphan-reaped").len(), 20_000);
}

#[test]
fn control_without_an_init_orphans_stay() {
    let waits_for_one = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))";
    let (_, zombies) = orphans(&["python3", "-c", waits_for_one], "1000", "500", "0.2");
    assert_eq!(zombies, "zombies 1000\n");
}

const IGNORES_TERM: &str = "trap '' TERM; echo ready; while :; do sleep 0.1; done";

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let mut namespace = Setup::ostler(["sh", "-c", IGNORES_TERM]).env("OSTLER_GRACE_PERIOD", "300ms").start();
    namespace.wait_for_out("ready");
    namespace.signal(15);
    assert_eq!(namespace.end(), 128 + 9);
    assert_eq!(namespace.events("grace-expired").len(), 1);
}

#[test]
fn control_tini_waits_for_it_for_ever() {
    let mut namespace = Setup::new(tini(), ["--", "sh", "-c", IGNORES_TERM]).start();
    namespace.wait_for_out("ready");
    namespace.signal(15);
    sleep(Duration::from_secs(2));
    assert!(!namespace.ended());
}

/// A leader that leaves its group (for ostler's own, of which it knows the number) and ignores SIGTERM.
const LEAVES: &str = "import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setpgid(0, 1)
print('ready', flush=True)
while True: time.sleep(1)";

#[test]
fn a_leader_that_has_left_its_group_is_killed_too() {
    // setsid makes ostler the leader of group 1.
    let mut namespace = Setup::new("setsid", [OSTLER, "--", "python3", "-c", LEAVES])
        .env("OSTLER_GRACE_PERIOD", "300ms")
        .start();
    namespace.wait_for_out("ready");
    namespace.signal(15);
    assert_eq!(namespace.end(), 128 + 9);
    assert!(namespace.events("group-left").is_empty(), "{}", namespace.err());
}

/// The leader's group has one more member, whose parent is in another session and reaps it: ostler gets no SIGCHLD.
const REAPED_ELSEWHERE: &str = "import os, signal, time
there, arrives = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(60)
    os.setsid()
    print('ready', flush=True)
    os.write(arrives, b'.')
    os.wait()
    time.sleep(60)
os.read(there, 1)
os._exit(3)";

#[test]
fn a_group_whose_last_member_is_reaped_by_another_is_seen_to_be_gone() {
    let mut namespace = Setup::ostler(["python3", "-c", REAPED_ELSEWHERE]).run();
    assert_eq!(namespace.end(), 3);
    assert!(namespace.out().contains("ready"));
    assert!(namespace.events("grace-expired").is_empty(), "{}", namespace.err());
}

#[test]
fn a_leader_and_its_group_that_die_at_once_are_all_reaped_at_once() {
    let mut namespace = Setup::ostler(["sh", "-c", "sleep 60 & echo ready; wait"]).start();
    namespace.wait_for_out("ready");
    let ostler = namespace.init();
    let leader = children(ostler)[0];
    let member = children(leader)[0];
    // While ostler is stopped both die, so there is one SIGCHLD for both of them.
    namespace.signal(19);
    eventually("ostler is stopped", || state(ostler) == Some('T'));
    for pid in [leader, member] {
        kill(pid, 9);
        eventually("it is dead", || state(pid) == Some('Z'));
    }
    namespace.signal(18);
    assert_eq!(namespace.end(), 128 + 9);
    assert!(namespace.events("grace-expired").is_empty(), "{}", namespace.err());
}

/// A leader that dies while another process of its group works on, which says so when it is asked to stop.
const SURVIVOR: &str = "trap 'echo asked; exit' TERM; echo ready; while :; do sleep 0.05; done";

fn leader_dies(init: &str) -> Namespace {
    let script = format!(
        "sh -c '{}' & until grep -q ready out; do sleep 0.02; done; kill -9 $$",
        SURVIVOR.replace('\'', "'\\''")
    );
    Setup::new(init, ["--", "sh", "-c", &script]).run()
}

#[test]
fn what_a_dead_leader_leaves_is_asked_to_stop() {
    let mut namespace = leader_dies(OSTLER);
    assert_eq!(namespace.end(), 128 + 9);
    assert_eq!(namespace.out(), "ready\nasked\n");
}

#[test]
fn control_tini_leaves_it_to_the_kernel() {
    assert_eq!(leader_dies(tini()).out(), "ready\n");
}

#[test]
fn as_no_pid_1_it_becomes_a_sub_reaper() {
    let script = r#""$0" -- sh -c 'sh -c "sleep 0.3 & echo orphan \$!"; sleep 1; exit 5'; echo status $?"#;
    let namespace = Setup::new("sh", ["-c", script, OSTLER]).env("OSTLER_LOG_LEVEL", "debug").run();
    assert!(namespace.out().ends_with("status 5\n"), "{}", namespace.out());
    let orphan = namespace.out().lines().next().unwrap().replace("orphan ", "pid=");
    assert!(
        namespace.events("orphan-reaped").iter().any(|line| line.contains(&orphan)),
        "{}",
        namespace.err()
    );
    assert_eq!(namespace.events("subreaper").len(), 1);
}

#[test]
fn the_child_has_a_process_group_of_its_own_and_the_terminal() {
    let child = "ps -o pid=,pgid=,tpgid= -p $$";
    let terminal = Terminal::new();
    let out = terminal.setup(OSTLER, ["--", "sh", "-c", child]).run().out();
    let numbers: Vec<_> = out.split_whitespace().collect();
    assert!(numbers.len() == 3 && numbers.iter().all(|number| *number == numbers[0]), "{out}");
}

#[test]
fn without_a_terminal_a_closed_or_piped_stdin_is_no_matter() {
    for stdin in ["<&-", "</dev/null", "< $0"] {
        let script = format!("exec \"$0\" -- sh -c 'exit 4' {stdin}");
        assert_eq!(Setup::new("sh", ["-c", &script, OSTLER]).run().end(), 4, "{stdin}");
    }
}

#[test]
fn signals_to_the_group_with_g() {
    let script = "trap 'echo leader' HUP; sh -c 'trap \"echo member\" HUP; echo ready; while :; do sleep 0.05; done' & wait; wait";
    for (flags, expected) in [(&["-g"][..], true), (&[], false)] {
        // Under nohup SIGHUP is ignored, and a shell cannot trap what it was started with ignored.
        let arguments = [&["--default-signal=HUP", OSTLER], flags, &["--", "sh", "-c", script]].concat();
        let mut namespace = Setup::new("env", arguments).env("OSTLER_GRACE_PERIOD", "1s").start();
        namespace.wait_for_out("ready");
        namespace.signal(1);
        namespace.wait_for_out("leader");
        if expected {
            namespace.wait_for_out("member");
        }
        namespace.signal(15);
        namespace.end();
        assert_eq!(namespace.out().contains("member"), expected);
    }
}
