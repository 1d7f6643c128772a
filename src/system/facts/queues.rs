//! The limits of accept queues, which /proc does not tell: the kernel is asked (`sock_diag(7)`), as ss(8) asks it.

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

/// `SOCK_DIAG_BY_FAMILY` (`linux/sock_diag.h`).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP` (netlink(7)).
const DUMP: u16 = 0x301;
/// `NLMSG_DONE`, and everything below it, is no answer (netlink(7)).
const DONE: u16 = 3;
/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;
const IPPROTO_TCP: u8 = 6;
/// A header of netlink's, and struct `inet_diag_req_v2` behind it.
const REQUEST: usize = 72;
/// Where they stand in an answer: a header, and struct `inet_diag_msg`.
const WQUEUE: usize = 76;
const INODE: usize = 84;
/// Longer than the kernel's answers are.
const BUFFER: usize = 32 << 10;
/// As many answers are read.
const MOST: usize = 1024;

/// The limit of the accept queue of each TCP socket that listens, by its inode.
///
/// # Errors
/// The kernel does not answer: it has no `inet_diag`, or a filter forbids to ask.
pub(super) fn queues() -> nix::Result<BTreeMap<u64, u64>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(1, 0))?;
    let mut limits = BTreeMap::new();
    let mut buffer = vec![0; BUFFER];
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        send(socket.as_raw_fd(), &request(family), MsgFlags::empty())?;
        for _ in 0..MOST {
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            if take(buffer.get(..length).unwrap_or_default(), &mut limits) == Rest::Nothing {
                break;
            }
        }
    }
    Ok(limits)
}

fn request(family: AddressFamily) -> Vec<u8> {
    let mut request = Vec::with_capacity(REQUEST);
    request.extend(72_u32.to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    // Sequence number and port, which are not compared; extensions and padding, of which none are asked for.
    request.extend([0; 8]);
    request.extend([u8::try_from(family as i32).unwrap_or(0), IPPROTO_TCP, 0, 0]);
    request.extend(LISTENING.to_ne_bytes());
    // All addresses, ports and interfaces.
    request.resize(REQUEST, 0);
    request
}

/// Is there more to come?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    More,
    Nothing,
}

fn take(mut answers: &[u8], limits: &mut BTreeMap<u64, u64>) -> Rest {
    while let (Some(length), Some(kind)) = (word(answers, 0), answers.get(4..6)) {
        let kind = <[u8; 2]>::try_from(kind).map_or(DONE, u16::from_ne_bytes);
        if kind <= DONE {
            return Rest::Nothing;
        }
        if let (Some(limit), Some(inode)) = (word(answers, WQUEUE), word(answers, INODE)) {
            limits.insert(inode.into(), limit.into());
        }
        let Some(next) = usize::try_from(length).ok().and_then(|length| length.checked_next_multiple_of(4))
        else {
            return Rest::Nothing;
        };
        match answers.get(next.max(4)..) {
            Some(rest) if !rest.is_empty() => answers = rest,
            Some(_) | None => return Rest::More,
        }
    }
    Rest::Nothing
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn the_backlog_is_told_as_it_was_asked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        let inode = nix::sys::stat::fstat(&socket).unwrap().st_ino;
        for backlog in [7_i32, 70] {
            let wanted = nix::sys::socket::Backlog::new(backlog).unwrap();
            nix::sys::socket::listen(&socket, wanted).unwrap();
            assert_eq!(queues().unwrap().get(&inode), Some(&u64::from(backlog.cast_unsigned())));
        }
    }

    #[test]
    fn answers_that_are_cut_end_it() {
        let mut limits = BTreeMap::new();
        assert_eq!(take(&[], &mut limits), Rest::Nothing);
        assert_eq!(take(&[0; 40], &mut limits), Rest::Nothing);
        assert_eq!(take(&[9; 90], &mut limits), Rest::More);
    }
}
