//! The control socket: commands from inside the container, as datagrams on a name in the abstract namespace. It needs no
//! folder to write to, and the kernel tells who sent each (`SCM_CREDENTIALS`, unix(7)).
//!
//! The name holds the number of the PID namespace: the containers of a task may share their network, and with it all abstract
//! names. Whoever is not of this PID namespace has no pid in it, and is not listened to.

use crate::supervisor::{Answer, Client, Command};
use nix::cmsg_space;
use nix::libc::ucred;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrLike, UnixAddr, bind, recvmsg,
    sendto, setsockopt, socket,
};
use nix::unistd::geteuid;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Longer than any command, than any answer, and than what a server says of itself (`STATUS=...`).
const LONGEST: usize = 4096;
/// Commands of one wake-up, and answers that are still owed.
const MANY: usize = 16;
/// How long a command waits for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// ostler's end.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    next: u32,
    owed: VecDeque<(Client, UnixAddr)>,
}

impl Control {
    /// Opens it.
    ///
    /// # Errors
    /// /proc does not tell the PID namespace, or another ostler of the same one has it.
    pub fn open() -> io::Result<Self> {
        let socket = datagram_socket()?;
        bind(socket.as_raw_fd(), &name()?)?;
        Ok(Self { socket, next: 0, owed: VecDeque::new() })
    }

    /// What was asked since the last call, by those who may ask.
    pub(super) fn take(&mut self) -> Vec<(Client, Command)> {
        let mut asked = Vec::new();
        for _ in 0..MANY {
            let Some(datagram) = receive(&self.socket, MsgFlags::MSG_DONTWAIT) else { break };
            let (true, Some(address)) = (datagram.is_ours(), datagram.from) else { continue };
            match parse(&datagram.bytes) {
                _ if !datagram.may_ask() => {
                    self.send("only root and ostler's own user may ask that", &address);
                }
                Some(command) => {
                    let client = Client(self.next);
                    self.next = self.next.wrapping_add(1);
                    self.owed.push_back((client, address));
                    // Who has not been answered by now does not wait any more.
                    while self.owed.len() > MANY {
                        self.owed.pop_front();
                    }
                    asked.push((client, command));
                }
                None => self.send("this ostler does not know that command", &address),
            }
        }
        asked
    }

    /// Answers a command.
    pub(super) fn answer(&mut self, client: Client, answer: Answer) {
        if let Some(at) = self.owed.iter().position(|(owed, _)| *owed == client)
            && let Some((_, address)) = self.owed.remove(at)
        {
            self.send(&words(answer), &address);
        }
    }

    fn send(&self, words: &str, to: &UnixAddr) {
        // Who does not wait for it does not get it.
        let _ = sendto(self.socket.as_raw_fd(), words.as_bytes(), to, MsgFlags::MSG_DONTWAIT);
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Asks the ostler of this PID namespace for a recycle. What it says, and whether it does it.
///
/// # Errors
/// None answers.
pub fn ask_for_recycle() -> io::Result<Result<String, String>> {
    let socket = datagram_socket()?;
    // So that there is an address to answer to.
    bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
    let socket = UnixDatagram::from(socket);
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    sendto(socket.as_raw_fd(), b"recycle", &name()?, MsgFlags::empty())?;
    let datagram = receive(&socket, MsgFlags::empty()).ok_or(io::ErrorKind::TimedOut)?;
    let answer = String::from_utf8_lossy(&datagram.bytes).into_owned();
    Ok(match (datagram.is_ours(), answer.starts_with(STARTED)) {
        (true, true) => Ok(answer),
        (true, false) => Err(answer),
        (false, _) => Err("somebody of another container has taken ostler's name".into()),
    })
}

const STARTED: &str = "recycling generation ";

fn words(answer: Answer) -> String {
    match answer {
        Answer::Started(id) => format!("{STARTED}{id}"),
        Answer::Busy => "a recycle is under way already".into(),
        Answer::Nobody => "no generation can be recycled now: see the log".into(),
    }
}

fn parse(bytes: &[u8]) -> Option<Command> {
    match bytes.trim_ascii_end() {
        b"recycle" => Some(Command::Recycle),
        _ => None,
    }
}

/// `pid:[4026531836]` is the link by which /proc names a PID namespace (namespaces(7)).
fn name() -> io::Result<UnixAddr> {
    let namespace = fs::read_link("/proc/self/ns/pid")?;
    Ok(UnixAddr::new_abstract(format!("ostler-control/{}", namespace.display()).as_bytes())?)
}

/// A socket that tells who has sent a datagram.
pub(super) fn datagram_socket() -> nix::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, PassCred, &true)?;
    Ok(socket)
}

/// A datagram, and who sent it.
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    from: Option<UnixAddr>,
    sender: Option<ucred>,
}

impl Datagram {
    /// Is the sender a process of this PID namespace, or of one below? Others have no number here.
    pub(super) fn is_ours(&self) -> bool {
        self.sender.is_some_and(|sender| sender.pid > 0)
    }

    /// Is it, and root or of ostler's own user?
    fn may_ask(&self) -> bool {
        let may = |sender: ucred| sender.uid == 0 || sender.uid == geteuid().as_raw();
        self.is_ours() && self.sender.is_some_and(may)
    }
}

/// Takes a datagram, if there is one.
pub(super) fn receive(socket: &impl AsRawFd, flags: MsgFlags) -> Option<Datagram> {
    let mut bytes = [0; LONGEST];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let mut space = cmsg_space!(ucred);
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
    let mut sender = None;
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmCredentials(credentials) = control {
            sender = Some(credentials.into());
        }
    }
    let from = message.address.filter(|address| address.len() > 2);
    let length = message.bytes;
    Some(Datagram { bytes: bytes.get(..length).unwrap_or_default().to_vec(), from, sender })
}
