//! Constant load: every client has a schedule, and latency counts from the time at which a request was due, so that a
//! server that stalls is not spared the requests that would have come meanwhile.

use crate::figures::{Failure, Outcomes};
use crate::support::answer::{After, read_answer};
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{BufReader, Error, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Clients that open a connection for each request.
const FRESH: u32 = 24;
/// Clients that use a connection for as long as the server lets them, and skip what they are too late for.
const KEEP_ALIVE: u32 = 6;
/// How long a client waits, from the time at which its request was due.
const PATIENCE: Duration = Duration::from_secs(30);
/// What happens before is not recorded: caches fill, and keep-alive clients connect.
const WARM_UP: Duration = Duration::from_secs(2);

/// Clients at work. They stop, and are waited for, when this is dropped.
pub(crate) struct Load {
    stop: Arc<OnceLock<Instant>>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What came of a client's requests.
#[derive(Default)]
pub(crate) struct Tally {
    /// Of the first one on every connection.
    pub(crate) fresh: Outcomes,
    /// Of those on a connection that had been used before.
    pub(crate) reused: Outcomes,
}

impl Load {
    /// Starts `rate` requests a second in all, and returns when they have become routine.
    pub(crate) fn start(port: u16, rate: u32) -> Self {
        let stop = Arc::new(OnceLock::new());
        let start = Instant::now();
        let number = FRESH + KEEP_ALIVE;
        let clients = (0..number).map(|client| {
            let client = Client {
                address: (Ipv4Addr::LOCALHOST, port).into(),
                keep_alive: client < KEEP_ALIVE,
                first: start + Duration::from_secs(1) * client / rate,
                period: Duration::from_secs(1) * number / rate,
                recorded_from: start + WARM_UP,
                stop: Arc::clone(&stop),
            };
            thread::spawn(move || client.run())
        });
        let load = Self { clients: clients.collect(), stop };
        thread::sleep(WARM_UP);
        load
    }

    /// Waits for what comes of all that is due by now.
    pub(crate) fn end(mut self) -> Tally {
        let mut sum = Tally::default();
        for client in self.stop() {
            let tally = client.join().expect("a client has panicked");
            sum.fresh.append(tally.fresh);
            sum.reused.append(tally.reused);
        }
        sum
    }

    fn stop(&mut self) -> Vec<JoinHandle<Tally>> {
        self.stop.get_or_init(Instant::now);
        std::mem::take(&mut self.clients)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for client in self.stop() {
            // What it has to say no longer matters: the cell has failed.
            let _ = client.join();
        }
    }
}

struct Client {
    address: SocketAddr,
    keep_alive: bool,
    first: Instant,
    period: Duration,
    recorded_from: Instant,
    stop: Arc<OnceLock<Instant>>,
}

type Connection = BufReader<TcpStream>;

impl Client {
    fn run(&self) -> Tally {
        let (mut tally, mut connection, mut due) = (Tally::default(), None, self.first);
        while self.stop.get().is_none_or(|stop| due <= *stop) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // What the server has closed meanwhile is not used again, by this client as by any real one.
            connection = connection.filter(is_quiet);
            let outcomes = if connection.is_some() { &mut tally.reused } else { &mut tally.fresh };
            let result = self.request(&mut connection, due + PATIENCE);
            if due >= self.recorded_from {
                outcomes.record(result.map(|()| due.elapsed()));
            }
            due += self.period;
            if self.keep_alive {
                // Else the lag of a slow connection would be told of the next one, which is fresh.
                due = due.max(Instant::now());
            }
        }
        tally
    }

    /// One GET. The connection is there afterwards if it may be used again.
    fn request(&self, connection: &mut Option<Connection>, until: Instant) -> Result<(), Failure> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => self.connect(until)?,
        };
        stream.get_ref().set_read_timeout(Some(left(until)?))?;
        let closes = if self.keep_alive { "" } else { "Connection: close\r\n" };
        stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: test\r\n{closes}\r\n").as_bytes())?;
        if read_answer(&mut stream)?.after == After::Keep && self.keep_alive {
            *connection = Some(stream);
        }
        Ok(())
    }

    fn connect(&self, until: Instant) -> Result<Connection, Failure> {
        let stream = TcpStream::connect_timeout(&self.address, left(until)?)?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

/// An end, a reset, or bytes that nobody asked for would all be there to read.
fn is_quiet(connection: &Connection) -> bool {
    poll(&mut [PollFd::new(connection.get_ref().as_fd(), PollFlags::POLLIN)], 0_u8) == Ok(0)
}

fn left(until: Instant) -> Result<Duration, Failure> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::TimedOut) } else { Ok(left) }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        // That would be told of the server, and is a fault of the load.
        assert_ne!(kind, ErrorKind::AddrNotAvailable, "no local port is left: lower the rate");
        if kind == ErrorKind::ConnectionRefused {
            Self::Refused
        } else if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            Self::TimedOut
        } else if kind == ErrorKind::InvalidData {
            Self::BadStatus
        } else {
            Self::Dropped
        }
    }
}
