//! The sockets that ostler opens once and holds for good, so that clients wait in the backlog while no child is there.

use crate::config::Address;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, listen, setsockopt,
    socket,
};
use nix::sys::stat::{Mode, umask};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The first descriptor that a socket is handed over as (`sd_listen_fds(3)`, `SD_LISTEN_FDS_START`).
pub(super) const FIRST_SOCKET: i32 = 3;

/// Sockets that are held open.
#[derive(Debug)]
pub struct Held {
    pub(super) sockets: Vec<OwnedFd>,
    /// The child finds the sockets at 3, 4, ...: whatever ostler has at these numbers is closed there. These keep them
    /// taken, so that nothing that the child needs is ever opened at one of them.
    _placeholders: Vec<OwnedFd>,
}

/// Opens all of them.
///
/// # Errors
/// A line for each that cannot be opened, with what to write instead.
pub fn open(addresses: &[Address]) -> Result<Held, Vec<String>> {
    let placeholders =
        reserve(addresses.len()).map_err(|error| vec![format!("no file descriptors are left: {error}")])?;
    let mut sockets = Vec::new();
    let mut errors = Vec::new();
    for address in addresses {
        let opened = match address {
            Address::Tcp(tcp) => open_tcp(*tcp, addresses),
            Address::Unix(path) => open_unix(path),
        };
        match opened {
            Ok(socket) => sockets.push(socket),
            Err(errno) => {
                let cure = cure(address, errno);
                errors
                    .push(format!("OSTLER_LISTEN={address}: cannot listen there: {}; {cure}", errno.desc()));
            }
        }
    }
    if errors.is_empty() { Ok(Held { sockets, _placeholders: placeholders }) } else { Err(errors) }
}

fn reserve(sockets: usize) -> io::Result<Vec<OwnedFd>> {
    let first_free = FIRST_SOCKET.saturating_add(i32::try_from(sockets).unwrap_or(i32::MAX));
    let mut placeholders = Vec::new();
    loop {
        let fd = io::stderr().as_fd().try_clone_to_owned()?;
        if fd.as_raw_fd() >= first_free {
            return Ok(placeholders);
        }
        placeholders.push(fd);
    }
}

fn open_tcp(address: SocketAddr, all: &[Address]) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = stream(family)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    if address.is_ipv6() {
        // [::] takes IPv4 too, unless IPv4 has a socket of its own on that port.
        let has_own = |other: &Address| matches!(other, Address::Tcp(v4) if v4.is_ipv4() && v4.port() == address.port());
        setsockopt(&socket, Ipv6V6Only, &all.iter().any(has_own))?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket)
}

fn open_unix(path: &Path) -> nix::Result<OwnedFd> {
    let socket = stream(AddressFamily::Unix)?;
    let address = UnixAddr::new(path)?;
    // As gunicorn's own sockets: who may connect is the folder's matter.
    let umask = umask(Mode::empty());
    let bound = match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if is_left_behind(path, &address) => fs::remove_file(path)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            .and_then(|()| bind(socket.as_raw_fd(), &address)),
        bound => bound,
    };
    nix::sys::stat::umask(umask);
    bound?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket)
}

fn stream(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
}

/// Is it the socket of a dead process? That refuses connections, as a plain file does, which is nobody's leftover; a
/// live one must not be taken away, and may be too busy to answer.
fn is_left_behind(path: &Path, address: &UnixAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let asked = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|probe| connect(probe.as_raw_fd(), address));
    is_socket && asked == Err(Errno::ECONNREFUSED)
}

fn cure(address: &Address, errno: Errno) -> &'static str {
    match (errno, address) {
        (Errno::EADDRINUSE, _) => "write another address, or stop what listens there",
        (Errno::EACCES, Address::Tcp(_)) => "write a port over 1023, or give CAP_NET_BIND_SERVICE",
        (Errno::EACCES | Errno::EPERM | Errno::EROFS, _) => {
            "write a path in a folder that ostler may write to"
        }
        (Errno::ENOENT | Errno::ENOTDIR, _) => "write a path in a folder that is there",
        (Errno::EADDRNOTAVAIL, _) => "write an address of this machine, such as 0.0.0.0",
        (Errno::EAFNOSUPPORT, _) => "there is no IPv6 here: write an IPv4 address",
        _ => "write another address",
    }
}
