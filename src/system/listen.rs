//! The sockets that ostler holds for good, so that clients wait in the backlog
//! while no child is there: opened, or taken over from whoever started ostler.

use super::door::{Door, Reach, SharedDoor, open_tcp, open_unix};
use super::privileges::{Privileges, as_user};
use super::users::{self, Ids};
use crate::config::{Address, Backlog, Listening};
use listenfd::ListenFd;
use nix::errno::Errno;
use nix::sys::socket::sockopt::AcceptConn;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::unistd::getpid;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::path::PathBuf;

/// The first descriptor that a socket is handed over as (`sd_listen_fds(3)`, `SD_LISTEN_FDS_START`).
pub(super) const FIRST_SOCKET: i32 = 3;

/// Sockets that are held open.
#[derive(Debug)]
pub struct Held {
    pub(super) doors: Vec<Door>,
    /// What `LISTEN_FDNAMES` calls them.
    pub(super) names: String,
    /// Where generations were to have sockets of their own and share one instead, and why.
    pub shared: Vec<(Address, String)>,
    /// The child finds the sockets at 3, 4, ...: whatever ostler has at these numbers is closed there. These keep them
    /// taken, so that nothing that the child needs is ever opened at one of them.
    _placeholders: Vec<OwnedFd>,
}

/// What a generation has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// A socket at every address.
    Own,
    /// None: all generations accept from the same.
    Shared,
}

/// How a socket is opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) backlog: socket::Backlog,
    pub(super) mode: u32,
    pub(super) owner: Option<Ids>,
}

/// Sockets that ostler itself was handed, with their names.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<OwnedFd>,
    names: Vec<String>,
}

impl Inherited {
    /// Takes over the sockets that systemd, podman or another ostler
    /// hands over (`sd_listen_fds(3)`). `own` more will be opened.
    ///
    /// # Errors
    /// A descriptor is no socket that can be listened on.
    pub fn take(own: usize) -> Result<Self, String> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        // LISTEN_PID may be meant for whoever started ostler.
        if variable("LISTEN_PID") != getpid().to_string() {
            return Ok(Self::default());
        }
        let list = variable("LISTEN_FDNAMES");
        let mut given = ListenFd::from_env();
        let sockets: Vec<_> =
            (0..given.len()).map(|number| listener(&mut given, number)).collect::<Result<_, _>>()?;
        let names = (0..sockets.len()).map(|number| {
            list.split(':').nth(number).filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned()
        });
        // Away from the numbers at which the child is to find its own.
        let short = |error: io::Error| format!("no file descriptors are left: {error}");
        let reserved = reserve(sockets.len() + own).map_err(short)?;
        let moved = sockets.iter().map(OwnedFd::try_clone).collect::<Result<_, _>>().map_err(short)?;
        drop(reserved);
        Ok(Self { names: names.collect(), sockets: moved })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Was none handed over?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }
}

fn listener(given: &mut ListenFd, number: usize) -> Result<OwnedFd, String> {
    let socket = match (given.take_tcp_listener(number), given.take_unix_listener(number)) {
        (Ok(Some(tcp)), _) => Some(OwnedFd::from(tcp)),
        (_, Ok(Some(unix))) => Some(OwnedFd::from(unix)),
        (Ok(None) | Err(_), Ok(None) | Err(_)) => None,
    };
    match socket.map(|socket| (getsockopt(&socket, AcceptConn), socket)) {
        Some((Ok(true), socket)) => Ok(socket),
        refused => {
            // It may be one of ostler's own, where nothing was handed over: not this one's to close.
            let _ = refused.map(|(_, socket)| socket.into_raw_fd());
            Err(no_listener(number))
        }
    }
}

fn no_listener(number: usize) -> String {
    format!(
        "descriptor {} of LISTEN_FDS is no listening TCP or unix stream socket; hand over only such, or unset LISTEN_FDS",
        number + 3
    )
}

/// Opens all addresses, behind the sockets that were inherited.
///
/// # Errors
/// A line for each that cannot be opened, with what to write instead.
pub fn open(
    config: &Listening,
    inherited: Inherited,
    sockets: Sockets,
    privileges: Option<&Privileges>,
) -> Result<Held, Vec<String>> {
    let ids = config.owner.as_ref().map(users::look_up).transpose();
    let owner = ids.map_err(|error| vec![format!("OSTLER_LISTEN_OWNER: {error}")])?;
    let account = privileges.and_then(Privileges::account);
    let backlog = match config.backlog {
        Backlog::Number(number) => socket::Backlog::new(number).unwrap_or(socket::Backlog::MAXCONN),
        Backlog::Max => socket::Backlog::MAXALLOWABLE,
    };
    let opening = Opening { backlog, mode: config.mode, owner };
    let placeholders = reserve(inherited.len() + config.addresses.len())
        .map_err(|error| vec![format!("no file descriptors are left: {error}")])?;
    let taken = |socket| Door::Shared(SharedDoor::new(socket, backlog));
    let mut doors: Vec<_> = inherited.sockets.into_iter().map(taken).collect();
    let (mut names, mut shared, mut errors) = (inherited.names, Vec::new(), Vec::new());
    for address in &config.addresses {
        names.push(name(address));
        let opened = match address {
            Address::Tcp(tcp) => open_tcp(*tcp, reach(tcp, &config.addresses), &opening, sockets),
            // As whoever makes it again at a handover: then that is known to work.
            Address::Unix(path) => as_user(account, || open_unix(path, &opening, sockets))
                .unwrap_or_else(|errno| Err(errno.into())),
        };
        match opened {
            Ok((door, why_shared)) => {
                doors.push(door);
                shared.extend(why_shared.map(|why| (address.clone(), why)));
            }
            Err(refused) => errors.push(refused.told(address)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Held { doors, names: names.join(":"), shared, _placeholders: placeholders })
}

/// What `LISTEN_FDNAMES` calls an address: a colon would end the name.
fn name(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("tcp-{}", address.port()),
        Address::Unix(path) => {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let plain = |c: char| if c.is_ascii_graphic() && c != ':' { c } else { '_' };
            format!("unix-{}", file.chars().map(plain).collect::<String>())
        }
    }
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

/// A door, and why it is a shared one if it should not be.
pub(super) type Opened = Result<(Door, Option<String>), Refused>;

/// Why an address cannot be opened.
pub(super) struct Refused {
    /// If it is not the address itself that was refused.
    pub(super) at: Option<PathBuf>,
    pub(super) error: io::Error,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self { at: None, error }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl Refused {
    fn told(&self, address: &Address) -> String {
        let there = self.at.as_ref().map_or("there".to_owned(), |at| format!("at {}", at.display()));
        let (what, cure) = (words(&self.error), cure(address, &self.error));
        format!("OSTLER_LISTEN={address}: cannot listen {there}: {what}; {cure}")
    }
}

/// Whom a TCP address takes, if it is one of these.
fn reach(address: &SocketAddr, all: &[Address]) -> Reach {
    let has_own =
        |other: &Address| matches!(other, Address::Tcp(v4) if v4.is_ipv4() && v4.port() == address.port());
    if address.is_ipv6() && all.iter().any(has_own) { Reach::OnlyV6 } else { Reach::All }
}

pub(super) fn stream(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

fn cure(address: &Address, error: &io::Error) -> &'static str {
    match (errno(error), address) {
        (Errno::EEXIST, _) => "a file is there that is no socket: write another path, or remove it",
        (Errno::EADDRINUSE, _) => "write another address, or stop what listens there",
        (Errno::EACCES, Address::Tcp(_)) => {
            "write a port over 1023, or start the container as root (with OSTLER_USER, docker's --cap-add does not reach \
             another user) and CAP_NET_BIND_SERVICE"
        }
        (Errno::EPERM, Address::Unix(_)) => {
            "it cannot be given away: write OSTLER_LISTEN_OWNER=keep, or the user of OSTLER_USER and one of its groups"
        }
        (Errno::EACCES | Errno::EPERM | Errno::EROFS, _) => {
            "write a path in a folder that ostler, or the user of OSTLER_USER, may write to, such as /run/app/app.sock"
        }
        (Errno::ENOENT | Errno::ENOTDIR, _) => "write a path in a folder that is there",
        (Errno::EADDRNOTAVAIL, _) => "write an address of this machine, such as 0.0.0.0",
        (Errno::EAFNOSUPPORT, _) => "there is no IPv6 here: write an IPv4 address",
        _ => "write another address",
    }
}
