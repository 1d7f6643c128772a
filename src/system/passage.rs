//! The child's stdout, on its way to ostler's own. The child never waits for whoever reads that: lines that cannot go
//! on now are kept, up to a bound, and then dropped and counted.

use crate::sink::{LONGEST_LINE, Sink};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

/// As much as the pipe itself holds.
const MOST: usize = 1 << 20;
/// So many are told even if nothing else goes on.
const MANY: u64 = 10_000;
/// At the end so much is written at most, in so many steps of as many milliseconds, to whoever is slow.
const LAST_STEPS: usize = 20;
const LAST_STEP: u16 = 50;

#[derive(Debug)]
pub(super) struct Passage {
    sink: Sink,
    waiting: VecDeque<u8>,
    /// Lines since it was told last.
    dropped: u64,
    end: End,
}

/// What came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OfALine,
    /// Of a piece of one.
    OfAPiece,
}

impl Passage {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, waiting: VecDeque::new(), dropped: 0, end: End::OfALine }
    }

    /// What becomes writable when more can go on; `None`: nothing waits.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        (!self.waiting.is_empty()).then(|| self.sink.as_fd())
    }

    /// Whole lines, or a piece of a very long one.
    pub(super) fn pass(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if self.waiting.len() + line.len() <= MOST {
                self.waiting.extend(line);
                self.end = if line.ends_with(b"\n") { End::OfALine } else { End::OfAPiece };
            } else {
                self.dropped = self.dropped.saturating_add(1);
            }
        }
        self.flush();
    }

    /// A line of ostler's own. Is there room for it?
    pub(super) fn pass_a_line(&mut self, line: &[u8]) -> bool {
        if self.waiting.len() + line.len() >= MOST {
            return false;
        }
        // A piece may be the end of what there was: the next line begins after it all the same.
        if self.end == End::OfAPiece {
            self.pass(b"\n");
        }
        self.pass(line);
        true
    }

    /// Lets go on what can.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            let piece = whole_lines(front);
            let length = piece.len();
            match self.sink.write(piece) {
                Ok(gone) => {
                    self.waiting.drain(..gone);
                    if gone < length {
                        return;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                // Nobody will ever read it (EPIPE), or there is no room on a disk: waiting would be in vain.
                Err(_) => {
                    let lines = self.waiting.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
                    self.dropped = self.dropped.saturating_add(lines);
                    self.waiting.clear();
                }
            }
        }
    }

    /// How many lines were dropped, once there is room again, or very many.
    pub(super) fn dropped(&mut self) -> Option<u64> {
        let is_time = self.waiting.len() <= MOST / 2 || self.dropped >= MANY;
        (self.dropped > 0 && is_time).then(|| mem::take(&mut self.dropped))
    }
}

/// As many as a pipe takes all or nothing of, so that no other's line
/// comes in between (pipe(7), `PIPE_BUF`); a longer line by itself.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let atomic = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let end = match atomic.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None => bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |first| first + 1),
    };
    bytes.get(..end).unwrap_or(bytes)
}

impl Drop for Passage {
    fn drop(&mut self) {
        for _ in 0..LAST_STEPS {
            self.flush();
            let Some(sink) = self.writable() else { return };
            let _ = poll(&mut [PollFd::new(sink, PollFlags::POLLOUT)], PollTimeout::from(LAST_STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn piped() -> (Passage, File) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        (Passage::new(Sink::of(writer.into())), reader.into())
    }

    fn read(reader: &mut File) -> String {
        let mut bytes = vec![0; 2 * MOST];
        let length = reader.read(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn lines_go_on_at_once_and_whole() {
        let (mut passage, mut reader) = piped();
        passage.pass(b"one\ntwo\n");
        passage.pass(b"a piece of a long one");
        assert!(passage.writable().is_none());
        assert_eq!(read(&mut reader), "one\ntwo\na piece of a long one");
    }

    #[test]
    fn a_line_of_its_own_begins_a_line() {
        let (mut passage, mut reader) = piped();
        assert!(passage.pass_a_line(b"{}\n"));
        passage.pass(b"a piece");
        assert!(passage.pass_a_line(b"{}\n"));
        assert_eq!(read(&mut reader), "{}\na piece\n{}\n");
        while passage.waiting.len() + 100 < MOST {
            passage.pass(&[&[b'x'; 99][..], b"\n"].concat());
        }
        let dropped = passage.dropped;
        assert!(!passage.pass_a_line(&[b'x'; 200]) && passage.dropped == dropped);
    }

    #[test]
    fn what_cannot_go_on_is_kept_and_then_dropped_by_lines() {
        let (mut passage, mut reader) = piped();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let lines = 30_000;
        for _ in 0..lines {
            passage.pass(&line);
        }
        assert!(passage.writable().is_some() && passage.dropped.abs_diff(lines) < lines);
        let (mut read_lines, mut told) = (0, passage.dropped().unwrap_or(0));
        while passage.writable().is_some() {
            let text = read(&mut reader);
            assert!(text.len().is_multiple_of(100) && text.ends_with("x\n"), "{text}");
            read_lines += text.len() as u64 / 100;
            passage.flush();
            told += passage.dropped().unwrap_or(0);
        }
        read_lines += read(&mut reader).len() as u64 / 100;
        assert_eq!((read_lines + told, passage.dropped()), (lines, None));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_gone_or_a_disk_that_is_full() {
        let (mut passage, reader) = piped();
        drop(reader);
        passage.pass(b"one\ntwo\n");
        assert_eq!((passage.writable().is_none(), passage.dropped()), (true, Some(2)));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut passage = Passage::new(Sink::of(OwnedFd::from(full).into()));
        passage.pass(b"one\n");
        assert_eq!((passage.writable().is_none(), passage.dropped()), (true, Some(1)));
    }

    #[test]
    fn pieces_end_where_lines_end() {
        let long = [b'x'; 5000];
        let text = [b"a\nb\n", &long[..], b"\nc\n"].concat();
        let first = whole_lines(&text);
        assert_eq!(first, b"a\nb\n");
        assert_eq!(whole_lines(&text[first.len()..]).len(), 5001);
        assert_eq!(whole_lines(&long), long);
    }
}
