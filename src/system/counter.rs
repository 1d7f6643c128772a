//! Where a generation's requests are heard: its own UDP socket on loopback, or its own pipe, which is always drained.

use crate::count::{Losses, Source, count_lines, requests};
use nix::cmsg_space;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, RxqOvfl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, setsockopt};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{pipe2, read};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for some 20,000 datagrams (measured), so that ostler may be stopped for a while and lose none.
const RECEIVE_BUFFER: usize = 8 << 20;
/// As much as an ordinary user may ask for (pipe(7), /proc/sys/fs/pipe-max-size).
const PIPE_BUFFER: i32 = 1 << 20;
/// Datagrams of one system call, and their longest, which is what fits an Ethernet frame: gunicorn's have some 40 bytes.
const BATCH: usize = 8;
const DATAGRAM: usize = 1472;
/// Reads of one wake-up: whoever floods a source does not keep ostler from its signals.
const READS: usize = 256;

/// A source of one generation.
#[derive(Debug)]
pub(super) enum Counter {
    /// The datagrams of `--statsd-host`.
    Statsd { socket: UdpSocket, losses: Losses },
    /// The lines of `--access-logfile`. The child holds the write end; ostler's own is closed after the fork.
    AccessLog { read_end: OwnedFd },
}

/// What a child has to be given for a counter to hear of it.
pub(super) struct Wiring {
    /// What goes in front of the user's `GUNICORN_CMD_ARGS`.
    pub(super) arguments: String,
    /// What the child inherits.
    pub(super) inherited: Option<OwnedFd>,
}

impl Counter {
    /// Opens a source for a new generation.
    pub(super) fn open(source: Source) -> io::Result<(Self, Wiring)> {
        match source {
            Source::Statsd => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                // These make the count better and are no reason to have none (a sandbox may refuse them).
                let _ = setsockopt(&socket, RxqOvfl, &1);
                // With CAP_NET_ADMIN beyond net.core.rmem_max, without it up to there.
                let _ = setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)
                    .or_else(|_| setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER));
                let arguments = arguments(source, &socket.local_addr()?.to_string());
                Ok((
                    Self::Statsd { socket, losses: Losses::default() },
                    Wiring { arguments, inherited: None },
                ))
            }
            Source::AccessLog => {
                let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC)?;
                // Only our end must not wait: the flag belongs to the open file description, and each end has its own.
                fcntl(&read_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                // Smaller is fine too.
                let _ = fcntl(&read_end, FcntlArg::F_SETPIPE_SZ(PIPE_BUFFER));
                // gunicorn opens it by name, and may have become another user by then (gosu; --user and SIGUSR1).
                let _ = fchmod(&write_end, Mode::from_bits_truncate(0o622));
                let arguments = arguments(source, &write_end.as_raw_fd().to_string());
                Ok((Self::AccessLog { read_end }, Wiring { arguments, inherited: Some(write_end) }))
            }
        }
    }

    /// Takes what has come and returns the requests in it. An error means that nothing will come any more.
    pub(super) fn take(&mut self) -> nix::Result<u64> {
        match self {
            Self::Statsd { socket, losses } => Ok(take_datagrams(socket, losses)),
            Self::AccessLog { read_end } => take_lines(read_end),
        }
    }
}

/// How gunicorn is told of a source, given the address or the descriptor number. Access-log lines of one
/// character where the format is honoured: nobody reads them.
pub(super) fn arguments(source: Source, place: &str) -> String {
    match source {
        Source::Statsd => format!("--statsd-host {place}"),
        Source::AccessLog => format!("--access-logfile /proc/self/fd/{place} --access-logformat ."),
    }
}

impl AsFd for Counter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Statsd { socket, .. } => socket.as_fd(),
            Self::AccessLog { read_end } => read_end.as_fd(),
        }
    }
}

fn take_datagrams(socket: &UdpSocket, losses: &mut Losses) -> u64 {
    let mut total = 0_u64;
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, Some(cmsg_space!(u32)));
    let mut bytes = [[0; DATAGRAM]; BATCH];
    for _ in 0..READS {
        let mut slices = bytes.each_mut().map(|datagram| [IoSliceMut::new(datagram)]);
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slices, MsgFlags::MSG_DONTWAIT, None);
        let mut count = 0;
        for message in received.into_iter().flatten() {
            count += 1;
            let metrics = message.iovs().map(requests).fold(0, u64::saturating_add);
            total = total.saturating_add(metrics);
            for control in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(dropped) = control {
                    total = total.saturating_add(losses.requests(dropped));
                }
            }
        }
        if count < BATCH {
            break;
        }
    }
    total
}

fn take_lines(read_end: &OwnedFd) -> nix::Result<u64> {
    let mut total = 0_u64;
    let mut bytes = [0; 8 << 10];
    for _ in 0..READS {
        match read(read_end, &mut bytes) {
            // Every writer is gone.
            Ok(0) if total == 0 => return Err(nix::errno::Errno::EPIPE),
            Ok(length) => {
                total = total.saturating_add(count_lines(bytes.get(..length).unwrap_or_default()));
                if length < bytes.len() {
                    break;
                }
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn datagrams_arrive_and_what_is_lost_is_had_back() {
        let (mut counter, wiring) = Counter::open(Source::Statsd).unwrap();
        let address = wiring.arguments.strip_prefix("--statsd-host ").unwrap().to_owned();
        let Counter::Statsd { socket, .. } = &counter else { panic!("not statsd") };
        setsockopt(socket, RcvBuf, &4096).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // As gunicorn does, three a request, far more than the buffer holds; then one more that carries the counter.
        for _ in 0..1000 {
            for metric in [
                "gunicorn.request.duration:1|ms",
                "gunicorn.requests:1|c|@1.0",
                "gunicorn.request.status.200:1|c",
            ] {
                sender.send_to(metric.as_bytes(), &address).unwrap();
            }
        }
        let first = counter.take().unwrap();
        sender.send_to(b"gunicorn.workers:2|g", &address).unwrap();
        let total = first + counter.take().unwrap();
        assert!(first < 500, "nothing was lost: {first}");
        assert!((999..=1001).contains(&total), "{total}");
    }

    #[test]
    fn a_pipe_is_read_until_its_writers_are_gone() {
        let (mut counter, wiring) = Counter::open(Source::AccessLog).unwrap();
        let writer = wiring.inherited.unwrap();
        assert!(wiring.arguments.contains(&format!("/proc/self/fd/{}", writer.as_raw_fd())));
        let mode = nix::sys::stat::fstat(&writer).unwrap().st_mode;
        assert_eq!(mode & 0o777, 0o622, "a worker that has become another user opens it too");
        assert_eq!(counter.take(), Ok(0));
        nix::unistd::write(&writer, b"one\ntwo\nthr").unwrap();
        assert_eq!(counter.take(), Ok(2));
        nix::unistd::write(&writer, b"ee\n").unwrap();
        assert_eq!(counter.take(), Ok(1));
        drop(writer);
        assert!(counter.take().is_err());
    }
}
