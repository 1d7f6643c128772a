//! The environment of a child: as ostler got it, with what counting, held sockets and readiness add.

use super::notify::NOTIFY_SOCKET;
use super::users::Account;
use super::{Between, GUNICORN_CMD_ARGS};
use std::ffi::{CString, OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

/// What statsd clients read, Python's `statsd` and others.
const STATSD: [&str; 2] = ["STATSD_HOST", "STATSD_PORT"];

/// What is added for one generation.
#[derive(Debug)]
pub(super) struct Additions<'a> {
    /// In front of the user's `GUNICORN_CMD_ARGS`: of a duplicate gunicorn takes the last, so what the user says wins.
    pub(super) arguments: Option<&'a str>,
    /// Where statsd clients send to that are no gunicorn, unless they are told otherwise.
    pub(super) statsd: Option<SocketAddr>,
    /// How many sockets are handed over, and their names.
    pub(super) sockets: Option<(usize, &'a str)>,
    /// Behind a shell, which `LISTEN_PID` would name: the sockets as gunicorn's own too.
    pub(super) between: Between,
    /// Where it says that it is ready.
    pub(super) notify: Option<&'a str>,
    /// Who it is, if that is not who started ostler.
    pub(super) account: Option<&'a Account>,
}

/// Variables whose value is the child's own pid, which only the child knows.
///
/// Behind a shell gunicorn takes `GUNICORN_PID` for its parent's, as it is: so it takes the sockets of `GUNICORN_FD`,
/// and does not unlink unix ones when it ends. Where it is the leader itself, `LISTEN_PID` wins.
pub(super) fn own_pid_variables(additions: &Additions<'_>) -> &'static [&'static str] {
    match (additions.sockets, additions.between) {
        (None, _) => &[],
        (Some(_), Between::Nothing) => &["LISTEN_PID"],
        (Some(_), Between::Shell) => &["LISTEN_PID", "GUNICORN_PID"],
    }
}

/// `NAME=value` for exec; all but those of `own_pid_variables`.
pub(super) fn environment(given: &[(OsString, OsString)], additions: &Additions<'_>) -> Vec<CString> {
    let Additions { arguments, statsd, sockets, between, notify, account } = additions;
    let replaced = |name: &OsString| match name.to_str() {
        Some(GUNICORN_CMD_ARGS) => arguments.is_some(),
        Some("LISTEN_FDS" | "LISTEN_PID" | "LISTEN_FDNAMES") => sockets.is_some(),
        Some("GUNICORN_PID" | "GUNICORN_FD") => *between == Between::Shell,
        Some(NOTIFY_SOCKET) => notify.is_some(),
        // They may be root's, as docker sets HOME.
        Some("HOME" | "USER" | "LOGNAME") => account.is_some(),
        Some(_) | None => false,
    };
    let mut pairs: Vec<(OsString, OsString)> = Vec::new();
    if let Some(arguments) = arguments {
        let mut value = OsString::from(arguments);
        if let Some(users) = get(given, GUNICORN_CMD_ARGS) {
            value.push(" ");
            value.push(users);
        }
        pairs.push((GUNICORN_CMD_ARGS.into(), value));
    }
    if let Some(address) = statsd.filter(|_| STATSD.iter().all(|name| get(given, name).is_none())) {
        let [host, port] = STATSD;
        pairs.push((host.into(), address.ip().to_string().into()));
        pairs.push((port.into(), address.port().to_string().into()));
    }
    if let Some((count, names)) = sockets {
        pairs.push(("LISTEN_FDS".into(), count.to_string().into()));
        pairs.push(("LISTEN_FDNAMES".into(), names.into()));
        if *between == Between::Shell {
            pairs.push(("GUNICORN_FD".into(), descriptors(*count).into()));
        }
    }
    if let Some(name) = notify {
        pairs.push((NOTIFY_SOCKET.into(), name.into()));
    }
    if let Some(account) = account {
        pairs.push(("HOME".into(), account.home.clone().into()));
        for variable in ["USER", "LOGNAME"] {
            pairs.extend(account.name.clone().map(|name| (variable.into(), name.into())));
        }
    }
    let kept = given.iter().filter(|(name, _)| !replaced(name));
    // A byte 0 cannot have come in through the environment.
    kept.chain(&pairs).filter_map(|(name, value)| CString::new(joined(name, value)).ok()).collect()
}

/// `NAME=value`, with room for the zero behind it.
fn joined(name: &OsStr, value: &OsStr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
    for part in [name.as_bytes(), b"=", value.as_bytes()] {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// `3,4,5`
fn descriptors(count: usize) -> String {
    let numbers: Vec<_> =
        (super::listen::FIRST_SOCKET..).take(count).map(|number| number.to_string()).collect();
    numbers.join(",")
}

/// The value of a variable.
pub(super) fn get<'a>(given: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    given.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_os_str())
}
