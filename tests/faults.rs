//! Each system call that ostler makes once it runs fails, now and then, in a row or for ever: ostler lives, does not
//! spin, reaps, recycles when it can again, and ends with the server's status. The control: tini under the same.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use support::faults::calls::{CALLS, LEFT_ALONE};
use support::faults::strace::Strace;
use support::faults::{Cell, Stage, cells, run};
use support::{LIMIT, Setup, at_once, children, eventually, free_port, tini};

fn name(cell: &Cell) -> String {
    format!("{} {} {:?}", cell.call.names, cell.errno, cell.when)
}

#[test]
fn it_lives_through_every_system_call_that_fails() {
    let cells = cells();
    at_once::assert_all(&cells, at_once::run(&cells, run), name);
}

#[test]
fn no_call_is_forgotten() {
    let mut stage = Stage::new();
    let trace = stage.namespace.folder.path("trace");
    let strace = Strace::record(stage.namespace.init(), &trace);
    assert!(stage.live(LIMIT), "{}", stage.namespace.err());
    stage.stop();
    strace.end();
    let trace = fs::read_to_string(trace).unwrap();
    let made: BTreeSet<_> =
        trace.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name).collect();
    let known = |name: &&str| {
        CALLS.iter().any(|call| call.is(name)) || LEFT_ALONE.iter().any(|(left, _)| left == name)
    };
    let forgotten: Vec<_> = made.iter().filter(|name| !known(name)).collect();
    assert!(forgotten.is_empty(), "to be put into one of the two tables: {forgotten:?}");
    assert!(made.contains("waitid") && made.contains("recvmmsg"), "the control: {made:?}");
}

#[test]
fn a_successor_that_nobody_can_see_is_not_taken_for_ready() {
    // It never accepts a connection, and whether one waits cannot be asked.
    let child = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let setup = Setup::ostler(["sh", "-c", child]).env("OSTLER_LISTEN", format!("127.0.0.1:{}", free_port()));
    let mut namespace = setup.env("OSTLER_READY_TIMEOUT", "3s").env("OSTLER_LINGER", "100ms").start();
    namespace.wait_for_out("ready\n");
    let init = namespace.init();
    let incumbent = children(init);
    let strace = Strace::inject(init, &namespace.folder.path("trace"), "poll,ppoll", "ENOMEM", "1+");
    namespace.signal(12);
    eventually("the successor starts", || {
        children(init).len() == 2 || namespace.out().matches("ready\n").count() == 2
    });
    eventually("one of them goes", || children(init).len() == 1);
    assert_eq!(children(init), incumbent, "{}", namespace.err());
    strace.detach();
    namespace.signal(15);
    assert_eq!(namespace.end(), 7, "{}", namespace.err());
}

/// Orphans end below an init, and a call fails that it makes then. Has that ended it?
fn under_the_same(init: &str, calls: &str, errno: &str) -> Option<i32> {
    let child = "trap 'exit 7' TERM; echo ready; while :; do (true &); sleep 0.05; done";
    let mut namespace = Setup::new(init, ["--", "sh", "-c", child]).start();
    namespace.wait_for_out("ready\n");
    let trace = namespace.folder.path("trace");
    let strace = Strace::inject(namespace.init(), &trace, calls, errno, "1..2");
    let failed = || fs::read_to_string(&trace).unwrap_or_default().matches("(INJECTED)").count();
    eventually("both have failed, or one was enough", || failed() == 2 || failed() == 1 && namespace.ended());
    if namespace.ended() {
        return Some(namespace.end());
    }
    strace.detach();
    namespace.signal(15);
    assert_eq!(namespace.end(), 7, "{}", namespace.err());
    None
}

#[test]
fn control_tini_does_not_live_through_it() {
    for errno in ["EINTR", "ENOMEM"] {
        assert_eq!(under_the_same(tini(), "wait4", errno), Some(1), "{errno}");
        assert_eq!(under_the_same(support::OSTLER, "waitid", errno), None, "{errno}");
    }
}
