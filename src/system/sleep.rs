//! The one poll: what can wake ostler, and for how long it sleeps if nothing does.

use super::cores::Cores;
use super::counter::Counter;
use super::listening::Manner;
use super::passage::Passage;
use super::process::Leader;
use super::wards::Ward;
use super::{Reaping, Shedding, Signals, System};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// What has woken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stir {
    /// Nothing but signals: no other source has anything.
    Signals,
    /// A worker that is watched has ended, or is about to be reaped.
    Workers,
    Others,
    /// The time is over.
    Nobody,
}

/// So many wake-ups in a row may bring nothing. Then something is to be read that cannot be (a seccomp profile that
/// forbids `recvmsg`, say): it would wake for ever.
const VAIN: u32 = 16;

/// A group's last member may be reaped by a parent of its own, of which nobody tells ostler: so a group whose leader is
/// dead is asked after.
const LINGER: Duration = Duration::from_millis(100);

impl System {
    /// Sleeps until something happens, or until `timeout` is over.
    pub(super) fn sleep(&self, timeout: Option<Duration>) -> Stir {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(self.signals.as_fd())];
        fds.extend(self.cores.iter().filter_map(Cores::readable).map(readable));
        fds.extend(self.control.iter().map(|control| readable(control.as_fd())));
        fds.extend(
            self.processes.iter().filter_map(|process| Some(readable(process.notify.as_ref()?.as_fd()))),
        );
        let mut timeout = timeout;
        match self.listening.manner() {
            Manner::Eager => {
                let counters = self.processes.iter().filter_map(|process| process.counter.as_ref());
                fds.extend(counters.filter_map(Counter::readable).map(readable));
            }
            Manner::Asking(pause) => timeout = Some(sooner(timeout, pause)),
        }
        let workers = || self.processes.iter().flat_map(|process| &process.workers);
        let (first_worker, dying) = (fds.len(), workers().any(Ward::is_dying));
        fds.extend(workers().map(Ward::pollable));
        let workers = workers().count();
        if dying {
            timeout = Some(sooner(timeout, LINGER));
        }
        fds.extend(self.stdouts.iter().map(|stdout| readable(stdout.as_fd())));
        if let Some(stuck) = self.passage.as_ref().and_then(Passage::writable) {
            fds.push(PollFd::new(stuck, PollFlags::POLLOUT));
        }
        if let Some(slot) = self.vacant() {
            match self.shedding {
                Shedding::Eager => {
                    fds.extend(self.doors().iter().filter_map(|door| door.own_socket(slot)).map(readable));
                }
                Shedding::Later => timeout = Some(sooner(timeout, LINGER)),
            }
        }
        if self.processes.iter().any(|process| process.leader == Leader::Reaped) {
            timeout = Some(sooner(timeout, LINGER));
        }
        if self.reaping == Reaping::Refused {
            timeout = Some(sooner(timeout, LINGER));
        }
        let timeout = match (self.reaping, timeout) {
            (Reaping::Due, _) => PollTimeout::ZERO,
            (Reaping::Done | Reaping::Refused, None) => PollTimeout::NONE,
            // Up to a whole millisecond, so that a deadline has passed when poll returns.
            (Reaping::Done | Reaping::Refused, Some(timeout)) => {
                PollTimeout::try_from(timeout.saturating_add(Duration::from_nanos(999_999)))
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        let ready = if self.vain < VAIN { poll(&mut fds, timeout) } else { Err(Errno::EAGAIN) };
        match ready {
            // A wake-up like any other: whoever is asked does not wait.
            Ok(_) | Err(Errno::EINTR) => {}
            // More descriptors than the limit of open files, lowered from outside, allows (poll(2)), or no memory for
            // them. Signals still wake, and all else is asked now and then.
            Err(_) if timeout == PollTimeout::ZERO => {}
            Err(_) if self.vain < VAIN => rest(&self.signals),
            // A signal that cannot be read would wake for ever, too.
            Err(_) => thread::sleep(LINGER),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let told = fds.iter().skip(first_worker).take(workers).any(is_ready);
        match ready {
            _ if dying || told => Stir::Workers,
            // Who is not listened to does not show what it has.
            Ok(1) if fds.first().is_some_and(is_ready) && self.listening.manner() == Manner::Eager => {
                Stir::Signals
            }
            Ok(1..) => Stir::Others,
            Ok(_) | Err(_) => Stir::Nobody,
        }
    }
}

/// For a while, or until a signal comes; if even that cannot be waited for, just for a while.
fn rest(signals: &Signals) {
    let short = PollTimeout::try_from(LINGER).unwrap_or(PollTimeout::MAX);
    let mut alone = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    if poll(&mut alone, short).is_err_and(|errno| errno != Errno::EINTR) {
        thread::sleep(LINGER);
    }
}

fn sooner(timeout: Option<Duration>, most: Duration) -> Duration {
    timeout.unwrap_or(most).min(most)
}
