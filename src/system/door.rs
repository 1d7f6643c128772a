//! One address, and the sockets on which the generations serve there: which one new connections reach, and who waits.

use super::listen::{self, Opening};
use super::steer;
use crate::supervisor::{Queue, Slot};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::POLLRDHUP;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections closed at once: as many as an accept queue usually holds (`net.core.somaxconn`).
const SHED_AT_ONCE: usize = 4096;

#[derive(Debug)]
pub(super) enum Door {
    /// All generations accept from one socket: nobody can tell their connections apart.
    Shared(OwnedFd),
    /// Two sockets in one `SO_REUSEPORT` group, in the order of the slots.
    Tcp { address: SocketAddr, sockets: [OwnedFd; 2] },
    /// A socket for each generation, under a name of its own; the path is a second name of one of them.
    Unix(UnixDoor),
}

#[derive(Debug)]
pub(super) struct UnixDoor {
    pub(super) path: PathBuf,
    pub(super) opening: Opening,
    pub(super) sockets: [Option<OwnedFd>; 2],
    /// Whose socket the path leads to.
    pub(super) open: Slot,
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
            Self::Tcp { address, .. } => address.fmt(f),
            Self::Unix(door) => write!(f, "unix:{}", door.path.display()),
        }
    }
}

fn index(slot: Slot) -> usize {
    match slot {
        Slot::A => 0,
        Slot::B => 1,
    }
}

impl Door {
    /// Sees to it that there is a socket for this slot.
    pub(super) fn prepare(&mut self, slot: Slot) -> io::Result<()> {
        match self {
            Self::Shared(_) | Self::Tcp { .. } => Ok(()),
            Self::Unix(door) => door.prepare(slot),
        }
    }

    /// The socket of a slot that was prepared.
    pub(super) fn socket(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Shared(socket) => Some(socket.as_fd()),
            Self::Tcp { sockets, .. } => sockets.get(index(slot)).map(AsFd::as_fd),
            Self::Unix(door) => door.sockets.get(index(slot))?.as_ref().map(AsFd::as_fd),
        }
    }

    /// The same, but for one that all share.
    pub(super) fn own_socket(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Shared(_) => None,
            Self::Tcp { .. } | Self::Unix(_) => self.socket(slot),
        }
    }

    /// Gives all new connections to this slot.
    pub(super) fn steer(&mut self, slot: Slot) -> io::Result<()> {
        match self {
            Self::Shared(_) => Ok(()),
            Self::Tcp { sockets: [socket, _], .. } => Ok(steer::attach(socket, steer::all_to(slot))?),
            Self::Unix(door) => door.steer(slot),
        }
    }

    /// Gives connections from `from` to `slot`, and all others to the other one.
    pub(super) fn steer_one(&self, from: SocketAddr, slot: Slot) -> nix::Result<()> {
        match self {
            Self::Tcp { sockets: [socket, _], .. } => {
                steer::attach(socket, steer::one_to(from, slot, slot.other()))
            }
            Self::Shared(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// How a probe reaches this slot alone.
    pub(super) fn approach(&self, slot: Slot) -> Option<Approach> {
        match self {
            Self::Shared(_) => None,
            Self::Tcp { address, .. } => {
                let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
                let (v4, v6) = (at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into()));
                Some(Approach::Tcp(match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
                    // Docker's containers can have sockets on [::] and no ::1.
                    IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
                    IpAddr::V4(_) | IpAddr::V6(_) => vec![*address],
                }))
            }
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
            Self::Tcp { .. } | Self::Shared(_) => {
                let listener = TcpListener::from(own);
                count_waiting(|| listener.accept().map(|(stream, _)| stream.into()))
            }
        };
        fcntl(socket, FcntlArg::F_SETFL(flags))?;
        Ok(waited)
    }
}

impl UnixDoor {
    /// The name that this slot's socket is bound to.
    fn own_name(&self, slot: Slot) -> PathBuf {
        own_name(&self.path, slot)
    }

    fn prepare(&mut self, slot: Slot) -> io::Result<()> {
        let name = self.own_name(slot);
        if let Some(socket @ None) = self.sockets.get_mut(index(slot)) {
            *socket = Some(listen::open_unix(&name, &self.opening)?);
        }
        Ok(())
    }

    /// rename(2) is atomic: no client ever finds the path missing. It is done even if the path is this socket's already:
    /// somebody may have removed it.
    pub(super) fn steer(&mut self, slot: Slot) -> io::Result<()> {
        let mut step = self.path.clone().into_os_string();
        step.push(".new");
        let _ = fs::remove_file(&step);
        fs::hard_link(self.own_name(slot), &step)?;
        fs::rename(&step, &self.path)?;
        // Where both were the same already, rename leaves them as they are.
        let _ = fs::remove_file(&step);
        self.open = slot;
        Ok(())
    }

    fn close(&mut self, slot: Slot) {
        if slot != self.open
            && let Some(socket) = self.sockets.get_mut(index(slot))
        {
            let _ = fs::remove_file(own_name(&self.path, slot));
            *socket = None;
        }
    }
}

/// The name under which a slot's socket is to be found beside the path itself.
pub(super) fn own_name(path: &Path, slot: Slot) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(match slot {
        Slot::A => ".a",
        Slot::B => ".b",
    });
    name.into()
}

/// Accepts and closes all that waits.
fn count_waiting(accept: impl Fn() -> io::Result<OwnedFd>) -> u64 {
    let mut waited = 0;
    for _ in 0..SHED_AT_ONCE {
        match accept() {
            Ok(connection) => waited += u64::from(!is_left(&connection)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => break,
        }
    }
    waited
}

/// Has the other side closed it?
fn is_left(connection: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(connection.as_fd(), PollFlags::from_bits_retain(POLLRDHUP))];
    poll(&mut fds, PollTimeout::ZERO) != Ok(0)
}

/// A listening socket is readable while a connection waits in its accept queue (accept(2)).
pub(super) fn queue(socket: BorrowedFd<'_>) -> Queue {
    let mut fds = [PollFd::new(socket, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(1..) => Queue::Waiting,
        Ok(_) | Err(_) => Queue::Empty,
    }
}
