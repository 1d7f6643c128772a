//! Instructions of classic BPF (the kernel's Documentation/networking/filter.rst). Attaching them needs no privilege.

use nix::libc::{BPF_JMP, BPF_K, BPF_LD, BPF_RET, sock_filter, sock_fprog};

/// Loads a value into the accumulator. A load beyond the packet's end ends the program with 0.
pub(super) fn load(mode: u32, offset: u32) -> sock_filter {
    instruction(BPF_LD | mode, 0, 0, offset)
}

/// Compares the accumulator with a value, and skips so many instructions.
pub(super) fn test(condition: u32, value: u32, then_skip: u8, else_skip: u8) -> sock_filter {
    instruction(BPF_JMP | condition | BPF_K, then_skip, else_skip, value)
}

/// Ends the program with this answer.
pub(super) fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, 0, 0, value)
}

/// Instructions have 16 bits for the code; the constants have more.
pub(super) fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}

/// The form in which a socket option takes a program. It points into it.
pub(super) fn program(instructions: &mut [sock_filter]) -> sock_fprog {
    let len = u16::try_from(instructions.len()).unwrap_or(u16::MAX);
    sock_fprog { len, filter: instructions.as_mut_ptr() }
}
