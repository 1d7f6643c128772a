//! Connections that have come: what the kernel counts as passive opens in ostler's network namespace (proc(5),
//! /proc/net/snmp). All that share the namespace are in it, and a connection that is used again comes once.

use super::{Speech, Taken};
use crate::count::Tally;
use std::fs;
use std::io;

/// Those since it was asked last.
#[derive(Debug)]
pub(in crate::system) struct Opened {
    last: u64,
}

impl Opened {
    pub(super) fn now() -> io::Result<Self> {
        Ok(Self { last: total()? })
    }

    /// Where it cannot be read now, they are counted the next time.
    pub(super) fn take(&mut self) -> Taken {
        let Ok(total) = total() else { return Taken::default() };
        let tally = Tally { counted: total.saturating_sub(self.last), left_out: 0 };
        self.last = total;
        Taken { tally, speech: Speech::Silent }
    }
}

/// All since the namespace is there.
///
/// # Errors
/// There is no /proc, or nothing of it there.
pub(in crate::system) fn total() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/snmp")?;
    passive_opens(&text).ok_or_else(|| io::Error::other("/proc/net/snmp names no PassiveOpens"))
}

/// Of every protocol there is a line of names, and one of values.
pub(in crate::system) fn passive_opens(text: &str) -> Option<u64> {
    let mut tcp = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next()?, tcp.next()?);
    let place = names.split(' ').position(|name| name == "PassiveOpens")?;
    values.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn every_connection_is_counted_when_it_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut opened = Opened::now().unwrap();
        let clients: Vec<_> =
            (0..5).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        // Other tests have connections too.
        assert!(opened.take().tally.counted >= 5);
        drop(clients);
    }

    #[test]
    fn what_is_not_there_is_no_number() {
        for (text, expected) in [
            ("Tcp: RtoMin ActiveOpens PassiveOpens\nTcp: 200 1 42\n", Some(42)),
            ("Ip: PassiveOpens\nIp: 7\nTcp: PassiveOpens\nTcp: 8\n", Some(8)),
            ("Tcp: RtoMin\nTcp: 200\n", None),
            ("Tcp: PassiveOpens\nTcp: -1\n", None),
            ("Tcp: PassiveOpens\n", None),
            ("", None),
        ] {
            assert_eq!(passive_opens(text), expected, "{text}");
        }
    }
}
