//! The workers of a gunicorn, seen from outside: its master holds a heartbeat file (`wgunicorn-*`) open for each of them,
//! and each touches its own once it runs its loop, with its app loaded.

use crate::supervisor::{Pid, View, Worker};
use nix::unistd::{Pid as NixPid, getpgid};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of a heartbeat file (gunicorn/workers/workertmp.py).
const NAME: &str = "wgunicorn-";
/// 20.1 changes its mode at each beat, from what mkstemp(3) makes it to 1, 0, 1, ...
const TOUCHED: u32 = 1;
/// From 21 on a beat writes the time since the machine has started into it: nobody has been up since 2001.
const LONGEST_UPTIME: i64 = 1_000_000_000;
/// As far as gunicorn is looked for below a leader that is a script, and as many processes.
const PROCESSES: usize = 64;

/// A gunicorn below a leader.
#[derive(Debug)]
pub(super) struct Gunicorn {
    master: Pid,
    pub(super) workers: Vec<Worker>,
}

/// What a look for a gunicorn found.
#[derive(Debug)]
pub(super) enum Found {
    Gunicorn(Gunicorn),
    /// None, as far as ostler may see.
    Nothing(View),
}

impl Gunicorn {
    /// Looks for it: the first process, from the leader on, that holds heartbeat files.
    ///
    /// # Errors
    /// Nothing can be said now: no descriptors are left, say.
    pub(super) fn find(leader: Pid) -> io::Result<Found> {
        let (mut queue, mut next, mut view) = (vec![leader], 0, View::Clear);
        while let Some(pid) = queue.get(next).copied().filter(|_| next < PROCESSES) {
            match heartbeats(pid) {
                Ok(workers) if workers.is_empty() => {}
                Ok(workers) => return Ok(Found::Gunicorn(Self { master: pid, workers })),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => view = View::Hidden,
                // It has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            queue.extend(children(pid));
            next += 1;
        }
        Ok(Found::Nothing(view))
    }

    /// The master, and those of its children that hold a heartbeat file. A master without workers is none that could be
    /// found: it is ending, and another SIGTERM could end it before it has its exit status.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let mut all = vec![self.master];
        all.extend(children(self.master).into_iter().filter(|child| has_heartbeats(*child)));
        all
    }
}

fn has_heartbeats(pid: Pid) -> bool {
    heartbeats(pid).is_ok_and(|workers| !workers.is_empty())
}

/// The heartbeat files that a process holds open. They are deleted, and /proc/PID/fd leads to them all the same.
fn heartbeats(pid: Pid) -> io::Result<Vec<Worker>> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", pid.0))?;
    let paths = descriptors.flatten().map(|entry| entry.path());
    paths.filter_map(|path| heartbeat(&path).transpose()).collect()
}

/// Known by its name: the next file often has the inode of one that is gone.
///
/// # Errors
/// The process is another user's: root may list its descriptors, and still not see what they are.
fn heartbeat(descriptor: &Path) -> io::Result<Option<Worker>> {
    let target = match fs::read_link(descriptor) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => return Ok(None),
        Ok(target) => target,
    };
    let name = target.file_name().filter(|name| name.as_encoded_bytes().starts_with(NAME.as_bytes()));
    let (Some(name), Ok(file)) = (name, fs::metadata(descriptor)) else { return Ok(None) };
    let beats = file.mode() & 0o777 <= TOUCHED || file.mtime() < LONGEST_UPTIME;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Ok(Some(Worker { file: hasher.finish(), beats }))
}

/// The children of a process's first thread, which is the one that forks in a server (proc(5)).
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.0)).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid).collect()
}

/// The process that a gunicorn has put in its own place (SIGUSR2), or that a dead shell leaves: a gunicorn master that is an
/// orphan of this group. It was executed, as no worker is. It has workers, or, if they are not there yet, was told of
/// the master before it by `GUNICORN_PID` (which the setproctitle package wipes out before long).
pub(super) fn heir(own: Pid, dead: Pid, group: Pid) -> Option<Pid> {
    let marked = format!("GUNICORN_PID={}", dead.0);
    children(own).into_iter().filter(|child| *child != dead).find(|child| {
        let of_group = getpgid(Some(NixPid::from_raw(child.0))) == Ok(NixPid::from_raw(group.0));
        let told = || {
            let environment = fs::read(format!("/proc/{}/environ", child.0)).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes())
        };
        of_group && was_executed(*child) && (has_heartbeats(*child) || told())
    })
}

/// Is it more than a fork of its parent? `PF_FORKNOEXEC` in the flags of /proc/PID/stat (proc(5), the ninth field).
fn was_executed(pid: Pid) -> bool {
    const FORKED_ONLY: u32 = 0x40;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.0)).unwrap_or_default();
    // The second field, the name, may hold anything, but no later one holds a parenthesis.
    let flags = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & FORKED_ONLY == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_heartbeat_is_seen_through_proc() {
        let own = Pid(std::process::id().cast_signed());
        let path = std::env::temp_dir().join(format!("{NAME}test-{}", own.0));
        let mut file = fs::File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file.write_all(b"").unwrap();
        let mode = |mode| file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let beats = || heartbeats(own).unwrap().iter().map(|worker| worker.beats).collect::<Vec<_>>();
        // As mkstemp(3) makes it, whatever the umask.
        for untouched in [0o600, 0o400, 0o200] {
            mode(untouched);
            assert_eq!(beats(), [false]);
        }
        for touched in [0, 1] {
            mode(touched);
            assert_eq!(beats(), [true]);
        }
        mode(0o600);
        let uptime = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(1000);
        file.set_modified(uptime).unwrap();
        assert_eq!(beats(), [true]);
        assert!(matches!(Gunicorn::find(own), Ok(Found::Gunicorn(found)) if found.master == own));
        // The next one is another worker, although it may well have the first one's inode.
        let first = heartbeats(own).unwrap();
        drop(file);
        assert_eq!(beats(), [false; 0]);
        let next = fs::File::create(path.with_extension("next")).unwrap();
        fs::remove_file(path.with_extension("next")).unwrap();
        assert_ne!(heartbeats(own).unwrap()[0].file, first[0].file);
        drop(next);
    }

    #[test]
    fn who_is_gone_is_no_gunicorn() {
        assert!(matches!(Gunicorn::find(Pid(i32::MAX)), Ok(Found::Nothing(View::Clear))));
    }

    #[test]
    fn only_what_was_executed_is_a_master() {
        let own = Pid(std::process::id().cast_signed());
        assert!(was_executed(own));
        let shell = "(while :; do :; done) & cat /proc/$!/stat; kill $!";
        let forked = std::process::Command::new("sh").args(["-c", shell]).output().unwrap();
        let stat = String::from_utf8(forked.stdout).unwrap();
        let flags: u32 = stat.rsplit(") ").next().unwrap().split(' ').nth(6).unwrap().parse().unwrap();
        assert_eq!(flags & 0x40, 0x40, "the control: a fork of a shell");
    }
}
