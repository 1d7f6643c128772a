//! A pseudo-terminal whose other end is a test: what a person at a keyboard does, and what the screen shows.

use super::{LIMIT, Setup, eventually};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{read, write};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the keys send that the terminal makes signals of (stty(1),
/// intr, quit, susp), or stops and starts its output by.
pub const CTRL_C: &str = "\x03";
pub const CTRL_BACKSLASH: &str = "\x1c";
pub const CTRL_Z: &str = "\x1a";
const CTRL_S: &str = "\x13";
const CTRL_Q: &str = "\x11";

/// Dropping it is the hang-up.
pub struct Terminal {
    master: PtyMaster,
    /// What programs get. Let go of before a hang-up, though that would be one with it too.
    pub slave: OwnedFd,
    screen: Vec<u8>,
}

impl Terminal {
    pub fn new() -> Self {
        // Nobody may inherit the master: a test beside this one, say, whose programs would keep the terminal alive.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags | OFlag::O_NONBLOCK).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = open(ptsname_r(&master).unwrap().as_str(), flags, Mode::empty()).unwrap();
        let terminal = Self { master, slave, screen: Vec::new() };
        terminal.resize(80, 24);
        terminal
    }

    /// `program` will be PID 1 of a namespace, the leader of a session whose
    /// terminal this is, as in `docker run -it`; but only its stdin is the terminal.
    pub fn setup<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Setup {
        let mut setup = Setup::new("setsid", ["--ctty", program]).stdin(Stdio::from(self.stdin()));
        setup.command.args(arguments);
        setup
    }

    fn stdin(&self) -> OwnedFd {
        self.slave.try_clone().unwrap()
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        assert_eq!(write(&self.master, keys.as_bytes()), Ok(keys.len()));
    }

    /// Stops the screen as ctrl-S does, and waits until it is: the kernel looks at keys in its own time.
    pub fn stop(&self) {
        self.press(CTRL_S);
        eventually("the screen is stopped", || !self.takes_output());
    }

    /// Lets it go on as ctrl-Q does, and waits until it does.
    pub fn go_on(&self) {
        self.press(CTRL_Q);
        eventually("the screen goes on", || self.takes_output());
    }

    /// Does it show what is typed by itself? It does until a program takes every key as it comes.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    fn takes_output(&self) -> bool {
        let mut asked = [PollFd::new(self.slave.as_fd(), PollFlags::POLLOUT)];
        poll(&mut asked, PollTimeout::ZERO) == Ok(1)
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads a whole winsize, which lives until the end of this function.
        let set = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0);
    }

    /// The group in the foreground as whoever is inside calls it: the master's side may ask without having it for its
    /// own terminal, but gets numbers of its own namespace.
    pub fn foreground(&self) -> u32 {
        let mut group: libc::pid_t = 0;
        // SAFETY: TIOCGPGRP writes a pid_t, which lives until the end of this function.
        let asked = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCGPGRP, &raw mut group) };
        assert_eq!(asked, 0);
        group.cast_unsigned()
    }

    /// All that was shown so far.
    pub fn screen(&mut self) -> String {
        let mut bytes = [0; 4096];
        // EAGAIN: nothing new. EIO: nobody has it open.
        while let Ok(length @ 1..) = read(&self.master, &mut bytes) {
            self.screen.extend(&bytes[..length]);
        }
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    pub fn wait_for(&mut self, words: &str) {
        let start = Instant::now();
        while !self.screen().contains(words) {
            assert!(start.elapsed() < LIMIT, "no {words:?} on the screen: {}", self.screen());
            sleep(Duration::from_millis(10));
        }
    }
}
