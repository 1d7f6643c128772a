//! Handovers: real servers under load are replaced, and no fresh
//! connection fails. The control is the same without steering.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use support::during::{Place, Shown, answers_at, during};
use support::load::both_workers_serve;
use support::recycles::{USR2, assert_no_fresh_failure, held, recycle, stop, told};
use support::venv::Version;
use support::{Namespace, Setup, eventually, fixture, free_port};

fn handed_over(setup: Setup, port: u16, times: usize) -> Shown {
    let mut namespace = setup.start();
    both_workers_serve(port);
    let ((), shown) = during(&Place::port(port), || recycle(&mut namespace, times));
    stop(&mut namespace);
    shown
}

#[test]
fn no_fresh_connection_fails_with_uvicorn_workers() {
    for version in [Version::Twenty, Version::New] {
        let port = free_port();
        let shown = handed_over(held(version.command("uvicorn"), port), port, 3);
        assert_no_fresh_failure(&shown, &format!("{version:?} uvicorn"));
    }
}

#[test]
fn no_fresh_connection_fails_with_gunicorns_own_workers() {
    for (version, class) in [
        (Version::Twenty, "sync"),
        (Version::Twenty, "gthread"),
        (Version::Twenty, "gevent"),
        (Version::New, "gthread"),
        (Version::New, "asgi"),
    ] {
        let port = free_port();
        let mut command = version.command(class);
        command.extend(["--threads", "4"].map(str::to_owned).into_iter().filter(|_| class == "gthread"));
        let shown = handed_over(held(command, port), port, 2);
        assert_no_fresh_failure(&shown, &format!("{version:?} {class}"));
    }
}

#[test]
fn control_without_steering_hesitating_clients_are_reset() {
    // Who takes a connection is chance.
    let reset = (0..10).any(|_| {
        let port = free_port();
        let setup = held(Version::New.command("uvicorn"), port).env("OSTLER_STEERING", "off");
        handed_over(setup, port, 3).fresh.dropped > 0
    });
    assert!(reset, "the outgoing generation takes connections to its end");
}

#[test]
fn unix_sockets_are_handed_over_by_rename() {
    let version = Version::New;
    let mut namespace =
        Setup::ostler(version.command("uvicorn")).env("OSTLER_LISTEN", "unix:app.sock").start();
    let place = Place::Unix(namespace.folder.path("app.sock"));
    namespace.wait_for_err("Application startup complete");
    let ((), shown) = during(&place, || recycle(&mut namespace, 3));
    assert_no_fresh_failure(&shown, "unix");
    assert_eq!(told(&namespace, "handed-over"), 3);
    stop(&mut namespace);
}

/// A sync gunicorn on these addresses, handed over once while clients come from all sides.
fn handed_over_at(listen: &str, places: &[Place]) {
    let mut namespace = Setup::ostler(Version::New.command("sync")).env("OSTLER_LISTEN", listen).start();
    eventually("the server answers everywhere", || places.iter().all(answers_at));
    let shown = match places {
        [one] => vec![during(one, || recycle(&mut namespace, 1)).1],
        [one, two] => {
            let (((), first), second) = during(one, || during(two, || recycle(&mut namespace, 1)));
            vec![first, second]
        }
        _ => panic!("one or two"),
    };
    for shown in shown {
        assert_no_fresh_failure(&shown, listen);
    }
    assert_eq!((told(&namespace, "handed-over"), told(&namespace, "socket-shared")), (1, 0), "{listen}");
    stop(&mut namespace);
}

#[test]
fn every_kind_of_address_is_steered() {
    let port = free_port();
    let v4 = Place::Tcp(([127, 0, 0, 1], port).into());
    let v6 = Place::Tcp((std::net::Ipv6Addr::LOCALHOST, port).into());
    handed_over_at(&format!("0.0.0.0:{port}"), std::slice::from_ref(&v4));
    handed_over_at(&format!("[::1]:{port}"), std::slice::from_ref(&v6));
    // One socket for both: the probe comes by IPv6, and IPv4 clients must not be taken for it.
    handed_over_at(&format!("[::]:{port}"), &[v4.clone(), v6.clone()]);
    handed_over_at(&format!("127.0.0.1:{port},[::]:{port}"), &[v4, v6]);
}

/// One that shuts the socket down at its end, which whoever shares it has lost too then.
fn shut_down(listen: &str, strategy: &str) -> Namespace {
    let script = fixture("shuts.py");
    let mut namespace = Setup::ostler(["python3", script.to_str().unwrap()])
        .env("OSTLER_LISTEN", listen)
        .env("OSTLER_RECYCLE", strategy)
        .start();
    namespace.wait_for_out("serves");
    namespace
}

#[test]
fn a_socket_that_its_server_has_shut_down_is_opened_again() {
    let port = free_port();
    for (listen, place) in
        [(format!("127.0.0.1:{port}"), Some(Place::port(port))), ("unix:app.sock".to_owned(), None)]
    {
        let mut namespace = shut_down(&listen, "handover");
        let place = place.unwrap_or_else(|| Place::Unix(namespace.folder.path("app.sock")));
        // Both sockets of the address, twice each.
        let ((), shown) = during(&place, || recycle(&mut namespace, 4));
        assert_no_fresh_failure(&shown, &listen);
        let told = ["handed-over", "taken-back", "handover-failed"].map(|event| told(&namespace, event));
        assert_eq!(told, [4, 0, 0], "{}", namespace.err());
        stop(&mut namespace);
    }
    // One that all generations share: nobody can be there in between, but afterwards.
    let mut namespace = shut_down(&format!("127.0.0.1:{port}"), "restart");
    recycle(&mut namespace, 1);
    eventually("the next one serves", || answers_at(&Place::port(port)));
    stop(&mut namespace);
    let mut namespace = shut_down("unix:app.sock", "restart");
    namespace.signal(USR2);
    namespace.wait_for_err("has shut it down for good");
}

#[test]
fn a_client_whose_handshake_ends_after_the_handover_is_not_left_waiting() {
    let port = free_port();
    let mut namespace = held(Version::New.command("sync"), port).start();
    both_workers_serve(port);
    let mut latecomer = Command::new("python3")
        .args([fixture("latecomer.py"), port.to_string().into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(latecomer.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "half-open");
    recycle(&mut namespace, 1);
    latecomer.stdin.take().unwrap().write_all(b"\n").unwrap();
    let told_it = lines.next().unwrap().unwrap();
    assert!(told_it.starts_with("closed"), "{told_it}");
    latecomer.wait().unwrap();
    namespace.wait_for_err("connections-closed");
    stop(&mut namespace);
}

#[test]
fn a_probe_keeps_nobody_from_ending() {
    let port = free_port();
    let script = fixture("patient.py");
    let mut namespace = Setup::ostler(["python3", script.to_str().unwrap()])
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_HEALTH_PATH", "/")
        .start();
    namespace.wait_for_out("serves");
    namespace.signal(USR2);
    namespace.wait_for_out("accepted");
    stop(&mut namespace);
    assert_eq!(told(&namespace, "grace-expired"), 0, "{}", namespace.err());
}

#[test]
fn a_shell_that_does_not_exec_is_in_nobodys_way() {
    let gunicorn = Version::New.command("sync").join(" ");
    for (address, place) in
        [(format!("127.0.0.1:{}", free_port()), None), ("unix:app.sock".to_owned(), Some("app.sock"))]
    {
        let script = format!("{gunicorn}; echo ended $?");
        let mut namespace = Setup::ostler(["sh", "-c", &script]).env("OSTLER_LISTEN", &address).start();
        let place = match place {
            Some(path) => Place::Unix(namespace.folder.path(path)),
            None => Place::Tcp(address.parse().unwrap()),
        };
        eventually("the server answers", || answers_at(&place));
        let ((), shown) = during(&place, || recycle(&mut namespace, 2));
        assert_no_fresh_failure(&shown, &address);
        assert_eq!(told(&namespace, "handed-over"), 2, "{}", namespace.err());
        // The shell dies of SIGTERM, and its gunicorn is told too.
        namespace.signal(15);
        assert_eq!(namespace.end(), 143, "{}", namespace.err());
        assert_eq!(told(&namespace, "grace-expired"), 0);
    }
}
