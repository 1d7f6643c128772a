//! Clients of a real gunicorn while it is looked at.

use crate::support::load::answer;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks for / on fresh connections, one each `every`, until `going` is false; tells what each was answered.
pub(crate) fn ask(port: u16, every: Duration, going: &AtomicBool, mut tell: impl FnMut(Option<Vec<u8>>)) {
    let mut next = Instant::now();
    while going.load(Ordering::Relaxed) {
        tell(answer(port));
        next += every;
        sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// A client that stays: it reads what comes on one connection for as long as something does, and then comes again.
pub(crate) fn stay(port: u16, path: &str, going: &AtomicBool) {
    while going.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(request.as_bytes());
            let mut buffer = [0; 1024];
            while going.load(Ordering::Relaxed) && stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
        sleep(Duration::from_millis(200));
    }
}
