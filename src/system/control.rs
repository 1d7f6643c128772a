//! The control socket: commands from inside the container, as datagrams on a name in the abstract namespace. It needs
//! no folder to write to, and the kernel tells who sent each (`SCM_CREDENTIALS`, unix(7)).
//!
//! The name holds the number of the PID namespace: the containers of a task may share their network, and with it all
//! abstract names. Whoever is not of this PID namespace has no pid in it, and is not listened to.

use crate::supervisor::{Answer, Client, Command, Event, Page};
use nix::cmsg_space;
use nix::libc::ucred;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrLike, UnixAddr, bind, connect,
    recvmsg, sendto, setsockopt, socket,
};
use nix::unistd::geteuid;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Longer than any command, and than what a server says of itself (`STATUS=...`).
const LONGEST: usize = 4096;
/// Longer than any answer.
const LONGEST_ANSWER: usize = 64 << 10;
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
    pub(super) fn take(&mut self) -> Vec<Event> {
        let mut asked = Vec::new();
        for _ in 0..MANY {
            let Some(datagram) = receive(&self.socket, MsgFlags::MSG_DONTWAIT) else { break };
            let (true, Some(address)) = (datagram.is_ours(), datagram.from) else { continue };
            match parse(&datagram.bytes) {
                _ if !datagram.may_ask() => {
                    self.send("only root and ostler's own user may ask that", &address);
                }
                Some(question) => {
                    let client = Client(self.next);
                    self.next = self.next.wrapping_add(1);
                    self.owed.push_back((client, address));
                    // Who has not been answered by now does not wait any more.
                    while self.owed.len() > MANY {
                        self.owed.pop_front();
                    }
                    asked.push(match question {
                        Question::Do(command) => Event::Asked { client: Some(client), command },
                        Question::Show(page) => Event::PageAsked { client, page },
                    });
                }
                None => self.send("this ostler does not know that command", &address),
            }
        }
        asked
    }

    /// Answers a command.
    pub(super) fn answer(&mut self, client: Client, answer: Answer) {
        self.show(client, &words(answer));
    }

    /// Shows somebody what was asked for.
    pub(super) fn show(&mut self, client: Client, page: &str) {
        if let Some(at) = self.owed.iter().position(|(owed, _)| *owed == client)
            && let Some((_, address)) = self.owed.remove(at)
        {
            self.send(page, &address);
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
    ask(&name()?, "recycle", STARTED)
}

/// Asks it for a page. The page, or why not.
///
/// # Errors
/// None answers.
pub fn ask_for_page(page: Page) -> io::Result<Result<String, String>> {
    let (word, beginning) = match page {
        Page::Status => ("status", "{"),
        Page::Metrics => ("metrics", "# HELP"),
    };
    ask(&name()?, word, beginning)
}

/// What is asked for is answered with words that begin like this; all others tell why there is no such answer.
fn ask(ostler: &UnixAddr, question: &str, beginning: &str) -> io::Result<Result<String, String>> {
    let socket = datagram_socket()?;
    // So that there is an address to answer to. It is no secret: whoever else sends there is kept away by connect(2),
    // and what came before that is known by its sender, whose name the kernel tells.
    bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
    connect(socket.as_raw_fd(), ostler)?;
    let socket = UnixDatagram::from(socket);
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(question.as_bytes())?;
    let mut bytes = vec![0; LONGEST_ANSWER];
    let answer = loop {
        let datagram = receive_into(&socket, MsgFlags::empty(), &mut bytes).ok_or(io::ErrorKind::TimedOut)?;
        if datagram.from == Some(*ostler) {
            break datagram;
        }
    };
    let words = String::from_utf8_lossy(&answer.bytes).into_owned();
    Ok(match (answer.is_ours(), words.starts_with(beginning)) {
        (true, true) => Ok(words),
        (true, false) => Err(words),
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

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Do(Command),
    Show(Page),
}

pub(super) fn parse(bytes: &[u8]) -> Option<Question> {
    match bytes.trim_ascii_end() {
        b"recycle" => Some(Question::Do(Command::Recycle)),
        b"status" => Some(Question::Show(Page::Status)),
        b"metrics" => Some(Question::Show(Page::Metrics)),
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
    receive_into(socket, flags, &mut [0; LONGEST])
}

/// The same, of which so many `bytes` are expected.
fn receive_into(socket: &impl AsRawFd, flags: MsgFlags, bytes: &mut [u8]) -> Option<Datagram> {
    let mut slices = [IoSliceMut::new(bytes)];
    let mut space = cmsg_space!(ucred);
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
    let mut sender = None;
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmCredentials(credentials) = control {
            sender = Some(credentials.into());
        }
    }
    // A path may lead to somebody else by now, who would take the answer for ostler's own word. Who has no name at all
    // has an address of no length, which nix must not be asked about.
    let from = message.address.filter(|address| address.len() > 2 && address.as_abstract().is_some());
    let length = message.bytes;
    Some(Datagram { bytes: bytes.get(..length).unwrap_or_default().to_vec(), from, sender })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessage, getsockname, sendmsg};
    use std::io::IoSlice;
    use std::thread;

    fn bound() -> (OwnedFd, UnixAddr) {
        let socket = datagram_socket().unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed()).unwrap();
        let address = getsockname(socket.as_raw_fd()).unwrap();
        (socket, address)
    }

    #[test]
    fn only_who_has_ostlers_name_can_answer() {
        let ((ostler, name), (other, _)) = (bound(), bound());
        let client = thread::spawn(move || ask(&name, "recycle", STARTED));
        let asked = receive(&ostler, MsgFlags::empty()).unwrap();
        let client_name = asked.from.unwrap();
        let answer = |socket: &OwnedFd, words: &str| {
            sendto(socket.as_raw_fd(), words.as_bytes(), &client_name, MsgFlags::empty())
        };
        assert!(answer(&other, "recycling generation 99").is_err(), "the kernel keeps it away");
        answer(&ostler, "recycling generation 7").unwrap();
        assert_eq!(client.join().unwrap().unwrap(), Ok("recycling generation 7".into()));
    }

    #[test]
    fn who_has_no_name_that_is_its_own_is_not_answered() {
        let (receiver, name) = bound();
        let path = std::env::temp_dir().join(format!("ostler-asks-{}", std::process::id()));
        let from_path = UnixDatagram::bind(&path).unwrap();
        let (from_name, own_name) = bound();
        let unbound = UnixDatagram::unbound().unwrap();
        for (socket, expected) in [
            (from_path.as_raw_fd(), None),
            (unbound.as_raw_fd(), None),
            (from_name.as_raw_fd(), Some(own_name)),
        ] {
            sendto(socket, b"recycle", &name, MsgFlags::empty()).unwrap();
            let datagram = receive(&receiver, MsgFlags::MSG_DONTWAIT).unwrap();
            assert_eq!((datagram.from, datagram.may_ask()), (expected, true));
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn descriptors_that_are_sent_along_are_not_taken() {
        let ((receiver, name), (sender, _)) = (bound(), bound());
        let (read_end, write_end) = nix::unistd::pipe().unwrap();
        let send = |descriptor: &OwnedFd| {
            let rights = [descriptor.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&rights)];
            let bytes = [IoSlice::new(b"recycle")];
            sendmsg(sender.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), Some(&name)).unwrap();
        };
        let open = || fs::read_link(format!("/proc/self/fd/{}", write_end.as_raw_fd())).unwrap();
        let copies = || {
            let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
            all.filter(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == open())).count()
        };
        send(&write_end);
        // The control: whoever has room for them gets them.
        let mut bytes = [0; 10];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let mut space = cmsg_space!(ucred, [i32; 1]);
        recvmsg::<UnixAddr>(receiver.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
        assert_eq!(copies(), 3, "both ends of the pipe, and what was received");
        send(&write_end);
        let datagram = receive(&receiver, MsgFlags::MSG_DONTWAIT).unwrap();
        assert_eq!(copies(), 3);
        // What was cut off may have told who it is from.
        assert!(!datagram.may_ask());
        drop(read_end);
    }
}
