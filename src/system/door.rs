//! One address, and the sockets on which the generations serve there: which one new connections reach, and who waits.

mod shared;
mod tcp;
mod unix;

pub(super) use shared::SharedDoor;
pub(super) use tcp::{Reach, TcpDoor, open as open_tcp};
pub(super) use unix::{UnixDoor, open as open_unix};

use crate::supervisor::{Queue, Slot};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::POLLRDHUP;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// Connections closed at once: as many as an accept queue usually holds (`net.core.somaxconn`).
const SHED_AT_ONCE: usize = 4096;

/// The client has closed its side. For a listening socket: it was shut down, by a child that has it too (shutdown(2)
/// reaches all who share a socket), and nobody can connect to it any more.
const LEFT: PollFlags = PollFlags::from_bits_retain(POLLRDHUP).union(PollFlags::POLLHUP);

#[derive(Debug)]
pub(super) enum Door {
    /// All generations accept from one socket: nobody can tell their connections apart.
    Shared(SharedDoor),
    /// Two sockets, in one `SO_REUSEPORT` group.
    Tcp(TcpDoor),
    /// A socket for each generation, under a name of its own; the path is a second name of one of them.
    Unix(UnixDoor),
}

/// Where a probe reaches one slot and no other.
#[derive(Debug)]
pub(super) enum Approach {
    /// At one of these, once its own source address is steered to the slot.
    Tcp(Vec<SocketAddr>),
    /// There.
    Unix(PathBuf),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(_) => f.write_str("a shared socket"),
            Self::Tcp(door) => door.address.fmt(f),
            Self::Unix(door) => write!(f, "unix:{}", door.path().display()),
        }
    }
}

impl Door {
    /// Sees to it that there is a socket for this slot on which a child can serve.
    pub(super) fn prepare(&mut self, slot: Slot) -> io::Result<()> {
        match self {
            Self::Shared(door) => door.prepare(),
            Self::Tcp(door) => Ok(door.prepare(slot)?),
            Self::Unix(door) => door.prepare(slot),
        }
    }

    /// The socket of a slot that was prepared.
    pub(super) fn socket(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Shared(door) => Some(door.socket()),
            Self::Tcp(door) => Some(door.socket(slot)),
            Self::Unix(door) => door.socket(slot),
        }
    }

    /// The same, but for one that all share, and for one at which nobody can wait.
    pub(super) fn own_socket(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Shared(_) => None,
            Self::Tcp(_) | Self::Unix(_) => self.socket(slot).filter(|socket| !is_shut(socket)),
        }
    }

    /// Gives all new connections to this slot.
    pub(super) fn steer(&mut self, slot: Slot) -> io::Result<()> {
        match self {
            Self::Shared(_) => Ok(()),
            Self::Tcp(door) => Ok(door.steer(slot)?),
            Self::Unix(door) => door.steer(slot),
        }
    }

    /// Gives connections from `from` to `slot`, and all others to the other one.
    pub(super) fn steer_one(&self, from: SocketAddr, slot: Slot) -> nix::Result<()> {
        match self {
            Self::Tcp(door) => door.steer_one(from, slot),
            Self::Shared(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// How a probe reaches this slot alone.
    pub(super) fn approach(&self, slot: Slot) -> Option<Approach> {
        match self {
            Self::Shared(_) => None,
            Self::Tcp(door) => Some(Approach::Tcp(door.reachable_at())),
            Self::Unix(door) => Some(Approach::Unix(door.own_name(slot))),
        }
    }

    /// Does anybody wait to be accepted here? Nobody can be told to wait for one of those who share a socket.
    pub(super) fn queue(&self, slot: Slot) -> Queue {
        self.own_socket(slot).map_or(Queue::Empty, queue)
    }

    /// Closes what waits for a generation that is gone, and returns how many clients still waited.
    pub(super) fn shed(&mut self, slot: Slot) -> u64 {
        let waited = self.own_socket(slot).map_or(0, |socket| self.shed_from(socket).unwrap_or(0));
        if let Self::Unix(door) = self {
            door.close(slot);
        }
        waited
    }

    /// Counts those whose clients have not left already, as a probe of a failed successor has. Nothing here may wait:
    /// somebody who has left its group may accept from this socket too.
    fn shed_from(&self, socket: BorrowedFd<'_>) -> nix::Result<u64> {
        let own = socket.try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
        let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
        fcntl(socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let waited = match self {
            Self::Unix(_) => {
                let listener = UnixListener::from(own);
                count_waiting(|| listener.accept().map(|(stream, _)| stream.into()))
            }
            Self::Tcp(_) | Self::Shared(_) => {
                let listener = TcpListener::from(own);
                count_waiting(|| listener.accept().map(|(stream, _)| stream.into()))
            }
        };
        fcntl(socket, FcntlArg::F_SETFL(flags))?;
        Ok(waited)
    }
}

/// Accepts and closes all that waits.
fn count_waiting(accept: impl Fn() -> io::Result<OwnedFd>) -> u64 {
    let mut waited = 0;
    for _ in 0..SHED_AT_ONCE {
        match accept() {
            Ok(connection) => waited += u64::from(!is_shut(&connection)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => break,
        }
    }
    waited
}

/// A listening socket is readable while a connection waits in its accept queue (accept(2)). Where nobody can tell,
/// somebody may wait: a probe is not taken for accepted, nor a generation for drained.
pub(super) fn queue(socket: BorrowedFd<'_>) -> Queue {
    match state(&socket, LEFT | PollFlags::POLLIN) {
        Ok(PollFlags::POLLIN) | Err(_) => Queue::Waiting,
        Ok(_) => Queue::Empty,
    }
}

/// By a child, or a client.
fn is_shut(socket: &impl AsFd) -> bool {
    state(socket, LEFT).is_ok_and(|now| now.intersects(LEFT))
}

/// What poll(2) tells of it now.
fn state(socket: &impl AsFd, wanted: PollFlags) -> nix::Result<PollFlags> {
    let mut fds = [PollFd::new(socket.as_fd(), wanted)];
    match poll(&mut fds, PollTimeout::ZERO) {
        // A signal came, and there is nothing to tell: else it would be told.
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let [fd] = fds;
    // nix has no name for POLLRDHUP, and tells of nothing where it is among the flags.
    Ok(fd.revents().unwrap_or(LEFT))
}
