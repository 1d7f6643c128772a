//! Signals: caught for ostler, given back to the child as ostler got them, and sent.

use crate::supervisor::Signal;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal as Named};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getpid, read};
use signal_hook::consts::{FORBIDDEN, SIGCHLD, SIGPIPE};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The highest signal number of Linux (signal(7), `SIGRTMAX`).
const LAST: i32 = 64;

/// Reads of one wake-up, and signals of one read: as many as there are kinds of them.
const READS: usize = 8;
const AT_ONCE: usize = 8;
/// Bytes of one, of which the number is the first four (signalfd(2)).
const ONE: usize = size_of::<libc::signalfd_siginfo>();

/// Was SIGPIPE ignored when the process began? Rust's start-up ignores it before
/// `main` runs, so this is written before that: the child is to get what ostler got.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// The C library calls what stands in this section before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_pipe;

extern "C" fn note_pipe() {
    PIPE_WAS_IGNORED.store(is_ignored(SIGPIPE), Ordering::Relaxed);
}

fn is_ignored(signal: i32) -> bool {
    disposition(signal, None) == Ok(libc::SIG_IGN)
}

/// The signal mask and dispositions that ostler was started with.
#[derive(Clone, Debug)]
pub(super) struct Given {
    mask: SigSet,
    /// Of those that ostler or Rust's start-up changes: was it ignored?
    changed: Vec<(i32, Handling)>,
}

/// What is done with a signal that a program has no handler for.
#[derive(Clone, Copy, Debug)]
enum Handling {
    Default,
    Ignored,
}

impl Given {
    /// Remembers what there is, before any of these is changed.
    fn note(changed: impl Iterator<Item = i32>) -> io::Result<Self> {
        let handling = |signal| {
            let pipe_was = signal == SIGPIPE && PIPE_WAS_IGNORED.load(Ordering::Relaxed);
            let is = signal != SIGPIPE && is_ignored(signal);
            (signal, if pipe_was || is { Handling::Ignored } else { Handling::Default })
        };
        Ok(Self { mask: SigSet::thread_get_mask()?, changed: changed.map(handling).collect() })
    }
}

impl Given {
    /// Puts everything back, in a forked child. All signals are blocked until the end, so that none meets a handler of
    /// ostler's, and one that arrived since the fork is delivered as if it had come to the program itself.
    pub(super) fn restore(&self) {
        for (signal, handling) in &self.changed {
            let action = match handling {
                Handling::Default => libc::SIG_DFL,
                Handling::Ignored => libc::SIG_IGN,
            };
            let _ = disposition(*signal, Some(action));
        }
        let _ = self.mask.thread_set_mask();
    }
}

/// All signals that can be caught, caught.
#[derive(Debug)]
pub struct Signals {
    delivery: Delivery,
    pub(super) given: Given,
}

/// How signals come.
#[derive(Debug)]
enum Delivery {
    /// They are blocked, and the kernel keeps them until they are read (signalfd(2)): the start is quicker and memory
    /// less than with handlers (docs/benchmarks.md), and no system call is interrupted.
    Queue(SignalFd),
    /// Where that is refused (a sandbox): all but ILL and FPE, which signal-hook leaves alone. Never dropped: the
    /// handlers are there to the very end, and write to its pair of sockets. With nobody to read, each write would be
    /// answered with SIGPIPE, whose handler writes again, and so on for ever.
    Handlers(ManuallyDrop<SignalDelivery<UnixStream, SignalOnly>>),
}

impl Delivery {
    fn queue() -> nix::Result<Self> {
        let mut all = SigSet::all();
        // Rust's own handler tells of a stack that has overflowed.
        all.remove(Named::SIGSEGV);
        let queue = SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // The one whose being ignored matters before it is sent: children would reap themselves (wait(2)).
        disposition(SIGCHLD, Some(libc::SIG_DFL))?;
        // What is blocked is kept even where it is ignored. This comes last, so that who fails has changed no mask.
        all.thread_set_mask()?;
        Ok(Self::Queue(queue))
    }

    fn handlers() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGCHLD])?;
        for signal in (1..=LAST).filter(|signal| *signal != SIGCHLD && !FORBIDDEN.contains(signal)) {
            // Start-up code of Rust's may have put a handler of its own on SIGBUS, which signal-hook would call too.
            let _ = disposition(signal, Some(libc::SIG_DFL));
            // The C library keeps two or three real-time signals to itself: EINVAL.
            let _ = delivery.handle().add_signal(signal);
        }
        SigSet::empty().thread_set_mask()?;
        Ok(Self::Handlers(ManuallyDrop::new(delivery)))
    }
}

impl Signals {
    /// Catches every signal that a process may catch. To be called before anything else.
    ///
    /// # Errors
    /// Neither can the kernel keep them (signalfd(2)), nor can handlers be installed.
    pub fn catch() -> io::Result<Self> {
        // Rust's start-up ignores the first, and has handlers on the last two.
        let given = Given::note([SIGPIPE, SIGCHLD, libc::SIGBUS, libc::SIGSEGV].into_iter())?;
        if let Ok(delivery) = Delivery::queue() {
            return Ok(Self { delivery, given });
        }
        let given = Given::note(1..=LAST)?;
        Ok(Self { delivery: Delivery::handlers()?, given })
    }

    /// Gives up: signals do what they did before, so that whoever waits for a long answer can break it off.
    pub fn give_back(&self) {
        self.given.restore();
    }

    /// The signals that have come since the last call. No more than there are
    /// kinds of them, so that a flood has an end: what is left wakes at once.
    pub(super) fn pending(&mut self) -> Vec<i32> {
        match &mut self.delivery {
            Delivery::Queue(queue) => {
                let (mut signals, mut bytes) = (Vec::new(), [0; AT_ONCE * ONE]);
                for _ in 0..READS {
                    // Some at once, which nix's `read_signal` does not know. Fewer than asked for are all there are (to
                    // gVisor one is, and the next one wakes again).
                    let length = read(&*queue, &mut bytes).unwrap_or(0);
                    let (read, _) = bytes.get(..length).unwrap_or_default().as_chunks::<ONE>();
                    signals.extend(read.iter().map(|[a, b, c, d, ..]| i32::from_ne_bytes([*a, *b, *c, *d])));
                    if length < bytes.len() {
                        break;
                    }
                }
                signals
            }
            Delivery::Handlers(delivery) => delivery.pending().collect(),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.delivery {
            Delivery::Queue(queue) => queue.as_fd(),
            Delivery::Handlers(delivery) => delivery.get_read().as_fd(),
        }
    }
}

/// Whom a signal goes to: kill(2) with its special values out of reach, but for PID 1, to whom -1 is the container.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    Process(i32),
    Group(i32),
    /// All processes of the PID namespace but ostler. Nobody, if that is not its PID 1.
    Everybody,
}

/// Sends a signal; `None` only asks whether there is anybody to send one to.
pub(super) fn send(to: To, signal: Option<Signal>) -> nix::Result<()> {
    let pid = match to {
        To::Process(pid) if pid > 1 => pid,
        To::Group(group) if group > 1 => -group,
        To::Everybody if getpid().as_raw() == 1 => -1,
        To::Process(_) | To::Group(_) | To::Everybody => return Err(Errno::ESRCH),
    };
    let signal = signal.map_or(0, |signal| signal.0);
    // nix's kill knows no real-time signals.
    // SAFETY: kill(2) takes two numbers and touches no memory of ours.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Reads what happens on `signal`, and changes it if `new` is given (`SIG_IGN` or `SIG_DFL`).
fn disposition(signal: i32, new: Option<libc::sighandler_t>) -> nix::Result<libc::sighandler_t> {
    let action = |handler| libc::sigaction {
        sa_sigaction: handler,
        sa_mask: *SigSet::empty().as_ref(),
        sa_flags: 0,
        sa_restorer: None,
    };
    let new = new.map(action);
    let mut old = action(libc::SIG_DFL);
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    // nix can set a disposition, but cannot only read one, and knows no real-time signals.
    // SAFETY: `new` is null or points to a whole sigaction, which lives until the end of this function, as `old` does;
    // SIG_IGN and SIG_DFL are no functions of ours that could be called.
    Errno::result(unsafe { libc::sigaction(signal, new, &raw mut old) })?;
    Ok(old.sa_sigaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_signalled_by_a_special_pid() {
        // This is not PID 1.
        let everybody = To::Everybody;
        for to in [
            everybody,
            To::Process(1),
            To::Process(0),
            To::Process(-1),
            To::Group(1),
            To::Group(0),
            To::Group(-1),
        ] {
            assert_eq!(send(to, None), Err(Errno::ESRCH), "{to:?}");
        }
    }
}
