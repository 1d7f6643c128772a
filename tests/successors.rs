//! Successors that do not serve, or not yet: the incumbent serves on, nobody notices, and the log says why.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs::{self, File};
use support::during::{Place, during};
use support::load::{answers, both_workers_serve};
use support::recycles::{USR2, assert_no_fresh_failure, held, recycle, stop, told};
use support::venv::Version;
use support::{Namespace, children, eventually, field, fixture, free_port};

/// A time-out that nobody meets.
const ENOUGH: &str = "60s";

/// The app of many moods on two sync workers, with a budget that is spent by its first requests.
fn moody(port: u16, ready_timeout: &str) -> Namespace {
    let mut command = Version::New.command("sync");
    command[1] = "moody:app".into();
    let namespace = held(command, port)
        .env("OSTLER_HEALTH_PATH", "/healthz")
        .env("OSTLER_READY_TIMEOUT", ready_timeout)
        .env("OSTLER_MIN_AGE", "1s")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .start();
    both_workers_serve(port);
    namespace
}

/// The next generation finds this mood. The incumbent serves on all the time, and the log says why.
fn fails_in_mood(mood: &str, ready_timeout: &str, reason: &str) {
    let port = free_port();
    let mut namespace = moody(port, ready_timeout);
    let path = namespace.folder.path(mood);
    File::create(&path).unwrap();
    let ((), shown) = during(&Place::port(port), || {
        namespace.signal(USR2);
        namespace.wait_for_err("handover-failed");
        eventually("the failed successor is gone", || told(&namespace, "generation-ended") == 1);
    });
    let lines = namespace.events("handover-failed");
    assert!(lines.len() == 1 && lines[0].contains(reason), "{mood}: {lines:?}");
    assert_no_fresh_failure(&shown, mood);
    assert_eq!((shown.kept.dropped, told(&namespace, "handed-over")), (0, 0), "{mood}: {shown:?}");
    // It was the successor's mood: the next one serves.
    fs::remove_file(path).unwrap();
    recycle(&mut namespace, 1);
    assert_eq!(told(&namespace, "handed-over"), 1, "{}", namespace.err());
    assert!(answers(port));
    stop(&mut namespace);
}

#[test]
fn a_successor_that_cannot_boot_changes_nothing() {
    // Seen first is either that a worker has ended, or that its master has.
    fails_in_mood("broken", ENOUGH, "ended");
}

#[test]
fn a_successor_whose_workers_die_fails_at_once() {
    fails_in_mood("killed", ENOUGH, "a worker ended before all of them served");
}

#[test]
fn a_successor_that_hangs_is_stopped_at_its_time_out() {
    fails_in_mood("stuck", "10s", "it has not accepted a connection");
}

#[test]
fn a_successor_that_is_unhealthy_is_stopped() {
    fails_in_mood("unhealthy", "10s", "500 Whatever");
}

#[test]
fn a_successor_that_boots_slowly_is_waited_for() {
    let port = free_port();
    let mut namespace = moody(port, ENOUGH);
    File::create(namespace.folder.path("slow")).unwrap();
    let ((), shown) = during(&Place::port(port), || recycle(&mut namespace, 1));
    assert_no_fresh_failure(&shown, "slow");
    let line = namespace.events("handed-over").pop().unwrap();
    assert!(field(&line, "took_s") >= 2, "READY=1 came before the app was loaded: {line}");
    stop(&mut namespace);
}

#[test]
fn a_failed_handover_is_tried_again_after_a_growing_pause() {
    let port = free_port();
    let mut command = Version::New.command("sync");
    command[1] = "moody:app".into();
    let mut namespace =
        held(command, port).env("OSTLER_MIN_AGE", "1s").env("OSTLER_MAX_REQUESTS", "1").start();
    let broken = namespace.folder.path("broken");
    both_workers_serve(port);
    File::create(&broken).unwrap();
    namespace.wait_for_err("handover-failed");
    eventually("three tries", || {
        assert!(answers(port));
        told(&namespace, "handover-failed") >= 3
    });
    let pauses: Vec<_> =
        namespace.events("handover-failed").iter().map(|line| field(line, "retry_in_s")).collect();
    assert_eq!(pauses[..3], [1, 2, 4]);
    fs::remove_file(broken).unwrap();
    eventually("the next one serves", || told(&namespace, "handed-over") == 1);
    stop(&mut namespace);
}

#[test]
fn a_stop_during_a_handover_stops_both_cleanly() {
    let port = free_port();
    let mut namespace = moody(port, ENOUGH);
    File::create(namespace.folder.path("slow")).unwrap();
    namespace.signal(USR2);
    eventually("the successor starts", || told(&namespace, "generation-started") == 2);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert_eq!((told(&namespace, "generation-ended"), told(&namespace, "grace-expired")), (2, 0));
}

#[test]
fn an_incumbent_that_crashes_during_a_handover_is_followed_by_its_successor() {
    let port = free_port();
    let mut command = Version::New.command("sync");
    command[1] = "gated:app".into();
    let mut namespace = held(command, port).env("OSTLER_READY_TIMEOUT", ENOUGH).start();
    eventually("it serves", || answers(port));
    let gate = namespace.folder.path("boot");
    File::create(&gate).unwrap();
    let incumbent = children(namespace.init())[0];
    namespace.signal(USR2);
    eventually("the successor starts", || told(&namespace, "generation-started") == 2);
    support::kill(incumbent, 9);
    namespace.wait_for_err("promoted");
    fs::remove_file(gate).unwrap();
    // Clients wait in its backlog while it boots.
    assert!(answers(port), "{}", namespace.err());
    stop(&mut namespace);
}

#[test]
fn ready_may_be_a_word_or_a_time() {
    // gunicorn says READY=1 before its workers have loaded the app: it is not believed by itself.
    let port = free_port();
    let mut command = Version::New.command("sync");
    command[1] = "moody:app".into();
    let mut namespace = held(command.clone(), port).env("OSTLER_READY", "notify").start();
    both_workers_serve(port);
    File::create(namespace.folder.path("slow")).unwrap();
    recycle(&mut namespace, 1);
    assert!(field(&namespace.events("handed-over")[0], "took_s") >= 2, "{}", namespace.err());
    stop(&mut namespace);
    // uvicorn never says it.
    let uvicorn = command[0].replace("gunicorn", "uvicorn");
    let fixtures = fixture("");
    let command = [&uvicorn, "app:app", "--fd", "3", "--app-dir", fixtures.to_str().unwrap()];
    let mut namespace = held(command.map(str::to_owned).to_vec(), port)
        .env("OSTLER_READY", "notify")
        .env("OSTLER_READY_TIMEOUT", "3s")
        .start();
    eventually("uvicorn answers", || answers(port));
    namespace.signal(USR2);
    namespace.wait_for_err("the incumbent serves on: it has not said READY=1");
    assert!(answers(port));
    // By time, whatever it says.
    let mut namespace =
        held(command.map(str::to_owned).to_vec(), free_port()).env("OSTLER_READY", "delay:2s").start();
    namespace.wait_for_err("Uvicorn running");
    recycle(&mut namespace, 1);
    assert!(field(&namespace.events("handed-over")[0], "took_s") >= 2, "{}", namespace.err());
}
