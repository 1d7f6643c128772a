//! waitid(2): who is dead, and reaping.

use crate::supervisor::{ExitStatus, Pid, Signal};
use nix::libc;
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::mem::MaybeUninit;

/// A dead child that is not reaped yet, if there is one. The same one again until it is reaped.
pub(super) fn peek() -> Option<(Pid, ExitStatus)> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // nix's waitid fails for a child that a real-time signal has ended, and does not tell which child it was.
    // SAFETY: `info` is a whole siginfo_t of zeros, which is a valid one; waitid(2) leaves it so or fills the fields of
    // a SIGCHLD, which are the ones that are read.
    let (pid, code, status) = unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) != 0 {
            return None;
        }
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    let status = match code {
        libc::CLD_DUMPED => ExitStatus::Dumped(Signal(status)),
        libc::CLD_KILLED => ExitStatus::Signaled(Signal(status)),
        _ => ExitStatus::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
    };
    (pid > 0).then_some((Pid(pid), status))
}

/// Reaps a child that `peek` has told of.
pub(super) fn reap(pid: Pid) {
    // It is dead, so there is nothing to wait for; its status is known.
    let _ = waitpid(nix::unistd::Pid::from_raw(pid.0), Some(WaitPidFlag::WNOHANG));
}
