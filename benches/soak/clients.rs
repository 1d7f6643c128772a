//! Clients that ask all the time, a connection for each request; and for how long nobody was answered.

use crate::support::answer::read_answer;
use std::io::{BufReader, Error, ErrorKind, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const CLIENTS: u32 = 8;
/// Requests a second, of all together.
pub(crate) const RATE: u32 = 100;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients at work. They stop, and are waited for, when this is dropped.
pub(crate) struct Clients {
    shared: Arc<Mutex<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    stage: Stage,
    tally: Tally,
    last: Instant,
    longest: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Over,
}

/// What came of requests.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    /// Nobody was listening.
    pub(crate) refused: u64,
    pub(crate) timed_out: u64,
    /// The connection ended without an answer, or with another one than 200.
    pub(crate) dropped: u64,
}

/// A time in which nobody was answered.
#[derive(Clone, Copy)]
pub(crate) struct Gap {
    pub(crate) begin: Instant,
    pub(crate) length: Duration,
}

impl Clients {
    pub(crate) fn start(port: u16) -> Self {
        let now = Instant::now();
        let longest = Gap { begin: now, length: Duration::ZERO };
        let shared = Shared { stage: Stage::Asking, tally: Tally::default(), last: now, longest };
        let shared = Arc::new(Mutex::new(shared));
        let threads = (0..CLIENTS).map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask(port, now + Duration::from_secs(1) * number / RATE, &shared))
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    pub(crate) fn tally(&self) -> Tally {
        lock(&self.shared).tally
    }

    /// Since when nobody was answered.
    pub(crate) fn last(&self) -> Instant {
        lock(&self.shared).last
    }

    /// The longest time without an answer, whether it is over or not.
    pub(crate) fn longest(&self) -> Gap {
        let shared = lock(&self.shared);
        let now = Gap { begin: shared.last, length: shared.last.elapsed() };
        if now.length > shared.longest.length { now } else { shared.longest }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        lock(&self.shared).stage = Stage::Over;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Numbers are whole whoever panicked.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(port: u16, mut due: Instant, shared: &Mutex<Shared>) {
    while lock(shared).stage == Stage::Asking {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let asked = request((Ipv4Addr::LOCALHOST, port).into());
        lock(shared).record(&asked);
        // A client that waited long does not make up for it: the load has a ceiling.
        due = (due + Duration::from_secs(1) * CLIENTS / RATE).max(Instant::now());
    }
}

impl Shared {
    fn record(&mut self, asked: &Result<()>) {
        let Self { tally, last, longest, .. } = self;
        match asked.as_ref().map_err(Error::kind) {
            Ok(()) => {
                tally.answered += 1;
                let gap = Gap { begin: *last, length: last.elapsed() };
                if gap.length > longest.length {
                    *longest = gap;
                }
                *last = Instant::now();
            }
            Err(ErrorKind::ConnectionRefused) => tally.refused += 1,
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => tally.timed_out += 1,
            Err(_) => tally.dropped += 1,
        }
    }
}

fn request(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    read_answer(&mut BufReader::new(stream)).map(drop)
}
