//! stderr, without ever waiting for who reads it.
//!
//! `O_NONBLOCK` belongs to the open file description, which the child shares: set on fd 2 it would break gunicorn's own
//! log. So ostler opens the same pipe or terminal once more, for itself (proc(5), /proc/self/fd).

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::socket::{MsgFlags, send};
use std::fs::{File, OpenOptions};
use std::io::{self, Stderr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// What may be written to a pipe without being mixed with others' lines (pipe(7), `PIPE_BUF`).
pub(super) const LONGEST_LINE: usize = 4096;

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    /// Our own opening of the pipe or terminal, non-blocking.
    Reopened(File),
    /// A socket: each send says for itself that it does not wait.
    Socket(Stderr),
    /// A file, which does not block; or something that could not be opened again (no /proc, not ours): asked first.
    Shared(Stderr),
}

impl Sink {
    pub(super) fn stderr() -> Self {
        let stderr = io::stderr();
        let kind = stderr.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        match kind.map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_socket() => Self::Socket(stderr),
            Ok(kind) if kind.is_fifo() || kind.is_char_device() => {
                let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                match OpenOptions::new().write(true).custom_flags(flags.bits()).open("/proc/self/fd/2") {
                    Ok(file) => Self::Reopened(file),
                    Err(_) => Self::Shared(stderr),
                }
            }
            Ok(_) | Err(_) => Self::Shared(stderr),
        }
    }

    /// Writes a whole line at once, or none of it.
    pub(super) fn write(&self, line: &[u8]) -> nix::Result<()> {
        let write = || match self {
            Self::Reopened(file) => nix::unistd::write(file, line),
            Self::Socket(stderr) => {
                send(stderr.as_raw_fd(), line, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
            }
            Self::Shared(stderr) => {
                let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::ZERO)? {
                    0 => Err(Errno::EAGAIN),
                    _ => nix::unistd::write(stderr, line),
                }
            }
        };
        without_signals(write).map(drop)
    }
}

/// A write may be answered with a signal to the writer: SIGPIPE for a closed pipe, SIGXFSZ for a file that has reached
/// `RLIMIT_FSIZE`, SIGTTOU for a terminal that wants no output from the background. ostler forwards every signal it gets;
/// these are its own doing and must not reach the child, so they are held back and taken off again.
fn without_signals<T>(write: impl FnOnce() -> nix::Result<T>) -> nix::Result<T> {
    let own = [Signal::SIGPIPE, Signal::SIGXFSZ, Signal::SIGTTOU].into_iter().collect::<SigSet>();
    own.thread_block()?;
    let written = write();
    match written {
        Err(Errno::EPIPE) => take_off(Signal::SIGPIPE),
        Err(Errno::EFBIG) => take_off(Signal::SIGXFSZ),
        // Blocked, SIGTTOU is not sent at all.
        Ok(_) | Err(_) => {}
    }
    own.thread_unblock()?;
    written
}

/// Not every such error comes with its signal, and sigwait(3) would wait for one: raising it once more changes nothing
/// where it is pending already.
fn take_off(signal: Signal) {
    if raise(signal).is_ok() {
        let _ = [signal].into_iter().collect::<SigSet>().wait();
    }
}
