//! TCP sockets that listen in this network namespace, by /proc/net/tcp and tcp6 (proc(5)), and how many wait there.

use super::queues::queues;
use super::unseen;
use crate::doctor::{Holder, Sight, Socket};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a socket that listens (the kernel's `TCP_LISTEN`).
const LISTEN: &str = "0A";
/// More than these are not told of.
const MOST: usize = 1024;

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) inode: u64,
    address: SocketAddr,
    queue: u64,
}

pub(super) fn listening() -> Sight<Vec<Listening>> {
    let mut sockets = Vec::new();
    let mut failed = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match File::open(path) {
            // Line by line: a busy machine's are megabytes.
            Ok(file) => {
                let lines = BufReader::new(file).lines().skip(1).map_while(Result::ok);
                sockets.extend(lines.filter_map(|line| parse(&line)).take(MOST));
            }
            Err(error) => failed.push(unseen(path, error)),
        }
    }
    // Where there is no IPv6, there is no tcp6.
    match failed.into_iter().next() {
        Some(why) if sockets.is_empty() => Err(why),
        Some(_) | None => {
            sockets.sort_by_key(|socket| (socket.address.port(), socket.address, socket.inode));
            Ok(sockets)
        }
    }
}

/// The sockets, with the limits of their queues where the kernel tells, and those who hold them.
pub(super) fn with_holders(
    listening: Vec<Listening>,
    mut holders: BTreeMap<u64, Vec<Holder>>,
) -> Vec<Socket> {
    let limits = if listening.is_empty() { BTreeMap::new() } else { queues().unwrap_or_default() };
    listening
        .into_iter()
        .map(|Listening { inode, address, queue }| Socket {
            address: address.to_string(),
            queue,
            limit: limits.get(&inode).copied(),
            holders: holders.remove(&inode).unwrap_or_default(),
        })
        .collect()
}

/// For a socket that listens, `rx_queue` is its accept queue.
fn parse(line: &str) -> Option<Listening> {
    let mut fields = line.split_ascii_whitespace();
    let (_, local, _, state) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    let queue = u64::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok()?;
    // tr:tm->when, retrnsmt, uid, timeout; then the inode.
    let inode = fields.nth(4)?.parse().ok()?;
    Some(Listening { inode, address: address(local)?, queue })
}

/// The kernel writes addresses as words in the machine's own order, ports as numbers.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // A word is 8 digits.
    if !ip.len().is_multiple_of(8) {
        return None;
    }
    let mut bytes = Vec::new();
    for word in ip.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).ok().map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|bytes| Ipv6Addr::from(bytes).into());
    Some(SocketAddr::new(v4.or(v6)?, port))
}

#[cfg(test)]
mod tests {
    use super::super::processes;
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_socket_is_seen_with_who_waits_and_who_holds_it() {
        for (address, waiting) in [("127.0.0.1:0", 0), ("[::1]:0", 2)] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..waiting).map(|_| TcpStream::connect(address).unwrap()).collect();
            let listening = listening().unwrap();
            let (_, holders) = processes::look(&listening);
            let sockets = with_holders(listening, holders);
            let socket = sockets.iter().find(|socket| socket.address == address.to_string()).unwrap();
            assert_eq!(socket.queue, waiting);
            // std asks for 128, or 4096 in newer versions; net.core.somaxconn may be less.
            assert!(socket.limit.is_none_or(|limit| limit > 0));
            let own = std::process::id().cast_signed();
            assert!(socket.holders.iter().any(|holder| holder.pid == own), "{socket:?}");
            drop(clients);
        }
    }

    #[test]
    fn other_lines_are_none() {
        let line = "   1: 0100007F:1F40 00000000:0000 0A 00000000:00000003 00:00000000 00000000  0  0 77 1 0";
        assert_eq!(parse(line).map(|socket| (socket.inode, socket.queue)), Some((77, 3)));
        for other in [
            "",
            "nonsense",
            &line.replace("0A", "01"),
            &line.replace("1F40", "1F40F"),
            &line.replace("0100007F", "01"),
            &line.replace("0100007F", "0100007\u{e9}"),
            &line.replace(" 77 ", " x "),
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
