//! The workers of a gunicorn, seen from outside: its master holds a heartbeat file (`wgunicorn-*`) open for each of
//! them, and each touches its own once it runs its loop, with its app loaded.

use super::table;
use crate::supervisor::{Pid, View, Worker};
use nix::errno::Errno;
use nix::unistd::{Pid as NixPid, getpgid};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of a heartbeat file (gunicorn/workers/workertmp.py).
const NAME: &str = "wgunicorn-";
/// What the link to a deleted file ends in (`proc_pid_fd(5)`).
const DELETED: &[u8] = b" (deleted)";
/// 20.1 changes its mode at each beat, from what mkstemp(3) makes it to 1, 0, 1, ...
const TOUCHED: u32 = 1;
/// From 21 on a beat writes the time since the machine has started into it: nobody has been up since 2001.
const LONGEST_UPTIME: i64 = 1_000_000_000;
/// As far as gunicorn is looked for below a leader that is a script, and as many processes.
const PROCESSES: usize = 64;
/// Of a process's children so many are looked at.
const CHILDREN: usize = 1024;
/// So many descriptors are looked at in one look, those of all processes together:
/// whoever opens a million of them does not keep ostler from its signals.
const DESCRIPTORS: usize = 16 << 10;
/// No environment that gunicorn runs in is larger, and a process can show any part of its memory as its own (prctl(2),
/// `PR_SET_MM_MAP`).
const LONGEST_ENVIRONMENT: u64 = 1 << 20;

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
        // Processes of others that have the same numbers must not be taken for ours: these get signals.
        if table::proc_is_anothers() {
            return Ok(Found::Nothing(View::Hidden));
        }
        let (mut queue, mut next, mut view, mut room) = (vec![leader], 0, View::Clear, DESCRIPTORS);
        while let Some(pid) = queue.get(next).copied().filter(|_| next < PROCESSES) {
            match heartbeats(pid, &mut room) {
                Ok(workers) if workers.is_empty() => {}
                Ok(workers) => return Ok(Found::Gunicorn(Self { master: pid, workers })),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => view = View::Hidden,
                // It has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            match try_children(pid) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                seen => queue.extend(seen.unwrap_or_default()),
            }
            next += 1;
        }
        Ok(Found::Nothing(view))
    }

    /// The master, and those of its children that hold a heartbeat file. A master without workers is none that could be
    /// found: it is ending, and another SIGTERM could end it before it has its exit status.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let (mut all, mut room) = (vec![self.master], DESCRIPTORS);
        let workers = children(self.master).into_iter().take(CHILDREN);
        all.extend(workers.filter(|child| has_heartbeats(*child, &mut room)));
        all
    }
}

fn has_heartbeats(pid: Pid, room: &mut usize) -> bool {
    heartbeats(pid, room).is_ok_and(|workers| !workers.is_empty())
}

/// The heartbeat files that a process holds open, among so many descriptors as there
/// is `room` for. They are deleted, and /proc/PID/fd leads to them all the same.
fn heartbeats(pid: Pid, room: &mut usize) -> io::Result<Vec<Worker>> {
    let mut workers = Vec::new();
    for descriptor in fs::read_dir(format!("/proc/{}/fd", pid.0))?.take(*room) {
        *room = room.saturating_sub(1);
        workers.extend(heartbeat(&descriptor?.path())?);
    }
    Ok(workers)
}

/// Known by its name: the next file often has the inode of one that is gone. gunicorn makes it and then deletes it, and
/// between the two its name has no [`DELETED`] yet.
///
/// # Errors
/// The process is another user's: root may list its descriptors, and still not see what they are. Or nothing can be
/// said now: a worker that is not seen must not be taken for one that is not there.
fn heartbeat(descriptor: &Path) -> io::Result<Option<Worker>> {
    let Some(target) = unless_short(fs::read_link(descriptor))? else { return Ok(None) };
    let name =
        target.file_name().map(OsStr::as_encoded_bytes).filter(|name| name.starts_with(NAME.as_bytes()));
    let Some(name) = name else { return Ok(None) };
    let Some(file) = unless_short(fs::metadata(descriptor))? else { return Ok(None) };
    let beats = file.mode() & 0o777 <= TOUCHED || file.mtime() < LONGEST_UPTIME;
    let mut hasher = DefaultHasher::new();
    name.strip_suffix(DELETED).unwrap_or(name).hash(&mut hasher);
    Ok(Some(Worker { file: hasher.finish(), beats }))
}

/// What there is to see; `None`: it has just gone, or is not what is looked for.
///
/// # Errors
/// It must not be seen, or ostler is short of something: then it may be there all the same.
fn unless_short<T>(seen: io::Result<T>) -> io::Result<Option<T>> {
    let short = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EAGAIN, Errno::EINTR];
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(error) if short.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The children of a process's first thread, which is the one that
/// forks in a server (proc(5)). None, where they cannot be seen.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    try_children(pid).unwrap_or_default()
}

fn try_children(pid: Pid) -> io::Result<Vec<Pid>> {
    let text = unless_short(fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.0)))?;
    let text = text.unwrap_or_default();
    Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid).collect())
}

/// The process that a gunicorn has put in its own place (SIGUSR2), or that a dead shell leaves: a gunicorn master that
/// is an orphan of this group. It was executed, as no worker is. It has workers, or, if they are not there yet, was
/// told of the master before it by `GUNICORN_PID` (which the setproctitle package wipes out before long).
pub(super) fn heir(own: Pid, dead: Pid, group: Pid) -> Option<Pid> {
    let marked = format!("GUNICORN_PID={}", dead.0);
    let of_group = |child: &Pid| {
        getpgid(Some(NixPid::from_raw(child.0))) == Ok(NixPid::from_raw(group.0)) && *child != dead
    };
    let mut room = DESCRIPTORS;
    children(own).into_iter().filter(of_group).take(CHILDREN).find(|child| {
        was_executed(*child) && (has_heartbeats(*child, &mut room) || has_variable(*child, marked.as_bytes()))
    })
}

/// One variable after the other: all of them may be megabytes, which ostler would keep.
fn has_variable(pid: Pid, wanted: &[u8]) -> bool {
    let environment = fs::File::open(format!("/proc/{}/environ", pid.0)).into_iter();
    let mut variables = environment.flat_map(|file| BufReader::new(file.take(LONGEST_ENVIRONMENT)).split(0));
    variables.any(|variable| variable.is_ok_and(|variable| variable == wanted))
}

/// Is it more than a fork of its parent? `PF_FORKNOEXEC` in the flags of /proc/PID/stat (proc(5), the ninth field).
fn was_executed(pid: Pid) -> bool {
    const FORKED_ONLY: u32 = 0x40;
    let stat = fs::read(format!("/proc/{}/stat", pid.0)).unwrap_or_default();
    flags(&String::from_utf8_lossy(&stat)).is_some_and(|flags| flags & FORKED_ONLY == 0)
}

/// The second field, the name, may hold anything, but no later one holds a parenthesis.
pub(super) fn flags(stat: &str) -> Option<u32> {
    stat.rsplit(") ").next()?.split(' ').nth(6)?.parse().ok()
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
        let created = heartbeats(own, &mut DESCRIPTORS.clone()).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(
            heartbeats(own, &mut DESCRIPTORS.clone()).unwrap()[0].file,
            created[0].file,
            "deleted, and the same worker"
        );
        file.write_all(b"").unwrap();
        let mode = |mode| file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let beats = || {
            heartbeats(own, &mut DESCRIPTORS.clone())
                .unwrap()
                .iter()
                .map(|worker| worker.beats)
                .collect::<Vec<_>>()
        };
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
        let first = heartbeats(own, &mut DESCRIPTORS.clone()).unwrap();
        drop(file);
        assert_eq!(beats(), [false; 0]);
        let next = fs::File::create(path.with_extension("next")).unwrap();
        fs::remove_file(path.with_extension("next")).unwrap();
        assert_ne!(heartbeats(own, &mut DESCRIPTORS.clone()).unwrap()[0].file, first[0].file);
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
    #[test]
    fn who_has_too_many_descriptors_is_not_looked_at_to_the_end() {
        let own = Pid(std::process::id().cast_signed());
        let mut room = 2;
        assert_eq!((heartbeats(own, &mut room).unwrap().len(), room), (0, 0));
        // No room is left, so nothing is read of the next one either.
        assert!(!has_heartbeats(own, &mut room));
    }

    #[test]
    fn an_environment_without_an_end_is_not_read_to_it() {
        let variable = |length: usize| format!("LONG={}", "x".repeat(length));
        // Strings of more than 128 KiB cannot be passed, so there are several.
        let mut command = std::process::Command::new("cat");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(std::process::Stdio::piped());
        for number in 0..12 {
            command.env(format!("A{number:02}"), variable(100_000));
        }
        let mut child = command.env("Z", "1").spawn().unwrap();
        let pid = Pid(child.id().cast_signed());
        while fs::read_link(format!("/proc/{}/exe", pid.0))
            .is_ok_and(|exe| !exe.ends_with("cat") && !exe.ends_with("coreutils"))
        {
            std::thread::yield_now();
        }
        let has = |wanted: &str| has_variable(pid, wanted.as_bytes());
        let found = (has(&format!("A00={}", variable(100_000))), has("Z=1"));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(found, (true, false), "the first is the control, the last lies beyond the bound");
    }
}
