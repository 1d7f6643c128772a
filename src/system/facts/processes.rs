//! Every process that can be seen: what it does, its limits, its open files and the sockets among them (proc(5)).

use super::sockets::Listening;
use super::{path_text, read, unseen};
use crate::doctor::{Files, Holder, Kind, Life, Process, Sight, Text};
use crate::system::table::{self, Member};
use nix::unistd::getpid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::Duration;

/// `PF_KTHREAD` in the flags of /proc/PID/stat (proc(5), the ninth field).
const KERNEL_THREAD: u32 = 0x0020_0000;
/// Everybody is a zombie for a moment at the end, and in the
/// kernel's hands now and then: who is to be told of is so twice.
const AGAIN: Duration = Duration::from_millis(300);
/// What the link to a socket begins with.
const SOCKET: &[u8] = b"socket:[";

/// All processes, and who holds which of these sockets, by their inodes.
pub(super) fn look(listening: &[Listening]) -> (Sight<Vec<Process>>, BTreeMap<u64, Vec<Holder>>) {
    let mut holders: BTreeMap<u64, Vec<Holder>> = BTreeMap::new();
    let members = match table::processes() {
        Ok(members) => members,
        Err(error) => return (Err(unseen("/proc", error)), holders),
    };
    let wanted: BTreeSet<u64> = listening.iter().map(|socket| socket.inode).collect();
    let program = identity("self");
    let mut processes = Vec::new();
    for Member { pid, parent, name, .. } in members {
        let Some((life, flags)) = life(pid) else { continue };
        let name = Text::of(name.as_bytes());
        let limits = read(&format!("/proc/{pid}/limits"));
        let files = descriptors(pid, &wanted).map(|(open, sockets)| {
            for inode in sockets {
                holders.entry(inode).or_default().push(Holder { pid, name: name.clone() });
            }
            open
        });
        let folder = format!("/proc/{pid}/cwd");
        processes.push(Process {
            pid,
            parent,
            kind: kind(pid, flags, &name, program),
            name,
            life,
            core: limit(&limits, "Max core file size"),
            files: files
                .and_then(|open| limit(&limits, "Max open files").map(|(limit, _)| Files { open, limit })),
            folder: fs::read_link(&folder)
                .map(|path| path_text(&path))
                .map_err(|error| unseen(folder, error)),
        });
    }
    processes.sort_by_key(|process| process.pid);
    look_again(&mut processes);
    (Ok(processes), holders)
}

/// Those whose state passes by itself are only what they seem if they still are.
fn look_again(processes: &mut Vec<Process>) {
    let passing = |life: Life| matches!(life, Life::Zombie | Life::Uninterruptible);
    if !processes.iter().any(|process| passing(process.life)) {
        return;
    }
    sleep(AGAIN);
    processes.retain_mut(|process| {
        if !passing(process.life) {
            return true;
        }
        let now = life(process.pid).map(|(life, _)| life);
        match now {
            Some(now) if now == process.life => {}
            Some(_) => process.life = Life::Running,
            None => {}
        }
        now.is_some()
    });
}

/// The third and the ninth field of /proc/PID/stat.
fn life(pid: i32) -> Option<(Life, u32)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(&String::from_utf8_lossy(&stat))
}

/// The second field, the name, may hold anything, but no later one holds a parenthesis.
fn parse(stat: &str) -> Option<(Life, u32)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let life = match fields.next()? {
        "T" | "t" => Life::Stopped,
        "Z" | "X" => Life::Zombie,
        "D" => Life::Uninterruptible,
        _ => Life::Running,
    };
    Some((life, fields.nth(5)?.parse().ok()?))
}

/// Device and inode of the program that a process runs.
fn identity(pid: &str) -> Option<(u64, u64)> {
    let program = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((program.dev(), program.ino()))
}

/// ostler is known by its file, or by its name where another user's file cannot be seen.
fn kind(pid: i32, flags: u32, name: &Text, program: Option<(u64, u64)>) -> Kind {
    let same = match identity(&pid.to_string()) {
        Some(other) => Some(other) == program || name.as_str() == "ostler",
        None => name.as_str() == "ostler",
    };
    match (pid == getpid().as_raw(), flags & KERNEL_THREAD == 0, same) {
        (true, _, _) => Kind::Own,
        (false, false, _) => Kind::Kernel,
        (false, true, true) => Kind::Ostler,
        (false, true, false) => Kind::Other,
    }
}

/// The soft and the hard one of this name.
fn limit(limits: &Sight<String>, name: &str) -> Sight<(u64, u64)> {
    let text = limits.as_ref().map_err(Clone::clone)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut values = line.unwrap_or_default().split_whitespace().map(|value| match value {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    let mut next = || values.next().flatten();
    next().zip(next()).ok_or_else(|| format!("/proc/PID/limits has no \"{name}\"").as_str().into())
}

/// How many there are, and which of these sockets are among them.
fn descriptors(pid: i32, wanted: &BTreeSet<u64>) -> Sight<(u64, BTreeSet<u64>)> {
    let path = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&path).map_err(|error| unseen(&path, error))?;
    let (mut open, mut sockets) = (0, BTreeSet::new());
    for entry in entries.flatten() {
        open += 1;
        if !wanted.is_empty()
            && let Ok(target) = fs::read_link(entry.path())
        {
            sockets.extend(inode(target.as_os_str().as_bytes()).filter(|inode| wanted.contains(inode)));
        }
    }
    Ok((open, sockets))
}

fn inode(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(SOCKET)?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let stat = |state: &str| format!("7 (a) Z (b) {state} 1 7 7 0 -1 4194304 93 0\n");
        for (state, life) in [
            ("R", Life::Running),
            ("S", Life::Running),
            ("T", Life::Stopped),
            ("t", Life::Stopped),
            ("Z", Life::Zombie),
            ("D", Life::Uninterruptible),
        ] {
            assert_eq!(parse(&stat(state)), Some((life, 0x40_0000)), "{state}");
        }
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn limits_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max core file size        0                    unlimited            bytes     \n\
                    Max open files            1024                 1048576              files     \n";
        let limits = Ok(text.to_owned());
        assert_eq!(limit(&limits, "Max core file size"), Ok((0, u64::MAX)));
        assert_eq!(limit(&limits, "Max open files"), Ok((1024, 1_048_576)));
        assert!(limit(&limits, "Max nothing").is_err());
        assert!(limit(&Err("hidden".into()), "Max open files").is_err());
    }

    #[test]
    fn this_very_process_is_seen() {
        let (processes, _) = look(&[]);
        let processes = processes.unwrap();
        let own = processes.iter().find(|process| process.kind == Kind::Own).unwrap();
        assert_eq!(own.pid, getpid().as_raw());
        assert!(own.files.as_ref().unwrap().open >= 3 && own.core.is_ok() && own.folder.is_ok());
    }
}
