//! Where a generation says that it is ready (`sd_notify(3)`): a datagram socket
//! of its own, which is always drained, since whoever sends to a full one waits.

use super::control::{datagram_socket, receive};
use nix::sys::socket::{MsgFlags, UnixAddr, bind, getsockname, sendto};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The variable that names the socket.
pub(super) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

const READY: &[u8] = b"READY=1";

/// Datagrams of one wake-up.
const MANY: usize = 16;

#[derive(Debug)]
pub(super) struct Notify {
    socket: OwnedFd,
    /// Whom ostler itself is to tell when a generation is ready. All else that
    /// a child says there (that it stops, say) is of that generation alone.
    upstream: Option<UnixAddr>,
}

impl Notify {
    /// Opens one under a name that the kernel chooses. Returns it with the value of `NOTIFY_SOCKET` for the child.
    pub(super) fn open(upstream: Option<&OsStr>) -> nix::Result<(Self, String)> {
        let socket = datagram_socket()?;
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
        let bound: UnixAddr = getsockname(socket.as_raw_fd())?;
        let name = String::from_utf8_lossy(bound.as_abstract().unwrap_or_default()).into_owned();
        Ok((Self { socket, upstream: upstream.and_then(address) }, format!("@{name}")))
    }

    /// Takes what has come. Was `READY=1` in it?
    pub(super) fn take(&mut self) -> bool {
        let mut ready = false;
        for _ in 0..MANY {
            let Some(datagram) = receive(&self.socket, MsgFlags::MSG_DONTWAIT) else { break };
            if datagram.is_ours() {
                ready |= says_ready(&datagram.bytes);
            }
        }
        // Once: whoever says it without end does not make ostler do so.
        if let Some(upstream) = self.upstream.as_ref().filter(|_| ready)
            && sendto(self.socket.as_raw_fd(), READY, upstream, MsgFlags::MSG_DONTWAIT).is_ok()
        {
            self.upstream = None;
        }
        ready
    }
}

/// Assignments, a line each (`sd_notify(3)`).
pub(super) fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == READY)
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A path, or a name in the abstract namespace behind an `@`.
fn address(value: &OsStr) -> Option<UnixAddr> {
    match value.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name).ok(),
        path => UnixAddr::new(path).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn ready_is_heard_and_passed_on() {
        let (mut upstream, up_name) = Notify::open(None).unwrap();
        let (mut notify, name) = Notify::open(Some(OsStr::new(&up_name))).unwrap();
        let child = UnixDatagram::unbound().unwrap();
        let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
        child.send_to_addr(b"STATUS=READY=1", &address).unwrap();
        assert!(!notify.take());
        child.send_to_addr(b"STATUS=booted\nREADY=1", &address).unwrap();
        assert!(notify.take() && !notify.take());
        assert!(upstream.take());
        child.send_to_addr(b"READY=1", &address).unwrap();
        assert!(notify.take() && !upstream.take(), "it is told once");
    }
}
