//! Clients that ask all the time while something is going on: what they got, fresh connections apart from reused ones.

use super::LIMIT;
use super::answer::{After, read_answer};
use super::load::{Connections, Tally};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufReader, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

/// A client that has connected asks after this time: so long a server holds a connection on which nothing has come.
const HESITATION: Duration = Duration::from_millis(300);
/// What comes later than that is not promised an answer: ostler lingers a second (`OSTLER_LINGER`).
const PROMISED: Duration = Duration::from_millis(900);
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(2);

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// On loopback.
    pub fn port(port: u16) -> Self {
        Self::Tcp(([127, 0, 0, 1], port).into())
    }

    fn connect(&self) -> Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LIMIT))?;
                Box::new(stream)
            }
        })
    }
}

trait Stream: Read + Write {
    /// Has the server closed it? HTTP clients look before they use a connection again.
    fn is_closed(&self) -> bool;
}

impl Stream for TcpStream {
    fn is_closed(&self) -> bool {
        is_readable(self)
    }
}

impl Stream for UnixStream {
    fn is_closed(&self) -> bool {
        is_readable(self)
    }
}

/// Between two requests there is nothing to read but the end.
fn is_readable(stream: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) != Ok(0)
}

/// What fresh and reused connections showed.
#[derive(Debug, Default)]
pub struct Shown {
    /// One connection for each request; some clients ask at once, some after a moment.
    pub fresh: Tally,
    /// Connections that are used as long as the server lets them live.
    pub kept: Tally,
    /// Why fresh ones failed.
    pub failures: Vec<String>,
}

/// Lets eight clients ask as long as `what` takes.
pub fn during<T>(place: &Place, what: impl FnOnce() -> T) -> (T, Shown) {
    let going = AtomicBool::new(true);
    let going = &going;
    thread::scope(|scope| {
        let fresh = (0..6).map(|number| {
            let hesitation = if number % 2 == 0 { HESITATION } else { Duration::ZERO };
            scope.spawn(move || ask_while(going, place, Connections::Fresh, hesitation))
        });
        let fresh: Vec<_> = fresh.collect();
        let kept = (0..2)
            .map(|_| scope.spawn(move || ask_while(going, place, Connections::KeepAlive, Duration::ZERO)));
        let kept: Vec<_> = kept.collect();
        let result = catch_unwind(AssertUnwindSafe(what));
        going.store(false, Ordering::Relaxed);
        let (fresh, failures) = sum(fresh);
        let shown = Shown { fresh, kept: sum(kept).0, failures };
        (result.unwrap_or_else(|panic| resume_unwind(panic)), shown)
    })
}

type Told = (Tally, Vec<String>);

fn sum(clients: Vec<ScopedJoinHandle<'_, Told>>) -> Told {
    let mut sum = Told::default();
    for client in clients {
        let (tally, failures) = client.join().unwrap();
        sum.0 += tally;
        sum.1.extend(failures);
    }
    sum
}

fn ask_while(going: &AtomicBool, place: &Place, connections: Connections, hesitation: Duration) -> Told {
    let (mut tally, mut failures) = Told::default();
    let mut connection = None;
    while going.load(Ordering::Relaxed) {
        let asked = ask(place, connections, hesitation, &mut connection);
        if asked.is_err() || connections == Connections::Fresh {
            connection = None;
        }
        match asked {
            Ok(Outcome::Answered) => tally.answered += 1,
            Ok(Outcome::Late) => tally.late += 1,
            Err(error) => {
                failures.push(format!("{:?}: {error}", error.kind()));
                if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) {
                    tally.refused += 1;
                } else {
                    tally.dropped += 1;
                }
            }
        }
        sleep(PAUSE);
    }
    (tally, failures)
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// It failed, and came later than is promised: this machine is busy.
    Late,
}

/// Does somebody answer there?
pub fn answers_at(place: &Place) -> bool {
    matches!(ask(place, Connections::Fresh, Duration::ZERO, &mut None), Ok(Outcome::Answered))
}

fn ask(
    place: &Place,
    connections: Connections,
    hesitation: Duration,
    connection: &mut Option<BufReader<Box<dyn Stream>>>,
) -> Result<Outcome> {
    let mut begin = Instant::now();
    if connection.as_ref().is_none_or(|stream| stream.get_ref().is_closed()) {
        *connection = Some(BufReader::new(place.connect()?));
        begin = Instant::now();
        sleep(hesitation);
    }
    let stream = connection.as_mut().unwrap();
    let close = if connections == Connections::Fresh { "Connection: close\r\n" } else { "" };
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{close}\r\n");
    let sent = stream.get_mut().write_all(request.as_bytes());
    let late = begin.elapsed() > PROMISED;
    match sent.and_then(|()| read_answer(stream)) {
        Ok(answer) if answer.after == After::Close => {
            *connection = None;
            Ok(Outcome::Answered)
        }
        Ok(_) => Ok(Outcome::Answered),
        Err(_) if late => {
            *connection = None;
            Ok(Outcome::Late)
        }
        Err(error) => Err(error),
    }
}
