//! The classic BPF program by which the kernel chooses between the two sockets of an
//! address (socket(7), `SO_ATTACH_REUSEPORT_CBPF`): it returns the number of a socket
//! in its group, in the order in which they began to listen. It needs no privilege.

use super::bpf::{answer, load, program, test};
use nix::libc::{BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_W, SKF_NET_OFF, sock_filter};
use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// The first byte of an IPv4 header without options, and where its source address and the TCP source port are.
const V4: (u32, u32, u32) = (0x45, 12, 20);
/// The same of IPv6: the upper half of the byte is the version; loopback has no traffic class in the lower one.
const V6: (u32, u32, u32) = (0x60, 8, 40);

/// All connections go to one socket.
pub(super) fn all_to(number: u32) -> Vec<sock_filter> {
    vec![answer(number)]
}

/// Connections from this very address and port go to `chosen`, all others to `rest`.
///
/// A load beyond the packet's end ends a program with 0, so the
/// version is asked first: a socket on `[::]` gets IPv4 too.
pub(super) fn one_to(from: SocketAddr, chosen: u32, rest: u32) -> Vec<sock_filter> {
    let (first, source, port) = if from.is_ipv4() { V4 } else { V6 };
    let mut tests = vec![(BPF_B, 0, first)];
    match from.ip() {
        IpAddr::V4(ip) => tests.push((BPF_W, source, ip.to_bits())),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let words = octets.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
            tests.extend((source..).step_by(4).zip(words).map(|(offset, word)| (BPF_W, offset, word)));
        }
    }
    tests.push((BPF_H, port, from.port().into()));

    let mut instructions = Vec::new();
    for (left, (size, offset, value)) in (0..tests.len()).rev().zip(tests) {
        // From this offset of the network header, whatever comes before it.
        instructions.push(load(size | BPF_ABS, SKF_NET_OFF.cast_unsigned().wrapping_add(offset)));
        // Over what is left of the tests, two instructions each, and over the first answer.
        let else_skip = u8::try_from(2 * left + 1).unwrap_or(u8::MAX);
        instructions.push(test(BPF_JEQ, value, 0, else_skip));
    }
    instructions.extend([answer(chosen), answer(rest)]);
    instructions
}

/// Attaches a program to the group that this socket is in, in place of the one before.
pub(super) fn attach(socket: &impl AsFd, mut instructions: Vec<sock_filter>) -> nix::Result<()> {
    setsockopt(socket, AttachReusePortCbpf, &program(&mut instructions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc::{BPF_JMP, BPF_K, BPF_LD, BPF_RET};
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// Runs a program as the kernel does, on a packet that begins with its network header.
    fn run(program: &[sock_filter], packet: &[u8]) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match u32::from(code) {
                c if c == BPF_RET | BPF_K => return k,
                c if c == BPF_JMP | BPF_JEQ | BPF_K => at += usize::from(if loaded == k { jt } else { jf }),
                c => {
                    let length = [(BPF_B, 1), (BPF_H, 2), (BPF_W, 4)]
                        .into_iter()
                        .find_map(|(size, length)| (c == BPF_LD | size | BPF_ABS).then_some(length))
                        .expect("an instruction that is not used");
                    let from = k.wrapping_sub(SKF_NET_OFF.cast_unsigned()) as usize;
                    let Some(bytes) = packet.get(from..from + length) else { return 0 };
                    loaded = bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
                }
            }
        }
    }

    fn v4(source: [u8; 4], port: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&source);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    }

    fn v6(source: Ipv6Addr, port: u16) -> Vec<u8> {
        let mut packet = vec![0; 60];
        packet[0] = 0x60;
        packet[8..24].copy_from_slice(&source.octets());
        packet[40..42].copy_from_slice(&port.to_be_bytes());
        packet
    }

    #[test]
    fn all_go_to_one() {
        for packet in [v4([127, 0, 0, 1], 1), v6(Ipv6Addr::LOCALHOST, 1), vec![]] {
            assert_eq!(run(&all_to(0), &packet), 0);
            assert_eq!(run(&all_to(1), &packet), 1);
        }
    }

    #[test]
    fn only_the_probe_goes_to_the_chosen_one() {
        let four = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 40_000));
        for (chosen, rest) in [(0, 1), (1, 0)] {
            for (probe, packet, expected) in [
                (four, v4([127, 0, 0, 1], 40_000), chosen),
                (four, v4([127, 0, 0, 1], 40_001), rest),
                (four, v4([127, 0, 0, 2], 40_000), rest),
                (four, v6(Ipv6Addr::LOCALHOST, 40_000), rest),
                (six, v6(Ipv6Addr::LOCALHOST, 40_000), chosen),
                (six, v6(Ipv6Addr::LOCALHOST, 40_001), rest),
                (six, v6(Ipv6Addr::from_bits(1 << 96 | 1), 40_000), rest),
                // A socket on [::] gets these too, shorter than the port's place.
                (six, v4([127, 0, 0, 1], 40_000), rest),
            ] {
                let program = one_to(probe, chosen, rest);
                assert_eq!(run(&program, &packet), expected, "{probe} {packet:?}");
            }
        }
    }
}
