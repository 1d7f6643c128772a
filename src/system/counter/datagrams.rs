//! statsd datagrams: a UDP socket on loopback. A slow or stopped
//! ostler costs the workers nothing, and what is lost is known.

use super::{READS, Speech, Taken, filter};
use crate::count::{Heard, Losses, Share, Tally, is_companion, requests};
use nix::cmsg_space;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, RxqOvfl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, getsockopt, recvmmsg, send, setsockopt};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

/// Room for some 20,000 datagrams (measured), so that ostler may be stopped for a while and lose none.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Datagrams of one system call, and room for the longest there are (udp(7)): of memory only what is written to counts.
const BATCH: usize = 16;
const LONGEST: usize = 1 << 16;
/// What a small datagram takes of a receive buffer (measured on
/// x86-64; socket(7) counts the kernel's own structures in).
const ROOM: usize = 832;

/// Where datagrams are received, those of all generations. An allocator
/// might fill it with zeros, and what is written to is memory that counts.
static BASIN: Mutex<[u8; BATCH * LONGEST]> = Mutex::new([0; BATCH * LONGEST]);

#[derive(Debug)]
pub(in crate::system) struct Datagrams {
    socket: UdpSocket,
    heard: Heard,
    losses: Losses,
    /// So many datagrams fit into the receive buffer.
    capacity: usize,
    /// Connected to where they go on to.
    onward: Option<UdpSocket>,
}

impl Datagrams {
    pub(super) fn open(share: Share, forward: Option<SocketAddr>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // These make the count better and are no reason to have none (a sandbox may refuse them).
        let _ = setsockopt(&socket, RxqOvfl, &1);
        // With CAP_NET_ADMIN beyond net.core.rmem_max, without it up to there.
        let _ = setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER));
        let capacity = getsockopt(&socket, RcvBuf).unwrap_or(0) / ROOM;
        let onward = forward.map(onward).transpose()?;
        // Whoever else is told gets all of it.
        let share = match (share, &onward) {
            (Share::Third, None) if filter::attach(&socket).is_ok() => Share::Filtered,
            (share, _) => share,
        };
        Ok(Self { socket, heard: Heard::default(), losses: Losses::new(share), capacity, onward })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn take(&mut self) -> Taken {
        let mut basin = BASIN.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut counted, mut heard, mut lost) = (0_u64, 0, None);
        for _ in 0..READS {
            // Anew each time: the kernel has written into them how much room for control messages it has used.
            let mut headers = MultiHeaders::<()>::preallocate(BATCH, Some(cmsg_space!(u32)));
            let mut slices: Vec<_> =
                basin.chunks_mut(LONGEST).map(|datagram| [IoSliceMut::new(datagram)]).collect();
            let received =
                recvmmsg(self.socket.as_raw_fd(), &mut headers, &mut slices, MsgFlags::MSG_DONTWAIT, None);
            let mut count = 0;
            for message in received.into_iter().flatten() {
                count += 1;
                for datagram in message.iovs() {
                    let told = requests(datagram);
                    counted = counted.saturating_add(told);
                    self.heard.companions += u64::from(told == 0 && is_companion(datagram));
                    if let Some(onward) = &self.onward {
                        // Nobody may be there, or not yet; a statsd client would not know either.
                        let _ = send(onward.as_raw_fd(), datagram, MsgFlags::MSG_DONTWAIT);
                    }
                }
                for control in message.cmsgs().into_iter().flatten() {
                    if let ControlMessageOwned::RxqOvfl(dropped) = control {
                        lost = Some(dropped);
                    }
                }
            }
            heard += count;
            if count < BATCH {
                break;
            }
        }
        self.heard.datagrams += heard as u64;
        self.heard.requests = self.heard.requests.saturating_add(counted);
        let lost = lost.map_or(0, |dropped| self.losses.requests(dropped, self.heard));
        let tally = Tally { counted: counted.saturating_add(lost), left_out: 0 };
        Taken { tally, speech: Speech::of(heard, self.capacity) }
    }
}

pub(in super::super) fn onward(address: SocketAddr) -> io::Result<UdpSocket> {
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sender(datagrams: &Datagrams) -> UdpSocket {
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.connect(datagrams.address().unwrap()).unwrap();
        sender
    }

    #[test]
    fn datagrams_arrive_and_what_is_lost_is_had_back() {
        let mut datagrams = Datagrams::open(Share::Third, None).unwrap();
        setsockopt(&datagrams.socket, RcvBuf, &4096).unwrap();
        let sender = sender(&datagrams);
        // As gunicorn does, three a request, far more than the buffer holds; then one more that carries the counter.
        for _ in 0..1000 {
            for metric in [
                "gunicorn.request.duration:1|ms",
                "gunicorn.requests:1|c|@1.0",
                "gunicorn.request.status.200:1|c",
            ] {
                sender.send(metric.as_bytes()).unwrap();
            }
        }
        let first = datagrams.take().tally.counted;
        sender.send(b"gunicorn.workers:2|g").unwrap();
        let total = first + datagrams.take().tally.counted;
        assert!(first < 500, "nothing was lost: {first}");
        assert!((999..=1001).contains(&total), "{total}");
    }

    #[test]
    fn datagrams_go_on_unchanged_and_nobody_need_be_there() {
        let real = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        real.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut datagrams = Datagrams::open(Share::Third, Some(real.local_addr().unwrap())).unwrap();
        let sender = sender(&datagrams);
        let long = [b"x.requests:0|c\n".as_slice(), &vec![b'x'; 30_000]].concat();
        let texts = [&b"gunicorn.requests:1|c|@1.0"[..], b"a:1|g\nb:2|ms", b"\xff", &long];
        for text in texts {
            sender.send(text).unwrap();
        }
        assert_eq!(datagrams.take().tally.counted, 1);
        let mut bytes = vec![0; LONGEST];
        for text in texts {
            let length = real.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], text);
        }
        drop(real);
        for _ in 0..3 {
            sender.send(b"x.requests:2|c").unwrap();
            assert_eq!(datagrams.take().tally.counted, 2);
        }
    }
}
