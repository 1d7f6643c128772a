//! Processes that are not ostler's children, and whose end it is told all the same (`pidfd_open(2)`), with its status
//! where the kernel keeps that (`PIDFD_GET_INFO`, Linux 6.15).

use super::reap::decode;
use crate::supervisor::{ExitStatus, Pid};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A zombie whose parent does not reap it is told of after so many looks, status
/// or not: some ten seconds, and less where something else wakes ostler often.
const LOOKS: u32 = 100;

/// One process.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) pid: Pid,
    fd: OwnedFd,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alive,
    /// It is a zombie, so many looks long: its status can be had when it is reaped.
    Dying(u32),
}

/// What a look at one showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    /// It has ended; `None`: the kernel does not tell how.
    Ended(Option<ExitStatus>),
}

impl Ward {
    /// Watches it from now on. `None`: it has gone, or the kernel does not let it be watched.
    pub(super) fn watch(pid: Pid) -> Option<Self> {
        let raw = rustix::process::Pid::from_raw(pid.0)?;
        let fd = pidfd_open(raw, PidfdFlags::empty()).ok()?;
        Some(Self { pid, fd, stage: Stage::Alive })
    }

    /// What to poll. Of a zombie only that it is reaped (`POLLHUP`): it would be readable all the time.
    pub(super) fn pollable(&self) -> PollFd<'_> {
        let flags = match self.stage {
            Stage::Alive => PollFlags::POLLIN,
            Stage::Dying(_) => PollFlags::empty(),
        };
        PollFd::new(self.fd.as_fd(), flags)
    }

    pub(super) fn is_dying(&self) -> bool {
        self.stage != Stage::Alive
    }

    pub(super) fn look(&mut self) -> Fate {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::ZERO) != Ok(1) {
            return Fate::Lives;
        }
        match (self.status(), self.stage) {
            (Ok(Some(status)), _) => Fate::Ended(Some(status)),
            // A kernel that knows no such question; or nobody reaps it.
            (Err(_), _) | (Ok(None), Stage::Dying(LOOKS..)) => Fate::Ended(None),
            (Ok(None), Stage::Dying(looks)) => {
                self.stage = Stage::Dying(looks + 1);
                Fate::Lives
            }
            (Ok(None), Stage::Alive) => {
                self.stage = Stage::Dying(0);
                Fate::Lives
            }
        }
    }

    /// How it ended, if it is reaped.
    ///
    /// # Errors
    /// The kernel does not tell.
    fn status(&self) -> nix::Result<Option<ExitStatus>> {
        let mut info = MaybeUninit::<libc::pidfd_info>::zeroed();
        // SAFETY: `info` is a whole pidfd_info of zeros, which is a valid one, and the request names its size: the
        // kernel reads the mask, and writes no further than that.
        let info = unsafe {
            (*info.as_mut_ptr()).mask = u64::from(libc::PIDFD_INFO_EXIT);
            Errno::result(libc::ioctl(self.fd.as_raw_fd(), libc::PIDFD_GET_INFO, info.as_mut_ptr()))?;
            info.assume_init()
        };
        let is_told = info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0;
        Ok(is_told.then(|| decode(info.exit_code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Signal;
    use std::process::Command;

    /// Ends like this: and is reaped only after it was seen to be a zombie.
    fn fate_of(script: &str) -> Fate {
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let mut ward = Ward::watch(Pid(child.id().cast_signed())).unwrap();
        while !ward.is_dying() {
            // Not reaped: nobody can say yet how it ended, on a kernel that will.
            if let fate @ Fate::Ended(_) = ward.look() {
                child.wait().unwrap();
                return fate;
            }
            std::thread::yield_now();
        }
        child.wait().unwrap();
        ward.look()
    }

    #[test]
    fn the_kernel_tells_how_a_process_ended_that_is_reaped() {
        // An older kernel tells only that it did.
        for (script, expected) in [
            ("exit 0", ExitStatus::Exited(0)),
            ("exit 3", ExitStatus::Exited(3)),
            ("kill -TERM $$", ExitStatus::Signaled(Signal::TERM)),
        ] {
            let fate = fate_of(script);
            assert!([Fate::Ended(Some(expected)), Fate::Ended(None)].contains(&fate), "{script}: {fate:?}");
        }
    }

    #[test]
    fn who_lives_is_left_alone_and_who_is_gone_cannot_be_watched() {
        let mut own = Ward::watch(Pid(std::process::id().cast_signed())).unwrap();
        assert_eq!((own.look(), own.is_dying()), (Fate::Lives, false));
        assert!(Ward::watch(Pid(i32::MAX)).is_none());
        assert!(Ward::watch(Pid(0)).is_none());
    }

    #[test]
    fn a_zombie_that_nobody_reaps_is_told_of_all_the_same() {
        let mut child = Command::new("true").spawn().unwrap();
        let mut ward = Ward::watch(Pid(child.id().cast_signed())).unwrap();
        let mut looks = 0;
        let fate = loop {
            match ward.look() {
                Fate::Lives if ward.is_dying() => looks += 1,
                Fate::Lives => std::thread::yield_now(),
                fate @ Fate::Ended(_) => break fate,
            }
        };
        child.wait().unwrap();
        assert_eq!(fate, Fate::Ended(None));
        assert!(looks <= LOOKS + 1, "{looks}");
    }
}
