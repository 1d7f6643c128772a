//! Pid files: a program that puts itself into the background writes there who its server is.

use super::plain::read_plain;
use crate::supervisor::Pid;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::path::Path;

/// No number is longer.
const LONGEST: u64 = 64;

/// Whom a pid file names, if that is a child of ours, alive, and not `dead`: it was put there by someone who is gone.
pub(super) fn named_by(file: &Path, dead: Pid) -> Option<Pid> {
    let pid = number(str::from_utf8(&read_plain(file, LONGEST).ok()?).ok()?)?;
    (pid != dead && is_living_child(pid)).then_some(pid)
}

/// As the kernel itself knows it: a /proc may be another namespace's, in which the number is another process's.
fn is_living_child(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(nix::unistd::Pid::from_raw(pid.0)), flags) == Ok(WaitStatus::StillAlive)
}

/// The first word, whatever follows.
pub(super) fn number(text: &str) -> Option<Pid> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn a_pid_file_is_believed_only_of_a_child() {
        let folder = std::env::temp_dir().join(format!("ostler-pidfile-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pid");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid(child.id().cast_signed());
        let named = |text: &str| {
            fs::write(&file, text).unwrap();
            named_by(&file, Pid(1))
        };
        assert_eq!(named_by(&file, Pid(1)), None, "there is no file");
        assert_eq!(named(&format!("{}\n", pid.0)), Some(pid));
        assert_eq!(named(&format!("  {} more\n", pid.0)), Some(pid));
        for text in ["", "0", "1\n", "-1", "x", "99999999999999999999", &"1".repeat(1000)] {
            assert_eq!(named(text), None, "{text}");
        }
        assert_eq!(named_by(&file, pid), None);
        child.kill().unwrap();
        while is_living_child(pid) {
            std::thread::yield_now();
        }
        assert_eq!(named(&pid.0.to_string()), None, "a zombie leads nobody");
        child.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
