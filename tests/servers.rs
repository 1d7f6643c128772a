//! Real servers, gunicorn and others: which take a held socket, by which command, and how each ends at SIGTERM.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use support::venv::Version::{self, New, Other, Twenty};
use support::{LIMIT, Setup, eventually, fixture, free_port};

/// A server, and what is said of it in docs/handover.md.
struct Server {
    environment: Version,
    /// As in a Dockerfile. No address is in it, so what answers is the held socket.
    command: &'static str,
    /// How many processes serve.
    workers: usize,
    /// Does it take a unix socket in the same way?
    unix: bool,
    /// What it writes once it takes signals, if that is later than that all its workers serve.
    ready: &'static str,
    /// The exit status after SIGTERM.
    status: i32,
    /// Does it finish a request that takes a second more at SIGTERM?
    finishes: bool,
}

impl Server {
    const fn new(environment: Version, command: &'static str) -> Self {
        Self { environment, command, workers: 1, unix: true, ready: "", status: 0, finishes: true }
    }

    const fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    const fn only_tcp(self) -> Self {
        Self { unix: false, ..self }
    }

    const fn ready(self, ready: &'static str) -> Self {
        Self { ready, ..self }
    }

    const fn status(self, status: i32) -> Self {
        Self { status, ..self }
    }

    const fn drops(self) -> Self {
        Self { finishes: false, ..self }
    }

    fn name(&self) -> String {
        format!("{:?}: {}", self.environment, self.command)
    }

    fn argv(&self) -> Vec<String> {
        let mut words = shlex::split(self.command).unwrap();
        words[0] = self.environment.program(&words[0]);
        words
    }
}

/// uWSGI takes SIGTERM as `gracefully_kill_them_all` from the moment at which it writes the last word.
const UWSGI: &str = "uwsgi --module plain:wsgi --protocol http --master --processes 2 \
                     --hook-master-start 'unix_signal:15 gracefully_kill_them_all'";

const SERVERS: [Server; 14] = [
    Server::new(Twenty, "gunicorn plain:wsgi -w 2").workers(2),
    Server::new(New, "gunicorn plain:wsgi -w 2").workers(2),
    Server::new(Twenty, "uvicorn plain:asgi --fd 3").status(143),
    Server::new(New, "uvicorn plain:asgi --fd 3").status(143),
    Server::new(New, "uvicorn plain:asgi --fd 3 --workers 2").workers(2),
    Server::new(Other, "hypercorn plain:asgi -b fd://3"),
    // The first of its workers to end makes it end the others, however long they may take.
    Server::new(Other, "hypercorn plain:asgi -b fd://3 -w 2 --graceful-timeout 50").workers(2).drops(),
    Server::new(Other, "daphne plain:asgi --fd 3").only_tcp().drops(),
    Server::new(Other, UWSGI).workers(2).ready("(master-start)"),
    Server::new(Other, "cheroot plain:wsgi").only_tcp().status(143).drops(),
    Server::new(Other, "python -m held waitress"),
    Server::new(Other, "python -m held aiohttp"),
    Server::new(Other, "python -m held sanic"),
    Server::new(Other, "python -m held tornado").status(143).drops(),
];

/// Where the held socket is.
#[derive(Clone, Debug)]
enum Place {
    Tcp(u16),
    Unix(PathBuf),
}

impl Place {
    fn connect(&self) -> io::Result<File> {
        let stream: OwnedFd = match self {
            Self::Tcp(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.into()
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.into()
            }
        };
        Ok(File::from(stream))
    }

    /// The body of an answer.
    fn ask(&self, path: &str) -> io::Result<String> {
        let mut client = self.connect()?;
        send(&mut client, path)?;
        receive(client)
    }
}

fn send(client: &mut File, path: &str) -> io::Result<()> {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())
}

fn receive(mut client: File) -> io::Result<String> {
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("no answer: {answer:?}"))),
    }
}

/// Starts the server on a held socket, with a client that was
/// there before it, and stops it with a request in its hands.
fn serves_and_stops(server: &Server, place: impl FnOnce(&support::Folder) -> Place) {
    // The server is executed when the test closes the other end. It is the same process then: LISTEN_PID names it.
    let (reader, held_back) = io::pipe().unwrap();
    let script = r#"read -r _; exec "$@" </dev/null"#;
    let command = ["sh", "-c", script, "sh"].map(str::to_owned).into_iter().chain(server.argv());
    let setup = Setup::ostler(command).stdin(reader.into());
    let place = place(setup.folder());
    let address = match &place {
        Place::Tcp(port) => format!("127.0.0.1:{port}"),
        Place::Unix(path) => format!("unix:{}", path.display()),
    };
    let mut namespace = setup
        .env("OSTLER_LISTEN", address)
        .env("PYTHONPATH", fixture(""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .start();

    namespace.wait_for_err("generation-started");
    let mut early = place.connect().unwrap();
    send(&mut early, "/").unwrap();
    drop(held_back);
    assert!(receive(early).unwrap().contains("pid"), "who came before the server is answered");

    // Not all take a SIGTERM that comes while a worker boots.
    let mut workers = BTreeSet::new();
    eventually("all workers serve", || {
        workers.extend(place.ask("/"));
        workers.len() >= server.workers
    });
    namespace.wait_for_err(server.ready);

    let seconds = if server.finishes { "1" } else { "30" };
    let slow = {
        let place = place.clone();
        thread::spawn(move || place.ask(&format!("/slow?seconds={seconds}")))
    };
    eventually("a request has begun", || namespace.folder.path("begun").exists());
    namespace.signal(15);
    let answer = slow.join().unwrap();
    assert_eq!(answer.is_ok(), server.finishes, "the request in flight: {answer:?}");
    assert_eq!(namespace.end(), server.status, "the exit status");
}

/// Tries all of them, each in a thread of its name, which a panic tells; fails with the names of those that failed.
fn each<'a>(servers: impl Iterator<Item = &'a Server>, trial: impl Fn(&Server) + Sync) {
    let failed: Vec<_> = servers
        .filter(|server| {
            thread::scope(|scope| {
                let named = thread::Builder::new().name(server.name());
                named.spawn_scoped(scope, || trial(server)).unwrap().join().is_err()
            })
        })
        .map(Server::name)
        .collect();
    assert!(failed.is_empty(), "these failed: {failed:#?}");
}

#[test]
fn every_server_serves_on_a_held_tcp_socket_and_ends_at_sigterm() {
    each(SERVERS.iter(), |server| serves_and_stops(server, |_| Place::Tcp(free_port())));
}

#[test]
fn those_that_take_a_unix_socket_do_the_same_there() {
    let take_it = SERVERS.iter().filter(|server| server.unix);
    each(take_it, |server| serves_and_stops(server, |folder| Place::Unix(folder.path("app.sock"))));
}
