//! Names of machines to addresses, from /etc/hosts: a static binary has no other name service.

use super::plain::read_plain;
use crate::config::Endpoint;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// As of /etc/passwd: so many bytes are read.
const LONGEST: u64 = 4 << 20;

/// Looks up where the datagrams go that `variable` names a place for.
///
/// # Errors
/// The name is nowhere, with what to write instead.
pub fn look_up(variable: &str, endpoint: &Endpoint) -> Result<SocketAddr, String> {
    let Endpoint { host, port } = endpoint;
    let found = host.parse().ok().or_else(|| {
        let hosts = read_plain("/etc/hosts", LONGEST).unwrap_or_default();
        find(&String::from_utf8_lossy(&hosts), host)
    });
    found.map(|ip| SocketAddr::new(ip, *port)).ok_or_else(|| {
        format!("{variable}: /etc/hosts names no {host}; write an address, such as 10.0.0.1:{port}")
    })
}

/// The address of the first line that names it (hosts(5)). localhost needs no line.
pub(super) fn find(text: &str, name: &str) -> Option<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let found = lines.filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    });
    found.chain((name == "localhost").then_some(Ipv4Addr::LOCALHOST.into())).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let text = "127.0.0.1 localhost\n# 10.0.0.9 datadog\n10.0.0.1\tStatsd statsd.local # 10.0.0.2 x\nbroken x\n\
                    ::1 six\n";
        for (name, ip) in [
            ("localhost", Some("127.0.0.1")),
            ("statsd", Some("10.0.0.1")),
            ("statsd.local", Some("10.0.0.1")),
            ("six", Some("::1")),
            ("datadog", None),
            ("x", None),
        ] {
            assert_eq!(find(text, name), ip.map(|ip| ip.parse().unwrap()), "{name}");
        }
        assert_eq!(find("", "localhost"), Some(Ipv4Addr::LOCALHOST.into()));
        let endpoint = |host: &str| Endpoint { host: host.into(), port: 8125 };
        assert_eq!(look_up("OSTLER_X", &endpoint("10.0.0.1")), Ok(([10, 0, 0, 1], 8125).into()));
        assert!(look_up("OSTLER_X", &endpoint("nobody.invalid")).unwrap_err().contains("write an address"));
    }
}
