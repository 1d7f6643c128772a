//! Who waits to be accepted: connections of our addresses that no process has yet, by /proc/net/tcp and tcp6 (proc(5)).

use super::door::{Door, queue};
use crate::supervisor::{Queue, Slot};
use nix::sys::socket::{UnixAddr, getsockname};
use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// States of a connection that can wait in an accept queue: established, and left by its client already (`CLOSE_WAIT`).
const WAITING: [&str; 2] = ["01", "08"];

/// A number for each connection that waits for the generation in this slot, in ascending order. Where no generation is
/// nobody waits for long, so all that /proc tells of are this one's.
pub(super) fn waiting(doors: &[Door], slot: Slot) -> Vec<u64> {
    // The question that costs little first: /proc has a line for every connection of the network namespace.
    let somebody =
        doors.iter().filter(|door| door.socket(slot).is_some_and(|fd| queue(fd) == Queue::Waiting));
    let ports: BTreeSet<u16> = somebody.filter_map(Door::address).map(|address| address.port()).collect();
    if ports.is_empty() {
        return Vec::new();
    }
    let mut waiting = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // Line by line: a busy machine's are megabytes, which ostler would keep.
        if let Ok(table) = File::open(file).map(BufReader::new) {
            let lines = table.lines().skip(1).map_while(Result::ok);
            waiting.extend(lines.filter_map(|line| connection(&line, &ports)));
        }
    }
    waiting.sort_unstable();
    // A table that changes while it is read may show one twice.
    waiting.dedup();
    waiting
}

/// Only the port is compared: an address of ours may be a wildcard, and who else listens on the same port of another
/// address of this namespace accepts what comes there, so it does not stay.
pub(super) fn connection(line: &str, ports: &BTreeSet<u16>) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (_, local, remote, state) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    // tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout; then the inode, 0 as long as no process has it.
    let inode = fields.nth(5)?;
    (inode == "0" && WAITING.contains(&state) && ports.contains(&port)).then(|| {
        let mut hasher = DefaultHasher::new();
        (local, remote).hash(&mut hasher);
        hasher.finish()
    })
}

impl Door {
    /// Where it is, as `OSTLER_LISTEN` writes it.
    pub(super) fn place(&self, slot: Slot) -> String {
        let shared = match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Shared(_) => self.socket(slot),
        };
        let path = shared.and_then(|socket| getsockname::<UnixAddr>(socket.as_raw_fd()).ok());
        let path = path.as_ref().and_then(UnixAddr::path).map(|path| format!("unix:{}", path.display()));
        path.or_else(|| self.address().map(|address| address.to_string())).unwrap_or_else(|| self.to_string())
    }

    /// Where it is, if that is a TCP address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(door) => Some(door.address),
            Self::Shared(door) => listening_at(&door.socket()),
            Self::Unix(_) => None,
        }
    }
}

fn listening_at(socket: &impl AsRawFd) -> Option<SocketAddr> {
    let address: nix::sys::socket::SockaddrStorage =
        nix::sys::socket::getsockname(socket.as_raw_fd()).ok()?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

#[cfg(test)]
mod tests {
    use super::super::door::SharedDoor;
    use super::*;
    use nix::sys::socket::Backlog;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    #[test]
    fn who_waits_is_seen_until_it_is_accepted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap();
            let socket = OwnedFd::from(listener.try_clone().unwrap());
            let doors = [Door::Shared(SharedDoor::new(socket, Backlog::MAXCONN))];
            assert_eq!(waiting(&doors, Slot::A), [0; 0], "{address}");
            let first = TcpStream::connect(port).unwrap();
            let one = waiting(&doors, Slot::A);
            let second = TcpStream::connect(port).unwrap();
            let two = waiting(&doors, Slot::A);
            assert_eq!((one.len(), two.len()), (1, 2), "{address}");
            assert!(two.contains(&one[0]) && two.is_sorted());
            // One that its client has left waits on.
            drop(first);
            assert_eq!(waiting(&doors, Slot::A), two);
            let accepted = listener.accept().unwrap();
            let left: Vec<_> = two.iter().copied().filter(|each| *each != one[0]).collect();
            assert_eq!(waiting(&doors, Slot::A), left, "first in, first out");
            drop((second, accepted));
        }
    }
}
