//! `OSTLER_LISTEN`: the addresses that ostler listens on for the child.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `sun_path` holds 108 bytes, the last a NUL (unix(7)).
const LONGEST_PATH: usize = 107;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP, IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address or several, comma-separated; or none.
pub(super) fn parse(value: &str) -> Result<Vec<Address>, String> {
    if value == "none" {
        return Ok(Vec::new());
    }
    let mut addresses: Vec<Address> = Vec::new();
    for part in value.split(',') {
        let address = parse_one(part.trim())?;
        if addresses.contains(&address) {
            return Err(format!("{address} stands there twice; write it once"));
        }
        addresses.push(address);
    }
    match addresses.iter().find_map(|address| taken_for(address, &addresses)) {
        Some(error) => Err(error),
        None => Ok(addresses),
    }
}

/// What ostler appends to a path to name the sockets of its generations, and the step to the next one.
const OWN_NAMES: [&str; 3] = [".a", ".b", ".new"];

/// Is this the name of a file that ostler makes beside another of these sockets?
fn taken_for(address: &Address, all: &[Address]) -> Option<String> {
    let text = address.to_string();
    let owner = all
        .iter()
        .map(ToString::to_string)
        .find(|other| text.strip_prefix(other).is_some_and(|rest| OWN_NAMES.contains(&rest)))?;
    Some(format!("{text} is a name that ostler needs for itself beside {owner}; write another one"))
}

fn parse_one(value: &str) -> Result<Address, String> {
    if let Some(path) = value.strip_prefix("unix:") {
        return match path.len() {
            0 => Err("write a path after unix:, such as unix:/run/app.sock".into()),
            1..=LONGEST_PATH => Ok(Address::Unix(path.into())),
            _ => Err(format!("write a path of at most {LONGEST_PATH} bytes")),
        };
    }
    match value.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Address::Tcp(address)),
        Ok(_) => Err("write a port other than 0".into()),
        Err(_) => {
            Err("write addresses as numbers with a port: 0.0.0.0:8000, [::]:8000, unix:/run/app.sock".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        for text in [
            "0.0.0.0:8000",
            "[::]:8000",
            "unix:/run/app.sock",
            "127.0.0.1:1,[::1]:1,unix:a",
            "unix:a,unix:a.c,unix:ab",
        ] {
            let written: Vec<String> = parse(text).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(written.join(","), text);
        }
        assert_eq!(parse("127.0.0.1:1, 127.0.0.1:2").unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, cure) in [
            ("8000", "0.0.0.0:8000"),
            (":8000", "0.0.0.0:8000"),
            ("localhost:8000", "numbers"),
            ("0.0.0.0", "port"),
            ("0.0.0.0:0", "other than 0"),
            ("0.0.0.0:99999", "0.0.0.0:8000"),
            ("unix:", "unix:/run/app.sock"),
            ("127.0.0.1:1,127.0.0.1:1", "twice"),
            ("127.0.0.1:1,", "0.0.0.0:8000"),
            ("unix:/run/app.b,unix:/run/app", "beside unix:/run/app;"),
            ("unix:/run/app,unix:/run/app.new", "write another one"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cure), "{text}: {error}");
        }
        assert!(parse(&format!("unix:/{}", "x".repeat(107))).unwrap_err().contains("107 bytes"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
