//! What the processes of a generation hold in memory. The cheap sum of their
//! resident sets counts a page once for each process that shares it; the exact one
//! (PSS) has each page counted once in all, and costs the kernel a walk over them.

use super::table::{Member, State, family, processes};
use crate::supervisor::{Pid, View};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid as NixPid, SysconfVar, getpgid, sysconf};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Bytes, and whether all of it could be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    /// What the cheap sum has more, if this is the exact one.
    pub(super) shared: Option<u64>,
    pub(super) view: View,
}

/// What this thread has taken of a processor so far. Time on the clock would be longer where others work too.
pub(super) fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Measures the group, and all that descends from the leader. Exactly, where the
/// cheap sum, less what is known to be counted too often in it, is not below `limit`.
///
/// # Errors
/// There is no /proc, or no descriptor is left.
pub(super) fn measure(leader: Pid, group: Pid, limit: u64, shared: u64) -> io::Result<Measured> {
    let all = processes()?;
    let members = members(&all, leader.0, group.0);
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
    let page = page.unwrap_or(4096);
    let resident = |member: &Member| member.resident.saturating_mul(page);
    let cheap = members.iter().copied().map(resident).fold(0, u64::saturating_add);
    let likely = cheap.saturating_sub(shared);
    if likely < limit {
        return Ok(Measured { bytes: likely, shared: None, view: View::Clear });
    }
    let mut measured = Measured { bytes: 0, shared: None, view: View::Clear };
    for member in &members {
        let bytes = match member.state {
            // The kernel would wait for its memory map, and a fault on a dead network file system never ends.
            State::Uninterruptible => resident(member),
            State::Any | State::Dead => match proportional(member.pid) {
                Ok(bytes) => bytes,
                // It has just gone.
                Err(_) if !Path::new(&format!("/proc/{}", member.pid)).exists() => 0,
                // Another user's; or there is no such file: a kernel before 4.14, gVisor.
                Err(_) => {
                    measured.view = View::Hidden;
                    resident(member)
                }
            },
        };
        measured.bytes = measured.bytes.saturating_add(bytes);
    }
    measured.shared = Some(cheap.saturating_sub(measured.bytes));
    Ok(measured)
}

/// What a leader, its group and all that descends from them hold, as exactly as it can be seen.
#[must_use]
pub fn memory_of(leader: Pid) -> Option<u64> {
    let group = getpgid(Some(NixPid::from_raw(leader.0))).map_or(leader, |group| Pid(group.as_raw()));
    measure(leader, group, 0, 0).ok().map(|measured| measured.bytes)
}

/// Can anything be measured here?
///
/// # Errors
/// There is no /proc.
pub fn try_memory() -> io::Result<()> {
    processes().map(drop)
}

/// Those of the group, and those below the leader or below one of them.
fn members(all: &[Member], leader: i32, group: i32) -> Vec<&Member> {
    family(all, |member| member.pid == leader || member.group == group)
}

/// `Pss:` of `/proc/PID/smaps_rollup`, in bytes. A zombie has none.
fn proportional(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(pss(&text).unwrap_or(0))
}

pub(super) fn pss(text: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn member(pid: i32, parent: i32, group: i32) -> Member {
        Member { pid, parent, group, state: State::Any, resident: 1, name: String::new() }
    }

    #[test]
    fn who_belongs_to_a_generation() {
        let all = [
            member(1, 0, 1),
            member(10, 1, 10),
            // Workers, and what one of them has started in a group of its own, in the order of pids.
            member(11, 10, 10),
            member(12, 13, 12),
            member(13, 11, 13),
            // Left behind by one that is gone.
            member(14, 1, 10),
            // Another generation, and what is nobody's.
            member(20, 1, 20),
            member(21, 20, 20),
            member(30, 1, 30),
        ];
        let pids = |leader, group| -> Vec<_> {
            members(&all, leader, group).iter().map(|member| member.pid).collect()
        };
        assert_eq!(pids(10, 10), [10, 11, 12, 13, 14]);
        assert_eq!(pids(20, 20), [20, 21]);
        // A leader that was followed has the group of the first one.
        assert_eq!(pids(14, 10), [10, 11, 12, 13, 14]);
        assert_eq!(pids(99, 99), [0; 0]);
    }

    #[test]
    fn pss_is_in_kib() {
        let text =
            "55d-7ff ---p 00000000 00:00 0   [rollup]\nRss: 900 kB\nPss:      123 kB\nPss_Dirty: 4 kB\n";
        assert_eq!(pss(text), Some(123 << 10));
        for text in ["", "Pss:\n", "Pss: many kB\n", "Pss: 99999999999999999999 kB\n"] {
            assert_eq!(pss(text), None, "{text}");
        }
    }

    #[test]
    fn shared_pages_are_counted_once() {
        // 64 MiB that a fork shares with its parent.
        let script = "import os, sys, time\nx = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n\
                      os.fork()\nprint(flush=True)\ntime.sleep(60)";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        // Both are there.
        let _ = (lines.next(), lines.next());
        let leader = Pid(child.id().cast_signed());
        let measure = |limit, shared| measure(leader, leader, limit, shared).unwrap();
        let (cheap, exact) = (measure(u64::MAX, 0), measure(1, 0));
        let likely = measure(u64::MAX, exact.shared.unwrap());
        let grandchildren = super::super::workers::children(leader);
        for pid in grandchildren.iter().map(|pid| pid.0).chain([leader.0]) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
        }
        child.wait().unwrap();
        assert!(cheap.bytes > 128 << 20, "{cheap:?}");
        assert!((64 << 20..100 << 20).contains(&exact.bytes), "{exact:?}");
        assert_eq!(exact.view, View::Clear);
        assert_eq!((cheap.shared, likely.shared), (None, None));
        assert!(likely.bytes.abs_diff(exact.bytes) < 10 << 20, "{likely:?} {exact:?}");
    }
}
