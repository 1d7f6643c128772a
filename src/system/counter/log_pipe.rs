//! Log lines: a pipe that is always drained. The child holds the write end; ostler's own is closed after the fork.

use super::{READS, Speech, Taken};
use crate::count::{Lines, Rule, Tally};
use crate::system::passage::Passage;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{pipe2, read};
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As much as an ordinary user may ask for (pipe(7), /proc/sys/fs/pipe-max-size).
const PIPE_BUFFER: i32 = 1 << 20;
const LONGEST_READ: usize = 8 << 10;
/// What the smallest one holds.
const PAGE: usize = 4 << 10;

/// A line of the child's stdout goes on whole; one that is longer than this goes on in pieces.
const LONGEST_LINE: usize = 64 << 10;

#[derive(Debug)]
pub(in crate::system) struct LogPipe {
    read_end: OwnedFd,
    lines: Lines,
    /// So many bytes fit into it.
    capacity: usize,
    /// What has not come to its end yet of a line that is to go on.
    unfinished: Vec<u8>,
}

impl LogPipe {
    /// The read end, and the write end.
    pub(super) fn open(rule: Rule, skip: Vec<String>) -> io::Result<(Self, OwnedFd)> {
        let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC)?;
        // Only our end must not wait: the flag belongs to the open file description, and each end has its own.
        fcntl(&read_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // Smaller is fine too.
        let _ = fcntl(&read_end, FcntlArg::F_SETPIPE_SZ(PIPE_BUFFER));
        let size = fcntl(&read_end, FcntlArg::F_GETPIPE_SZ).ok().and_then(|size| usize::try_from(size).ok());
        // gunicorn opens it by name, and may have become another user by then (gosu; --user and SIGUSR1).
        let _ = fchmod(&write_end, Mode::from_bits_truncate(0o622));
        let log = Self {
            read_end,
            lines: Lines::new(rule, skip),
            capacity: size.unwrap_or(PAGE),
            unfinished: Vec::new(),
        };
        Ok((log, write_end))
    }

    pub(in crate::system) fn as_fd(&self) -> BorrowedFd<'_> {
        self.read_end.as_fd()
    }

    /// Takes what is there. An error: every writer is gone.
    pub(in crate::system) fn take(&mut self, mut passage: Option<&mut Passage>) -> nix::Result<Taken> {
        let (mut tally, mut heard) = (Tally::default(), 0);
        let mut bytes = [0; LONGEST_READ];
        for _ in 0..READS {
            match read(&self.read_end, &mut bytes) {
                Ok(0) if heard == 0 => {
                    if let Some(passage) = passage {
                        self.finish(passage);
                    }
                    return Err(Errno::EPIPE);
                }
                Ok(length) => {
                    let bytes = bytes.get(..length).unwrap_or_default();
                    let Tally { counted, left_out } = self.lines.take(bytes);
                    tally.counted += counted;
                    tally.left_out += left_out;
                    heard += length;
                    if let (true, Some(passage)) = (self.goes_on(), &mut passage) {
                        self.pass_on(bytes, passage);
                    }
                    if length < LONGEST_READ {
                        break;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(Taken { tally, speech: Speech::of(heard, self.capacity) })
    }

    /// Whole lines, so that those of two generations are not mixed.
    fn pass_on(&mut self, bytes: &[u8], passage: &mut Passage) {
        self.unfinished.extend(bytes);
        let end = match self.unfinished.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if self.unfinished.len() > LONGEST_LINE => self.unfinished.len(),
            None => 0,
        };
        passage.pass(self.unfinished.get(..end).unwrap_or_default());
        self.unfinished.drain(..end);
    }

    /// No more comes: what has no end goes on without.
    pub(in crate::system) fn finish(&mut self, passage: &mut Passage) {
        passage.pass(&mem::take(&mut self.unfinished));
    }

    /// Does what comes here go on to ostler's own stdout?
    pub(in crate::system) fn goes_on(&self) -> bool {
        self.lines.rule() == Rule::RequestLines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_read_until_its_writers_are_gone() {
        let (mut log, writer) = LogPipe::open(Rule::Every, Vec::new()).unwrap();
        let mode = nix::sys::stat::fstat(&writer).unwrap().st_mode;
        assert_eq!(mode & 0o777, 0o622, "a worker that has become another user opens it too");
        let mut counted = || log.take(None).map(|taken| taken.tally.counted);
        assert_eq!(counted(), Ok(0));
        nix::unistd::write(&writer, b"one\ntwo\nthr").unwrap();
        assert_eq!(counted(), Ok(2));
        nix::unistd::write(&writer, b"ee\n").unwrap();
        drop(writer);
        assert_eq!(counted(), Ok(1));
        assert!(counted().is_err());
    }
}
