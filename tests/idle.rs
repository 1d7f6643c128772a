//! Nothing to do means asleep: no wake-ups, and no busy loop where sleeping is made hard.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use support::{OSTLER, Setup, eventually, ticks, ticks_in_a_second, tini};

/// How often the init of a sleeping child sleeps and wakes in three seconds; ticks of the
/// clock that it has worked through, as in a loop without any sleep, count too. Three
/// seconds that are as `expected` are waited for: at the beginning there is something to do.
fn wake_ups_are(expected: impl Fn(u64) -> bool, init: &str, child: &[&str]) {
    let mut namespace = Setup::new(init, [&["--"], child].concat())
        .env("OSTLER_MAX_REQUESTS", "1000")
        .env("OSTLER_COUNT", "access-log")
        .start();
    namespace.wait_for_out("ready");
    let init = namespace.init();
    let activity = || {
        let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let slept = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        slept.trim().parse::<u64>().unwrap() + ticks(init)
    };
    eventually("it wakes as often as it should", || {
        let before = activity();
        sleep(Duration::from_secs(3));
        expected(activity() - before)
    });
}

const SLEEPS: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 60"];

/// Tells of one request as gunicorn does, and may close its log then.
const COUNTED: &str = "import os, sys, time
log = int(os.environ['GUNICORN_CMD_ARGS'].split()[1].rpartition('/')[2])
os.write(log, b'.\\n')
if sys.argv[2] == 'close': os.close(log)
print('ready', flush=True)
time.sleep(60)";

#[test]
fn idle_means_asleep() {
    wake_ups_are(|times| times == 0, OSTLER, &SLEEPS);
    for then in ["keep", "close"] {
        wake_ups_are(|times| times == 0, OSTLER, &["python3", "-c", COUNTED, "app", then]);
    }
    // The control: tini wakes once a second.
    wake_ups_are(|times| times >= 2, tini(), &SLEEPS);
}

#[test]
fn a_limit_that_is_lowered_from_outside_makes_no_busy_loop() {
    let child = "trap 'echo usr1' USR1; trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    let mut namespace = Setup::ostler(["sh", "-c", child]).start();
    namespace.wait_for_out("ready");
    let pid = namespace.init();
    let lowered = Command::new("prlimit").args(["--nofile=0:", "--pid", &pid.to_string()]).status();
    assert!(lowered.unwrap().success());
    // poll(2) now refuses any descriptor. Nine tenths of the time it sleeps all the same, and does its work.
    assert!(ticks_in_a_second(pid) < 10, "it spins");
    namespace.signal(10);
    namespace.wait_for_out("usr1");
    namespace.signal(15);
    assert_eq!(namespace.end(), 4, "{}", namespace.err());
}
