//! The terminal, if stdin is one: whose process group is in its foreground.

use crate::supervisor::Pid;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{Pid as Group, tcgetpgrp, tcsetpgrp};
use std::io::{self, IsTerminal};

/// Process groups in the foreground.
#[derive(Debug)]
pub(super) struct Terminal {
    /// Before the child.
    before: Option<Group>,
    /// The child's that was put there last.
    given: Option<Group>,
}

impl Terminal {
    pub(super) fn new() -> Self {
        Self { before: foreground(), given: None }
    }

    /// A group goes to the foreground by itself, as a new child does.
    pub(super) fn taken_by(&mut self, group: Pid) {
        self.given = Some(Group::from_raw(group.0));
    }

    /// Brings a group to the foreground.
    pub(super) fn give_to(&mut self, group: Pid) {
        to_foreground(Group::from_raw(group.0));
        self.taken_by(group);
    }

    /// The child is gone: whoever reads from the terminal next (a shell that has
    /// started ostler) is to be able to. Somebody else may have taken it meanwhile.
    pub(super) fn take_back(&self) {
        if let (Some(before), Some(given)) = (self.before, self.given)
            && foreground() == Some(given)
        {
            to_foreground(before);
        }
    }
}

/// The process group in the foreground, if stdin is a terminal.
fn foreground() -> Option<Group> {
    let stdin = io::stdin();
    stdin.is_terminal().then(|| tcgetpgrp(&stdin).ok()).flatten()
}

/// Brings a process group to the foreground, if stdin is a terminal. Whoever is not there stops at its first read.
pub(super) fn to_foreground(group: Group) {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // In the background this is answered with SIGTTOU unless that is blocked (tcsetpgrp(3)).
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let _ = tcsetpgrp(&stdin, group);
        let _ = mask.and_then(|mask| mask.thread_set_mask());
    }
}
