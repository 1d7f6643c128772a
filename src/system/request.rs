//! One HTTP request to our own server, as `curl --fail --max-time` would make it: for `--health`, which may wait.

use super::probe::{request, status};
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// For all of it. Orchestrators wait for five seconds if they are not told otherwise (ECS), or for one (Kubernetes).
const PATIENCE: Duration = Duration::from_secs(3);
/// A status line is shorter.
const LONGEST_STATUS: usize = 256;

/// Asks the server at `address` (`127.0.0.1:8000`, `unix:/run/app.sock`) for a path, and wants a 2xx.
///
/// # Errors
/// In words for people: it was answered otherwise, or not in time.
pub fn get(address: &str, path: &str) -> Result<(), String> {
    let begin = Instant::now();
    let answer = match address.strip_prefix("unix:") {
        Some(socket) => connect_unix(socket).and_then(|stream| ask(stream, path, begin)),
        None => address
            .parse::<SocketAddr>()
            .map_err(|_| io::ErrorKind::AddrNotAvailable.into())
            .and_then(|address| TcpStream::connect_timeout(&address, PATIENCE))
            .and_then(|stream| ask(stream, path, begin)),
    };
    match answer.map(|answer| (status(&answer), answer)) {
        Ok((Some(Ok(200..=299)), _)) => Ok(()),
        Ok((Some(Ok(code)), _)) => Err(format!("{path} is answered with {code}")),
        Ok((Some(Err(())) | None, _)) => Err(format!("{path} is not answered in HTTP")),
        Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
            Err(format!("{path} is not answered within {PATIENCE:?}"))
        }
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// connect(2) waits for room in the backlog, for as long as a socket may wait to send.
fn connect_unix(path: &str) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    limit(&socket, PATIENCE)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket.into())
}

/// For how long one call may wait (socket(7), `SO_RCVTIMEO`). 0 would be for ever.
fn limit(socket: &impl AsFd, time: Duration) -> io::Result<()> {
    let time = TimeVal::milliseconds(i64::try_from(time.as_millis()).unwrap_or(i64::MAX).max(1));
    setsockopt(socket, ReceiveTimeout, &time)?;
    Ok(setsockopt(socket, SendTimeout, &time)?)
}

/// The first line of an answer is enough.
fn ask(mut stream: impl Read + Write + AsFd, path: &str, begin: Instant) -> io::Result<Vec<u8>> {
    limit(&stream, PATIENCE)?;
    // In one piece: a server may answer the first and close.
    stream.write_all(request(path).as_bytes())?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < LONGEST_STATUS {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        limit(&stream, left)?;
        let mut bytes = [0; LONGEST_STATUS];
        match stream.read(&mut bytes)? {
            0 => break,
            length => answer.extend(bytes.get(..length).unwrap_or_default()),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};
    use std::iter;
    use std::net::TcpListener;
    use std::thread;

    /// What is said of a server that answers like this, a piece after the other, and then closes.
    fn answered(pieces: &'static [&'static str]) -> Result<(), String> {
        // This machine may be busy for longer than ostler waits.
        let late = Err("/healthz is not answered within 3s".into());
        iter::repeat_with(|| answered_once(pieces)).take(3).find(|said| *said != late).unwrap_or(late)
    }

    fn answered_once(pieces: &'static [&'static str]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            for piece in pieces {
                let _ = stream.write_all(piece.as_bytes());
            }
        });
        let said = get(&address, "/healthz");
        server.join().unwrap();
        said
    }

    #[test]
    fn only_a_2xx_is_an_answer() {
        assert_eq!(answered(&["HTTP/1.1 200 OK\r\n\r\nbody"]), Ok(()));
        assert_eq!(answered(&["HTTP/1.1 2", "04 No Content\r\n"]), Ok(()));
        for (pieces, why) in [
            (&["HTTP/1.1 503 Service Unavailable\r\n"][..], "/healthz is answered with 503"),
            (&["HTTP/1.1 302 Found\r\n"], "/healthz is answered with 302"),
            (&["SSH-2.0-OpenSSH\r\n"], "/healthz is not answered in HTTP"),
            (&[], "/healthz is not answered in HTTP"),
        ] {
            assert_eq!(answered(pieces), Err(why.into()));
        }
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert!(get(&nobody, "/x").unwrap_err().starts_with("/x: Connection refused"));
        assert!(get("a shared socket", "/x").is_err() && get("unix:/nonexistent", "/x").is_err());
    }

    #[test]
    fn a_server_that_hangs_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let begin = Instant::now();
        assert_eq!(get(&address, "/healthz"), Err("/healthz is not answered within 3s".into()));
        assert!(begin.elapsed() >= PATIENCE);
        // Nor is one whose backlog is full.
        let path = std::env::temp_dir().join(format!("ostler-full-{}", std::process::id()));
        let full = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(full.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&full, Backlog::new(0).unwrap()).unwrap();
        let _waits = UnixStream::connect(&path).unwrap();
        let address = format!("unix:{}", path.display());
        assert_eq!(get(&address, "/healthz"), Err("/healthz is not answered within 3s".into()));
        std::fs::remove_file(path).unwrap();
    }
}
