//! HTTP clients over loopback, bounded in number and time: what they sent, and what came of it.

use super::answer::{After, read_answer};
use std::collections::BTreeSet;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// For one answer, where a question may be asked again. Whoever gives up is served, and counted, all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered with 200.
    pub answered: u64,
    /// Nobody was listening.
    pub refused: u64,
    /// The connection ended without an answer.
    pub dropped: u64,
    /// So did this one, but its request came later than is promised an answer.
    pub late: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.late += other.late;
    }
}

/// How clients use connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One for each request.
    Fresh,
    /// As long as the server lets it live.
    KeepAlive,
}

/// Sends requests from four clients until `wanted` are answered.
pub fn load(port: u16, wanted: u64, connections: Connections) -> Tally {
    let started = AtomicU64::new(0);
    let client = || client(port, wanted, connections, &started);
    let tallies = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let mut sum = Tally::default();
    for tally in tallies {
        sum += tally;
    }
    sum
}

fn client(port: u16, wanted: u64, connections: Connections, started: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    let end = Instant::now() + super::LIMIT * 3;
    while started.fetch_add(1, Ordering::Relaxed) < wanted {
        loop {
            assert!(Instant::now() < end, "the load did not end: {tally:?}");
            match request(port, connections, &mut connection, super::LIMIT) {
                Ok(_) => {
                    tally.answered += 1;
                    break;
                }
                Err(error) => {
                    connection = None;
                    if error.kind() == ErrorKind::ConnectionRefused {
                        tally.refused += 1;
                    } else {
                        tally.dropped += 1;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        if connections == Connections::Fresh {
            connection = None;
        }
    }
    tally
}

/// One GET: the body of the answer, or an error if it is not answered with 200.
fn request(
    port: u16,
    connections: Connections,
    connection: &mut Option<BufReader<TcpStream>>,
    patience: Duration,
) -> std::io::Result<Vec<u8>> {
    if connection.is_none() {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        *connection = Some(BufReader::new(stream));
    }
    let stream = connection.as_mut().unwrap();
    let close = match connections {
        Connections::Fresh => "Connection: close\r\n",
        Connections::KeepAlive => "",
    };
    stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: test\r\n{close}\r\n").as_bytes())?;
    let answer = read_answer(stream)?;
    if answer.after == After::Close {
        *connection = None;
    }
    Ok(answer.body)
}

/// Does the server answer?
pub fn answers(port: u16) -> bool {
    answer(port).is_some()
}

/// What the server answers: in the tests' apps, which worker it was.
pub fn answer(port: u16) -> Option<Vec<u8>> {
    request(port, Connections::Fresh, &mut None, PATIENCE).ok()
}

/// Waits until both workers answer, and returns how many answers that took. A gunicorn that is told to stop while a
/// worker boots loses the signal: it forks first, and the worker's handlers come later.
pub fn both_workers_serve(port: u16) -> u64 {
    let (mut workers, mut answers) = (BTreeSet::new(), 0);
    super::eventually("both workers serve", || {
        let worker = answer(port);
        answers += u64::from(worker.is_some());
        workers.extend(worker);
        workers.len() >= 2
    });
    answers
}

/// Opens a connection, asks for `path`, and leaves it open once the first bytes of the answer have come.
pub fn stay(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(super::LIMIT)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    stream
}
