//! The connection by which a successor is probed: nobody but the successor
//! can accept it. It never waits: every look goes as far as it can.

use super::door::{Approach, Door as Address};
use crate::supervisor::{Door, Queue, Slot};
use nix::errno::Errno;
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    UnixAddr, bind, connect, getsockname, getsockopt, recv, send, socket,
};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// So many looks after one that failed comes the next one: a second, at a look every 50 ms.
const PAUSE: u32 = 20;
/// A status line is shorter: `HTTP/1.1 503 Service Unavailable`.
const LONGEST_STATUS: usize = 256;

#[derive(Debug)]
pub(super) struct Probe {
    stage: Stage,
    /// How the health path was answered last, if wrongly. The next connection is no better until it has an answer.
    wrong: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// It waits to be accepted.
    Knocking { stream: OwnedFd },
    /// It was accepted, and has asked for the health path.
    Asking { stream: OwnedFd, answer: Vec<u8> },
    /// It failed like this; after so many looks there is another one.
    Failed { seen: Door, looks: u32 },
    /// It was accepted, and answered as it should be.
    Passed,
}

impl Probe {
    /// Sends one to a slot. `None`: nothing reaches that slot alone.
    pub(super) fn start(door: &Address, slot: Slot) -> Option<Self> {
        Some(Self { stage: approach(door, slot)?, wrong: None })
    }

    /// Goes on with it. `path` is what to ask for.
    pub(super) fn look(self, door: &Address, slot: Slot, path: Option<&str>) -> Self {
        let Self { stage, mut wrong } = self;
        let stage = match stage {
            Stage::Knocking { stream } => match getsockopt(&stream, SocketError) {
                Ok(0) if door.own_socket(slot).is_none() => unreachable("it has shut its socket down"),
                // It left the queue: a worker has accepted it.
                Ok(0) if is_connected(&stream) && door.queue(slot) == Queue::Empty => match path {
                    None => Stage::Passed,
                    Some(path) => ask(stream, path),
                },
                Ok(0) => Stage::Knocking { stream },
                Ok(error) => unreachable(Errno::from_raw(error).desc()),
                Err(errno) => unreachable(errno.desc()),
            },
            Stage::Asking { stream, answer } => {
                listen_to(stream, answer).unwrap_or_else(|why| unhealthy(wrong.insert(why)))
            }
            Stage::Failed { looks: 0, .. } => approach(door, slot).unwrap_or(Stage::Passed),
            Stage::Failed { seen, looks } => Stage::Failed { seen, looks: looks.saturating_sub(1) },
            Stage::Passed => Stage::Passed,
        };
        Self { stage, wrong }
    }

    /// What it has shown so far.
    pub(super) fn seen(&self) -> Door {
        match (&self.stage, &self.wrong) {
            (Stage::Passed, _) => Door::Open,
            (Stage::Failed { seen, .. }, _) => seen.clone(),
            (Stage::Knocking { .. } | Stage::Asking { .. }, Some(why)) => Door::Unhealthy(why.clone()),
            (Stage::Asking { .. }, None) => Door::Unhealthy("no answer yet".into()),
            (Stage::Knocking { .. }, None) => Door::Closed,
        }
    }
}

fn unreachable(why: &str) -> Stage {
    Stage::Failed { seen: Door::Unreachable(why.to_owned()), looks: PAUSE }
}

fn unhealthy(why: &str) -> Stage {
    Stage::Failed { seen: Door::Unhealthy(why.to_owned()), looks: PAUSE }
}

/// Begins a connection that none but this slot can accept. `None`: there is no way to one.
fn approach(door: &Address, slot: Slot) -> Option<Stage> {
    let begun = match door.approach(slot)? {
        Approach::Unix(path) => UnixAddr::new(&path).and_then(|path| knock(AddressFamily::Unix, &path)),
        Approach::Tcp(addresses) => {
            let mut knocks = addresses.into_iter().map(|address| knock_from_own_port(door, slot, address));
            let first = knocks.next().unwrap_or(Err(Errno::EADDRNOTAVAIL));
            first.or_else(|errno| knocks.find(Result::is_ok).unwrap_or(Err(errno)))
        }
    };
    Some(match begun {
        Ok(stream) => Stage::Knocking { stream },
        Err(errno) => unreachable(errno.desc()),
    })
}

/// A connection that the kernel gives to this slot by the port that it comes from.
fn knock_from_own_port(door: &Address, slot: Slot, address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let stream = stream(family)?;
    let mut own = address;
    own.set_port(0);
    bind(stream.as_raw_fd(), &SockaddrStorage::from(own))?;
    let bound: SockaddrStorage = getsockname(stream.as_raw_fd())?;
    let port = bound
        .as_sockaddr_in()
        .map(SockaddrIn::port)
        .or_else(|| bound.as_sockaddr_in6().map(SockaddrIn6::port))
        .ok_or(Errno::EAFNOSUPPORT)?;
    own.set_port(port);
    door.steer_one(own, slot)?;
    begin(&stream, &SockaddrStorage::from(address))?;
    Ok(stream)
}

fn knock(family: AddressFamily, address: &dyn SockaddrLike) -> nix::Result<OwnedFd> {
    let stream = stream(family)?;
    begin(&stream, address)?;
    Ok(stream)
}

fn stream(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

fn begin(stream: &OwnedFd, address: &dyn SockaddrLike) -> nix::Result<()> {
    match connect(stream.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn is_connected(stream: &OwnedFd) -> bool {
    nix::sys::socket::getpeername::<SockaddrStorage>(stream.as_raw_fd()).is_ok()
}

/// HTTP/1.0, so that the server closes the connection when it has answered.
pub(super) fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: ostler/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn ask(stream: OwnedFd, path: &str) -> Stage {
    let request = request(path);
    // An empty send buffer takes it whole.
    match send(stream.as_raw_fd(), request.as_bytes(), MsgFlags::MSG_NOSIGNAL) {
        Ok(sent) if sent == request.len() => Stage::Asking { stream, answer: Vec::new() },
        Ok(_) => unhealthy("the request was not taken whole"),
        Err(errno) => unhealthy(errno.desc()),
    }
}

/// Goes on reading the answer.
///
/// # Errors
/// What is wrong with it.
fn listen_to(stream: OwnedFd, mut answer: Vec<u8>) -> Result<Stage, String> {
    let mut bytes = [0; LONGEST_STATUS];
    match recv(stream.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
        Ok(0) => return Err("closed without an answer".into()),
        Ok(length) => answer.extend(bytes.get(..length).unwrap_or_default()),
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Stage::Asking { stream, answer }),
        Err(errno) => return Err(errno.desc().into()),
    }
    match status(&answer) {
        Some(Ok(200..=299)) => Ok(Stage::Passed),
        Some(Ok(_)) => Err(first_line(&answer)),
        Some(Err(())) => Err("the answer is not HTTP".into()),
        None if answer.len() >= LONGEST_STATUS => Err("the answer is not HTTP".into()),
        None => Ok(Stage::Asking { stream, answer }),
    }
}

/// The status of an answer (RFC 9112, 4); `None` if its first line has not come whole.
pub(super) fn status(answer: &[u8]) -> Option<Result<u16, ()>> {
    answer.contains(&b'\n').then(|| {
        let line = first_line(answer);
        let mut words = line.split(' ');
        let version = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
        let code = words.next().and_then(|code| code.parse().ok());
        code.filter(|_| version).ok_or(())
    })
}

fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrong_answer_holds_until_the_next_one_is_answered() {
        let stream = || OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0);
        let (wrong, nobody) = (Some("503".to_owned()), None);
        let asking = || Stage::Asking { stream: stream(), answer: Vec::new() };
        for (stage, wrong, expected) in [
            (Stage::Knocking { stream: stream() }, &nobody, Door::Closed),
            (asking(), &nobody, Door::Unhealthy("no answer yet".into())),
            (unhealthy("503"), &wrong, Door::Unhealthy("503".into())),
            (Stage::Knocking { stream: stream() }, &wrong, Door::Unhealthy("503".into())),
            (asking(), &wrong, Door::Unhealthy("503".into())),
            // What kept it from another answer is told, though.
            (unreachable("refused"), &wrong, Door::Unreachable("refused".into())),
            (Stage::Passed, &wrong, Door::Open),
        ] {
            assert_eq!(Probe { stage, wrong: wrong.clone() }.seen(), expected);
        }
    }

    #[test]
    fn statuses() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Some(Ok(200))),
            (b"HTTP/1.0 204 No Content\r\nX: y", Some(Ok(204))),
            (b"HTTP/1.1 503 Service Unavailable\n", Some(Ok(503))),
            (b"HTTP/1.1 200", None),
            (b"", None),
            (b"SSH-2.0-OpenSSH\r\n", Some(Err(()))),
            (b"HTTP/1.1 \xff\r\n", Some(Err(()))),
            (b"\n", Some(Err(()))),
        ] {
            assert_eq!(status(answer), expected, "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in any::<Vec<u8>>()) {
            let _ = (status(&answer), first_line(&answer));
        }
    }
}
