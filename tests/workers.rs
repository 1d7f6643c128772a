//! The workers of real gunicorns, whose deaths only their master hears of: ostler tells how they ended, and of loops.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use support::load::{answers, both_workers_serve};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, children, eventually, free_port, kill};

/// Does this kernel tell how a process ended that is not a child of who asks?
fn kernel_tells() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (6, 15)
}

fn gunicorn(version: Version, class: &str) -> Namespace {
    let port = free_port();
    let mut command = version.command(class);
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
    let words = [OSTLER, "--"].map(str::to_owned).into_iter().chain(command);
    let words: Vec<_> = words.collect();
    let namespace = Setup::new("env", words).env("OSTLER_LOG_LEVEL", "debug").start();
    eventually("gunicorn serves", || answers(port));
    both_workers_serve(port);
    namespace
}

fn workers(namespace: &Namespace) -> Vec<u32> {
    children(namespace.init()).first().map(|master| children(*master)).unwrap_or_default()
}

/// Sends a signal to one worker after another, each when its predecessor is gone, until this holds.
fn one_after_another(namespace: &Namespace, signal: i32, holds: impl Fn(&str) -> bool) {
    eventually(&format!("signal {signal} to workers is told"), || {
        // The log may follow a moment later; and a worker that has not come yet cannot be watched.
        let Some(worker) = workers(namespace).first().copied() else { return false };
        kill(worker, signal);
        eventually("it is gone", || !workers(namespace).contains(&worker));
        eventually("another one has come", || workers(namespace).len() >= 2);
        std::thread::sleep(std::time::Duration::from_millis(1500));
        holds(&namespace.err())
    });
}

#[test]
fn how_a_worker_ended_is_told_though_its_master_reaps_it() {
    for (version, class) in [(Version::New, "sync"), (Version::Twenty, "uvicorn")] {
        let namespace = gunicorn(version, class);
        one_after_another(&namespace, 9, |log| log.contains(" worker-ended: "));
        let told = namespace.events("worker-ended").concat();
        if kernel_tells() {
            assert!(told.contains("ostler warn worker-ended: a worker ended by SIGKILL"), "{told}");
            assert!(told.contains("exit_code=137"), "{told}");
        }
        assert!(namespace.events("workers-crash").is_empty(), "one is no loop: {}", namespace.err());
    }
}

#[test]
fn workers_that_die_in_a_loop_are_told_of_and_those_that_end_well_are_not() {
    let namespace = gunicorn(Version::New, "sync");
    one_after_another(&namespace, 9, |log| log.contains(" workers-crash: "));
    assert!(namespace.events("workers-crash").concat().contains("window_s=60"), "{}", namespace.err());
    // The control: as many that are told to stop are no faults. (gunicorn's workers end with 0 at SIGTERM.)
    let namespace = gunicorn(Version::New, "sync");
    one_after_another(&namespace, 15, |log| log.matches(" worker-ended: ").count() >= 5);
    if kernel_tells() {
        let told = namespace.events("worker-ended").concat();
        assert!(!told.contains(" warn "), "{told}");
        assert!(namespace.events("workers-crash").is_empty(), "{}", namespace.err());
    }
}
