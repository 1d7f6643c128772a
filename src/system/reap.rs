//! waitid(2): who is dead, and reaping.

use crate::supervisor::{ExitStatus, Pid, Signal};
use nix::errno::Errno;
use nix::libc;
use std::mem::MaybeUninit;

/// A dead child that is not reaped yet, if there is one. The same one again until it is reaped.
///
/// # Errors
/// The kernel does not tell now: a child that is dead may be there, and no other SIGCHLD will come for it.
pub(super) fn peek() -> nix::Result<Option<(Pid, ExitStatus)>> {
    wait(libc::P_ALL, Pid(0), libc::WNOWAIT)
}

/// Reaps a child that `peek` has told of.
///
/// # Errors
/// It is still there.
pub(super) fn reap(pid: Pid) -> nix::Result<()> {
    // By the call by which it was seen: one of them alone may be refused (seccomp), and who is seen and never reaped
    // would be seen for ever. It is dead, so there is nothing to wait for, and its status is known.
    wait(libc::P_PID, pid, 0).map(drop)
}

/// One of those who are dead, if there is one.
fn wait(whom: libc::idtype_t, pid: Pid, options: i32) -> nix::Result<Option<(Pid, ExitStatus)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = options | libc::WEXITED | libc::WNOHANG;
    // nix's waitid fails for a child that a real-time signal has ended, and does not tell which child it was.
    // SAFETY: `info` is a whole siginfo_t of zeros, which is a valid one; waitid(2) leaves it so or fills the fields of
    // a SIGCHLD, which are the ones that are read.
    let (pid, code, status) = unsafe {
        match Errno::result(libc::waitid(whom, pid.0.cast_unsigned(), info.as_mut_ptr(), options)) {
            Err(Errno::ECHILD) => return Ok(None),
            asked => asked?,
        };
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    let status = match code {
        libc::CLD_DUMPED => ExitStatus::Dumped(Signal(status)),
        libc::CLD_KILLED => ExitStatus::Signaled(Signal(status)),
        _ => ExitStatus::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
    };
    Ok((pid > 0).then_some((Pid(pid), status)))
}

/// A status as wait(2) has it.
pub(super) fn decode(status: i32) -> ExitStatus {
    let signal = Signal(status & 0x7f);
    match signal.0 {
        0 => ExitStatus::Exited(u8::try_from(status >> 8 & 0xff).unwrap_or(u8::MAX)),
        _ if status & 0x80 != 0 => ExitStatus::Dumped(signal),
        _ => ExitStatus::Signaled(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_as_wait_has_them() {
        for (status, expected) in [
            (0, ExitStatus::Exited(0)),
            (3 << 8, ExitStatus::Exited(3)),
            (255 << 8, ExitStatus::Exited(255)),
            (15, ExitStatus::Signaled(Signal::TERM)),
            (6 | 0x80, ExitStatus::Dumped(Signal(6))),
            (64, ExitStatus::Signaled(Signal(64))),
        ] {
            assert_eq!(decode(status), expected, "{status}");
        }
    }
}
