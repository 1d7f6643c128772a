//! A filter on a statsd socket (socket(7), `SO_ATTACH_FILTER`): of gunicorn's three datagrams a request only the
//! counter comes in. The other two cost ostler nothing then, and take no room from it in the buffer.

use crate::system::bpf::{answer, instruction, load, program, test};
use nix::libc::{
    self, BPF_ALU, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_K, BPF_LEN, BPF_MISC, BPF_SUB,
    BPF_TAX, BPF_W, sock_filter,
};
use nix::sys::socket::setsockopt;
use nix::{Result, setsockopt_impl, sockopt_impl};
use std::os::fd::AsFd;

sockopt_impl!(
    /// Which datagrams come in.
    AttachFilter,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_FILTER,
    libc::sock_fprog
);

/// What a program sees begins with the header (udp(7)).
const HEADER: u32 = 8;
/// As long as the end of a counter that is looked at, `0:1|c|@1.0`.
const TAIL: u32 = 10;
const KEEP: u32 = u32::MAX;
const DROP: u32 = 0;

/// From here on, what a request's duration and status are told in is dropped, and counted as dropped
/// ([`crate::count::Share::Filtered`]).
pub(super) fn attach(socket: &impl AsFd) -> Result<()> {
    let mut instructions = instructions();
    setsockopt(socket, AttachFilter, &program(&mut instructions))
}

/// Drops `….request.duration:0.288|ms` and `….request.status.200:1|c|@1.0`, known by their ends, since prefixes vary.
/// `….requests:1|c|@1.0` has a letter where a status has a digit; what has tags at its end comes in.
fn instructions() -> [sock_filter; 19] {
    let word = |text: &[u8; 4]| u32::from_be_bytes(*text);
    [
        load(BPF_LEN, 0),
        test(BPF_JGE, HEADER + TAIL, 0, 16),
        instruction(BPF_ALU | BPF_SUB | BPF_K, 0, 0, TAIL),
        instruction(BPF_MISC | BPF_TAX, 0, 0, 0),
        // Is it `|ms`?
        load(BPF_B | BPF_IND, 7),
        test(BPF_JEQ, b'|'.into(), 0, 2),
        load(BPF_H | BPF_IND, 8),
        test(BPF_JEQ, u16::from_be_bytes(*b"ms").into(), 9, 0),
        // Is it a digit and `:1|c|@1.0`?
        load(BPF_W | BPF_IND, 1),
        test(BPF_JEQ, word(b":1|c"), 0, 8),
        load(BPF_W | BPF_IND, 5),
        test(BPF_JEQ, word(b"|@1."), 0, 6),
        load(BPF_B | BPF_IND, 9),
        test(BPF_JEQ, b'0'.into(), 0, 4),
        load(BPF_B | BPF_IND, 0),
        test(BPF_JGE, b'0'.into(), 0, 2),
        test(BPF_JGT, b'9'.into(), 1, 0),
        answer(DROP),
        answer(KEEP),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn the_kernel_drops_what_tells_of_no_request() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        attach(&socket).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |text: &str| sender.send_to(text.as_bytes(), socket.local_addr().unwrap()).unwrap();
        for text in [
            "gunicorn.request.duration:0.288|ms",
            "my.app.gunicorn.request.duration:12345.6|ms",
            "gunicorn.request.status.200:1|c|@1.0",
            "x.gunicorn.request.status.599:1|c|@1.0",
        ] {
            send(text);
        }
        let kept = [
            "gunicorn.requests:1|c|@1.0",
            "my.app.gunicorn.requests:1|c|@1.0",
            "gunicorn.requests:1|c|@1.0|#env:prod",
            "gunicorn.request.duration:0.288|ms|#env:prod",
            "gunicorn.workers:2|g",
            "gunicorn.log.warning:1|c|@1.0",
            "requests:1|c|@1.5",
            "requests7:1|c|@2.0",
            "a:1|c",
            "",
            "0:1|c|@1.",
            "a\nb.requests:9|c",
        ];
        for text in kept {
            send(text);
        }
        let mut bytes = [0; 100];
        for text in kept {
            let length = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], text.as_bytes());
        }
    }
}
