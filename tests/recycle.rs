//! Recycles by hand, by the watchdog, by a signal, and by gunicorn itself; and stops that gunicorn would lose.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};
use support::load::{answers, both_workers_serve, stay};
use support::recycles::{USR2, held, stop, told};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, children, eventually, fixture, free_port};

/// A gevent gunicorn of 20.1 that is told to stop while its first worker boots: the worker swallows that.
fn told_too_early(init: &str) -> Namespace {
    let mut command = Version::Twenty.command("gevent");
    let config = fixture("stopped_early.py").to_str().unwrap().to_owned();
    command.extend(["-b".to_owned(), format!("127.0.0.1:{}", free_port()), "-c".to_owned(), config]);
    let under = [init, "--"].map(str::to_owned).into_iter().chain(command);
    let mut namespace = Setup::new("env", under).start();
    namespace.wait_for_err("Handling signal: term");
    namespace
}

#[test]
fn a_stop_that_meets_booting_workers_is_sent_again() {
    let mut namespace = told_too_early(OSTLER);
    namespace.end();
    assert_eq!(told(&namespace, "grace-expired"), 0, "{}", namespace.err());
    // The control: without, gunicorn lives on until its own time-out, 30 s.
    let mut namespace = told_too_early(support::tini());
    std::thread::sleep(Duration::from_secs(5));
    assert!(!namespace.ended(), "{}", namespace.err());
}

#[test]
fn a_command_in_the_container_recycles_and_is_told_what_happens() {
    let port = free_port();
    let script = format!(
        "sleep 0.2; until {OSTLER} --recycle; do sleep 0.1; done; {OSTLER} --recycle; echo status $?; exec sleep 60"
    );
    // Beside the server, as `docker exec` starts it: the script is ostler's child, and so is the server.
    let server = Version::New.command("sync").join(" ");
    let mut namespace = Setup::ostler(["sh", "-c", &format!("({script}) & exec {server}")])
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .start();
    namespace.wait_for_out("recycling generation 1");
    namespace.wait_for_out("status 1");
    namespace.wait_for_err("ostler: a recycle is under way already");
    namespace.wait_for_err("handed-over");
    // From outside its PID namespace nobody finds it.
    let outside = std::process::Command::new(OSTLER).arg("--recycle").output().unwrap();
    assert_eq!(outside.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outside.stderr).contains("docker exec"), "{outside:?}");
}

#[test]
fn a_hung_server_is_replaced_and_a_busy_one_is_not() {
    let port = free_port();
    let mut command = Version::New.command("sync");
    command[1] = "moody:app".into();
    let mut namespace = held(command, port)
        .env("OSTLER_WATCHDOG", "4s")
        .env("OSTLER_READY_TIMEOUT", "10s")
        .env("OSTLER_MIN_AGE", "1s")
        .env("OSTLER_GRACE_PERIOD", "5s")
        .start();
    let start = Instant::now();
    both_workers_serve(port);
    // Busy: more clients than workers, each served for half a second, so that somebody always waits.
    let busy = || {
        let clients: Vec<_> = (0..12)
            .map(|_| std::thread::spawn(move || (0..2).for_each(|_| drop(stay(port, "/?0.5")))))
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    };
    // It is watched once the time to get ready is over.
    while start.elapsed() < Duration::from_secs(10 + 4 + 2) {
        busy();
    }
    assert_eq!(told(&namespace, "recycle-started"), 0, "{}", namespace.err());
    // Hung: both workers are kept for an hour, and one client waits.
    let hang = || {
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        client
    };
    let clients = [hang(), hang(), hang()];
    namespace.wait_for_err("it hangs: connections wait, and none is accepted");
    namespace.wait_for_err("handed-over");
    assert!(answers(port));
    // The client that waited is told at once that nobody will come, and need not wait for its own time-out.
    namespace.wait_for_err("connections-closed");
    drop(clients);
    stop(&mut namespace);
}

#[test]
fn the_leader_that_gunicorn_puts_in_its_own_place_is_followed() {
    let port = free_port();
    let mut command = Version::Twenty.command("sync");
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
    let mut namespace = Setup::ostler(command).start();
    both_workers_serve(port);
    let first = children(namespace.init())[0];
    namespace.signal(USR2);
    eventually("a new master with workers", || {
        children(first).iter().any(|child| children(*child).len() == 2)
    });
    support::kill(first, 15);
    namespace.wait_for_err("leader-followed");
    let second = children(namespace.init())[0];
    assert_ne!(first, second);
    both_workers_serve(port);
    // It is the leader in all: gets signals, and its end is ostler's.
    stop(&mut namespace);
    assert_eq!(told(&namespace, "generation-ended"), 1);
}

#[test]
fn a_reload_replaces_the_workers_under_the_same_master() {
    let port = free_port();
    let mut namespace = held(Version::New.command("sync"), port)
        .env("OSTLER_RECYCLE", "reload")
        .env("OSTLER_MAX_REQUESTS", "10")
        .env("OSTLER_MIN_AGE", "1s")
        .start();
    both_workers_serve(port);
    let master = children(namespace.init())[0];
    let workers = children(master);
    eventually("two reloads", || {
        answers(port);
        told(&namespace, "reloaded") >= 2
    });
    eventually("other workers", || children(master).iter().all(|worker| !workers.contains(worker)));
    assert_eq!(children(namespace.init()), [master]);
    both_workers_serve(port);
    stop(&mut namespace);
}
