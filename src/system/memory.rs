//! What the processes of a generation hold in memory. The cheap sum of their resident sets counts a page once for each
//! process that shares it; the exact one (PSS) has each page counted once in all, and costs the kernel a walk over them.

use crate::supervisor::{Pid, View};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// One process, by /proc/PID/stat (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    pid: i32,
    parent: i32,
    group: i32,
    state: State,
    /// Pages, an upper bound of what is its own.
    resident: u64,
}

/// Is it in the hands of the kernel (`D`)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Uninterruptible,
    Any,
}

/// Bytes, and whether all of it could be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) view: View,
}

/// What this thread has taken of a processor so far. Time on the clock would be longer where others work too.
pub(super) fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Measures the group, and all that descends from the leader. Exactly, where the cheap sum is not below `limit`.
///
/// # Errors
/// There is no /proc, or no descriptor is left.
pub(super) fn measure(leader: Pid, group: Pid, limit: u64) -> io::Result<Measured> {
    let members = members(&processes()?, leader.0, group.0);
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
    let page = page.unwrap_or(4096);
    let resident = |member: &Member| member.resident.saturating_mul(page);
    let cheap = members.iter().map(resident).fold(0, u64::saturating_add);
    if cheap < limit {
        return Ok(Measured { bytes: cheap, view: View::Clear });
    }
    let mut measured = Measured { bytes: 0, view: View::Clear };
    for member in &members {
        let bytes = match member.state {
            // The kernel would wait for its memory map, and a fault on a dead network file system never ends.
            State::Uninterruptible => resident(member),
            State::Any => match proportional(member.pid) {
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
    Ok(measured)
}

/// Can anything be measured here?
///
/// # Errors
/// There is no /proc.
pub fn try_memory() -> io::Result<()> {
    processes().map(drop)
}

fn processes() -> io::Result<Vec<Member>> {
    let entries = fs::read_dir("/proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect())
}

/// The fields behind the name, which may hold anything; no later one holds a parenthesis.
fn parse(pid: i32, stat: &str) -> Option<Member> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let (state, parent, group) = (fields.next()?, fields.next()?, fields.next()?);
    // rss is the 24th of all, and so the 19th after the process group.
    let resident = fields.nth(18)?;
    Some(Member {
        pid,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
        state: if state == "D" { State::Uninterruptible } else { State::Any },
        // The kernel's sum of counters that are updated in turn may be below 0 for a moment.
        resident: resident.parse().unwrap_or(0),
    })
}

/// Those of the group, and those below the leader or below one of them.
fn members(all: &[Member], leader: i32, group: i32) -> Vec<Member> {
    let mut belong: BTreeSet<i32> = all
        .iter()
        .filter(|member| member.pid == leader || member.group == group)
        .map(|member| member.pid)
        .collect();
    loop {
        let more: Vec<_> = all
            .iter()
            .filter(|member| belong.contains(&member.parent) && !belong.contains(&member.pid))
            .map(|member| member.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        belong.extend(more);
    }
    all.iter().copied().filter(|member| belong.contains(&member.pid)).collect()
}

/// `Pss:` of `/proc/PID/smaps_rollup`, in bytes. A zombie has none.
fn proportional(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(pss(&text).unwrap_or(0))
}

fn pss(text: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn member(pid: i32, parent: i32, group: i32) -> Member {
        Member { pid, parent, group, state: State::Any, resident: 1 }
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
    fn a_name_may_hold_anything() {
        let rest = "S 7 9 9 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 5 1000 321 18446744073709551615";
        for name in ["(sh)", "(a) b)", "(a) R 1 1 (x)"] {
            let found = parse(8, &format!("8 {name} {rest}")).unwrap();
            let expected = Member { pid: 8, parent: 7, group: 9, state: State::Any, resident: 321 };
            assert_eq!(found, expected, "{name}");
        }
        let hangs = format!("8 (sh) {}", rest.replacen('S', "D", 1));
        assert_eq!(parse(8, &hangs).unwrap().state, State::Uninterruptible);
        for text in ["", "8 (sh)", "8 (sh) S 7", "8 (sh) S x 9 9 0 -1"] {
            assert_eq!(parse(8, text), None, "{text}");
        }
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
        let measure = |limit| measure(leader, leader, limit).unwrap();
        let (cheap, exact) = (measure(u64::MAX), measure(1));
        let grandchildren = super::super::workers::children(leader);
        for pid in grandchildren.iter().map(|pid| pid.0).chain([leader.0]) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
        }
        child.wait().unwrap();
        assert!(cheap.bytes > 128 << 20, "{cheap:?}");
        assert!((64 << 20..100 << 20).contains(&exact.bytes), "{exact:?}");
        assert_eq!(exact.view, View::Clear);
    }
}
