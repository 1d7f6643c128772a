//! Two TCP sockets that listen at one address, and the program by which the kernel chooses between them.

use super::{Door, SharedDoor, is_shut};
use crate::supervisor::Slot;
use crate::system::listen::{Opened, Opening, Sockets, stream};
use crate::system::steer;
use nix::errno::Errno;
use nix::libc::sock_filter;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr, ReusePort, TcpNoDelay};
use nix::sys::socket::{AddressFamily, Backlog, SockaddrStorage, bind, listen, setsockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub(in crate::system) struct TcpDoor {
    pub(in crate::system) address: SocketAddr,
    backlog: Backlog,
    a: OwnedFd,
    b: OwnedFd,
    /// Which of them began to listen first: the program knows it as 0, and the other one as 1.
    first: Slot,
    /// Where new connections go.
    open: Slot,
}

impl TcpDoor {
    pub(super) fn socket(&self, slot: Slot) -> BorrowedFd<'_> {
        match slot {
            Slot::A => self.a.as_fd(),
            Slot::B => self.b.as_fd(),
        }
    }

    fn number(&self, slot: Slot) -> u32 {
        u32::from(slot != self.first)
    }

    /// One that was shut down joins the group again when it is told to listen, as the last of them: the program has to
    /// be right before, so that no client comes to it too early.
    pub(super) fn prepare(&mut self, slot: Slot) -> nix::Result<()> {
        if is_shut(&self.socket(slot)) {
            self.first = slot.other();
            self.steer(self.open)?;
            listen(&self.socket(slot), self.backlog)?;
        }
        Ok(())
    }

    pub(super) fn steer(&mut self, slot: Slot) -> nix::Result<()> {
        self.attach(steer::all_to(self.number(slot)))?;
        self.open = slot;
        Ok(())
    }

    pub(super) fn steer_one(&self, from: SocketAddr, slot: Slot) -> nix::Result<()> {
        self.attach(steer::one_to(from, self.number(slot), self.number(slot.other())))
    }

    /// To the group; one that was shut down has left it. A number that is nobody's is given to the one that is left.
    fn attach(&self, program: Vec<sock_filter>) -> nix::Result<()> {
        let in_the_group = [Slot::A, Slot::B].into_iter().find(|slot| !is_shut(&self.socket(*slot)));
        steer::attach(&self.socket(in_the_group.unwrap_or(self.open)), program)
    }

    /// Where this machine's own connections reach it.
    pub(super) fn reachable_at(&self) -> Vec<SocketAddr> {
        let at = |ip: IpAddr| SocketAddr::new(ip, self.address.port());
        let (v4, v6) = (at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into()));
        match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
            // Docker's containers can have sockets on [::] and no ::1.
            IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
            IpAddr::V4(_) | IpAddr::V6(_) => vec![self.address],
        }
    }
}

/// Whom an address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::system) enum Reach {
    /// [::] takes IPv4 too.
    All,
    /// IPv4 has a socket of its own on that port.
    OnlyV6,
}

/// Which one of its `SO_REUSEPORT` group a socket is: they are numbered as they begin to listen.
#[derive(Clone, Copy)]
enum Group {
    None,
    First,
    Second,
}

pub(in crate::system) fn open(
    address: SocketAddr,
    reach: Reach,
    opening: &Opening,
    sockets: Sockets,
) -> Opened {
    let backlog = opening.backlog;
    let listening = |group| {
        let socket = bound(address, reach, group)?;
        listen(&socket, backlog)?;
        Ok::<_, Errno>(socket)
    };
    let shared = || Ok::<_, Errno>(Door::Shared(SharedDoor::new(listening(Group::None)?, backlog)));
    if sockets == Sockets::Shared {
        return Ok((shared()?, None));
    }
    // Is anybody there? With SO_REUSEPORT another one's socket would be joined without a word.
    drop(bound(address, reach, Group::None)?);
    match listening(Group::First).and_then(|a| Ok((a, listening(Group::Second)?))) {
        Ok((a, b)) => {
            Ok((Door::Tcp(TcpDoor { address, backlog, a, b, first: Slot::A, open: Slot::A }), None))
        }
        Err(errno) => Ok((shared()?, Some(errno.desc().to_owned()))),
    }
}

fn bound(address: SocketAddr, reach: Reach, group: Group) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = stream(family)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    // Accepted connections inherit it. gunicorn sets it by itself; uvicorn takes a socket of `--fd` for a unix one,
    // does not, and a keep-alive client waits 40 ms for the second packet of an answer.
    let _ = setsockopt(&socket, TcpNoDelay, &true);
    if address.is_ipv6() {
        setsockopt(&socket, Ipv6V6Only, &(reach == Reach::OnlyV6))?;
    }
    match group {
        Group::None => {}
        // Before there is a second one: no client may ever come to that by chance.
        Group::First => {
            setsockopt(&socket, ReusePort, &true)?;
            steer::attach(&socket, steer::all_to(0))?;
        }
        Group::Second => setsockopt(&socket, ReusePort, &true)?,
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}
