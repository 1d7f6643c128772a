//! stdout and stderr, without ever waiting for who reads them.
//!
//! `O_NONBLOCK` belongs to the open file description, which the child shares: set on fd 2 it would break gunicorn's own
//! log. So ostler opens the same pipe or terminal once more, for itself (proc(5), /proc/self/fd).

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::socket::{MsgFlags, send};
use std::fs::{File, OpenOptions};
use std::io::{self, Stderr, Stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// What may be written to a pipe without being mixed with others' lines (pipe(7), `PIPE_BUF`).
pub(crate) const LONGEST_LINE: usize = 4096;

/// One of the two streams that ostler was given.
#[derive(Debug)]
enum Standard {
    Out(Stdout),
    Err(Stderr),
}

impl AsFd for Standard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Out(stdout) => stdout.as_fd(),
            Self::Err(stderr) => stderr.as_fd(),
        }
    }
}

/// Where bytes go.
#[derive(Debug)]
pub(crate) struct Sink(Kind);

#[derive(Debug)]
enum Kind {
    /// Our own opening of the pipe or terminal, non-blocking.
    Reopened(File),
    /// A socket: each send says for itself that it does not wait.
    Socket(Standard),
    /// A file, which does not block; or something that could not be opened again (no /proc, not ours): asked first.
    Shared(Standard),
}

impl Sink {
    pub(crate) fn stdout() -> Self {
        Self::new(Standard::Out(io::stdout()))
    }

    /// A file that is non-blocking, or never blocks.
    #[cfg(test)]
    pub(crate) fn of(file: File) -> Self {
        Self(Kind::Reopened(file))
    }

    pub(crate) fn stderr() -> Self {
        Self::new(Standard::Err(io::stderr()))
    }

    fn new(standard: Standard) -> Self {
        let kind = standard.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        Self(match kind.map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_socket() => Kind::Socket(standard),
            Ok(kind) if kind.is_fifo() || kind.is_char_device() => {
                let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                let path = format!("/proc/self/fd/{}", standard.as_fd().as_raw_fd());
                match OpenOptions::new().write(true).custom_flags(flags.bits()).open(path) {
                    Ok(file) => Kind::Reopened(file),
                    Err(_) => Kind::Shared(standard),
                }
            }
            Ok(_) | Err(_) => Kind::Shared(standard),
        })
    }

    /// Writes as much as can be written now. Of up to `LONGEST_LINE` bytes a pipe takes all or nothing.
    pub(crate) fn write(&self, bytes: &[u8]) -> nix::Result<usize> {
        let write = || match &self.0 {
            Kind::Reopened(file) => nix::unistd::write(file, bytes),
            Kind::Socket(socket) => {
                send(socket.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
            }
            Kind::Shared(standard) => {
                let mut fds = [PollFd::new(standard.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::ZERO)? {
                    0 => Err(Errno::EAGAIN),
                    // A pipe that has room for so much does not block.
                    _ => nix::unistd::write(standard, bytes.get(..LONGEST_LINE).unwrap_or(bytes)),
                }
            }
        };
        without_signals(write)
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Reopened(file) => file.as_fd(),
            Kind::Socket(standard) | Kind::Shared(standard) => standard.as_fd(),
        }
    }
}

/// A write may be answered with a signal to the writer: SIGPIPE for a closed pipe, SIGXFSZ for a file that has reached
/// `RLIMIT_FSIZE`, SIGTTOU for a terminal that wants no output from the background. ostler forwards every signal it
/// gets; these are its own doing and must not reach the child, so they are held back and taken off again.
fn without_signals<T>(write: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    let own = [Signal::SIGPIPE, Signal::SIGXFSZ, Signal::SIGTTOU].into_iter().collect::<SigSet>();
    // They may be blocked already, and are to stay so then.
    let before = own.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let written = write();
    match written {
        Err(Errno::EPIPE) => take_off(Signal::SIGPIPE),
        Err(Errno::EFBIG) => take_off(Signal::SIGXFSZ),
        // Blocked, SIGTTOU is not sent at all.
        Ok(_) | Err(_) => {}
    }
    before.thread_set_mask()?;
    written
}

/// Not every such error comes with its signal, and sigwait(3) would wait for one: raising it once more changes nothing
/// where it is pending already.
fn take_off(signal: Signal) {
    if raise(signal).is_ok() {
        let _ = [signal].into_iter().collect::<SigSet>().wait();
    }
}
