//! fork and exec: a process group, the terminal, limits, held sockets, and the signals as ostler got them.

use super::listen::{FIRST_SOCKET, Held};
use super::privileges::{Privileges, be_entirely};
use super::signals::Given;
use super::terminal::to_foreground;
use crate::supervisor::{Pid, Slot, SpawnCause, SpawnError};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{ForkResult, close, dup2_stdout, execvpe, fork, getpid, pipe2, read, setpgid, write};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// A limit to set: soft, then hard.
pub type SetLimit = (Resource, u64, u64);

/// What every generation is started with.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) argv: Vec<CString>,
    pub(super) limits: Vec<SetLimit>,
    pub(super) privileges: Privileges,
    pub(super) held: Held,
    pub(super) given: Given,
}

/// What this generation gets beside it.
pub(super) struct Extras<'a> {
    /// `NAME=value`.
    pub(super) environment: Vec<CString>,
    /// Variables whose value is the child's own pid.
    pub(super) own_pid: &'static [&'static str],
    /// A descriptor that stays open under its own number.
    pub(super) inherited: Option<&'a OwnedFd>,
    /// What its stdout is, if it is not ostler's.
    pub(super) stdout: Option<&'a OwnedFd>,
    /// Where it stands at the terminal, if there is one.
    pub(super) ground: Ground,
}

/// Where a process group stands at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    Fore,
    /// Another generation has the foreground still.
    Back,
}

/// Where a child tells what kept it from executing the program.
#[derive(Debug)]
pub(super) struct Report(OwnedFd);

#[derive(Clone, Copy)]
enum Step {
    Limits = 1,
    Sockets = 2,
    User = 3,
    Exec = 4,
}

impl Recipe {
    /// Starts the program in a process group of its own. The program may still fail to execute: then the process ends
    /// and `Report` tells why.
    pub(super) fn spawn(&self, slot: Slot, extras: &Extras<'_>) -> Result<(Pid, Report), SpawnError> {
        let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .map_err(|errno| short("cannot make a pipe", errno))?;
        // A signal that the child gets before it has its dispositions back must not run a handler of ostler's.
        let mask = SigSet::all()
            .thread_swap_mask(SigmaskHow::SIG_SETMASK)
            .map_err(|errno| short("cannot block signals", errno))?;
        // SAFETY: ostler has one thread, so the child may do whatever its parent might, allocating included.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => self.run_child(slot, extras, &write_end),
            Ok(ForkResult::Parent { child }) => {
                let _ = mask.thread_set_mask();
                // The child does the same; whoever comes first, the group is there before the next signal.
                let _ = setpgid(child, child);
                Ok((Pid(child.as_raw()), Report(read_end)))
            }
            Err(errno) => {
                let _ = mask.thread_set_mask();
                Err(short("cannot fork", errno))
            }
        }
    }

    /// In the child: becomes the program, or reports why not and ends.
    fn run_child(&self, slot: Slot, extras: &Extras<'_>, report: &OwnedFd) -> ! {
        let (step, errno) = match self.become_program(slot, extras) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        let [a, b, c, d] = (errno as i32).to_ne_bytes();
        let _ = write(report, &[step as u8, a, b, c, d]);
        let (_, status) = cause(step, errno);
        std::process::exit(status)
    }

    /// In the child: everything between fork and exec.
    fn become_program(&self, slot: Slot, extras: &Extras<'_>) -> Result<Infallible, (Step, Errno)> {
        let own = getpid();
        let _ = setpgid(own, own);
        match extras.ground {
            Ground::Fore => to_foreground(own),
            Ground::Back => {}
        }
        for (resource, soft, hard) in &self.limits {
            setrlimit(*resource, *soft, *hard).map_err(|errno| (Step::Limits, errno))?;
        }
        self.hand_over(slot, extras).map_err(|errno| (Step::Sockets, errno))?;
        if let Some(account) = self.privileges.account() {
            be_entirely(account).map_err(|errno| (Step::User, errno))?;
        }
        let mut environment: Vec<&CStr> = extras.environment.iter().map(CString::as_c_str).collect();
        let own_pid = extras.own_pid.iter().filter_map(|name| CString::new(format!("{name}={own}")).ok());
        let own_pid: Vec<_> = own_pid.collect();
        environment.extend(own_pid.iter().map(CString::as_c_str));
        self.given.restore();
        let program = self.argv.first().ok_or((Step::Exec, Errno::ENOENT))?;
        execvpe(program, &self.argv, &environment).map_err(|errno| (Step::Exec, errno))
    }

    /// Puts the sockets on 3, 4, ... and lets the extra descriptor survive exec.
    fn hand_over(&self, slot: Slot, extras: &Extras<'_>) -> nix::Result<()> {
        for (number, door) in (FIRST_SOCKET..).zip(&self.held.doors) {
            let socket = door.socket(slot).ok_or(Errno::EBADF)?;
            let _ = close(number);
            // Free now, so the lowest free number at or above it is it.
            let handed = fcntl(socket, FcntlArg::F_DUPFD(number))?;
            if handed != number {
                return Err(Errno::EBADF);
            }
        }
        if let Some(stdout) = extras.stdout {
            dup2_stdout(stdout)?;
        }
        if let Some(inherited) = extras.inherited {
            fcntl(inherited, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    }

    /// What a child reported, if the program was never executed.
    pub(super) fn failure(&self, report: &Report) -> Option<SpawnError> {
        let mut bytes = [0; 5];
        // Nothing, and at once, if exec closed the other end.
        let [step, errno @ ..] = (read(&report.0, &mut bytes) == Ok(bytes.len())).then_some(bytes)?;
        let errno = Errno::from_raw(i32::from_ne_bytes(errno));
        let step = match step {
            1 => Step::Limits,
            2 => Step::Sockets,
            3 => Step::User,
            _ => Step::Exec,
        };
        let program = self.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        let what = match (step, errno) {
            (Step::Limits, _) => "cannot set its limits".to_owned(),
            (Step::Sockets, _) => "cannot hand over the held sockets".to_owned(),
            (Step::User, _) => "cannot become its user".to_owned(),
            (Step::Exec, Errno::ENOENT) => {
                let place = if program.contains('/') { "" } else { " in PATH" };
                format!("cannot find {program}{place} (or the interpreter that its first line names)")
            }
            (Step::Exec, _) => format!("cannot execute {program}"),
        };
        Some(SpawnError { cause: cause(step, errno).0, message: format!("{what}: {}", errno.desc()) })
    }
}

/// The error of something that was short in ostler itself: another try may do.
fn short(what: &str, errno: Errno) -> SpawnError {
    SpawnError { cause: SpawnCause::Resources, message: format!("{what}: {}", errno.desc()) }
}

/// What a failure means, and the exit status of the child that met it (tini's: 127 not found, 126 not executable).
fn cause(step: Step, errno: Errno) -> (SpawnCause, i32) {
    match (step, errno) {
        (
            _,
            Errno::EAGAIN
            | Errno::ENOMEM
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ETXTBSY
            | Errno::EIO
            | Errno::EINTR,
        ) => (SpawnCause::Resources, 126),
        (Step::Exec, Errno::ENOENT | Errno::ENOTDIR) => (SpawnCause::NotFound, 127),
        (Step::Exec | Step::Limits | Step::Sockets | Step::User, _) => (SpawnCause::NotExecutable, 126),
    }
}
