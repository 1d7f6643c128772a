//! What `--doctor` looks at. Nothing is changed, no process is disturbed, and what cannot be seen is told as that.

mod cgroup;
mod cores;
mod disk;
mod init;
mod processes;
mod queues;
mod sockets;

use super::CorePattern;
use crate::doctor::{Facts, Filter, Pattern, Room, Sight, Subreaper, Text};
use crate::status::MemoryUse;
use crate::supervisor::DiskUse;
use nix::sys::prctl::get_child_subreaper;
use std::fmt::Display;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Looks at everything, and for core files below this folder.
#[must_use]
pub fn gather(folder: &Path) -> Facts {
    let listening = sockets::listening();
    let (processes, holders) = processes::look(listening.as_deref().unwrap_or_default());
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| unseen("/proc/self/cgroup", error));
    let mounted = Path::new("/sys/fs/cgroup");
    Facts {
        folder: path_text(folder),
        namespace: init::namespace(),
        subreaper: match get_child_subreaper() {
            Ok(true) => Ok(Subreaper::Yes),
            Ok(false) => Ok(Subreaper::No),
            Err(errno) => Err(errno.desc().into()),
        },
        processes,
        init: init::status(),
        pattern: pattern(),
        filter: filter(),
        memory: own.clone().and_then(|own| cgroup::memory(mounted, &own)),
        pids: own.clone().and_then(|own| cgroup::pids(mounted, &own)),
        cpu: own.and_then(|own| cgroup::cpu(mounted, &own)),
        disks: disk::disks(&[folder, Path::new("/"), Path::new("/tmp")]),
        sockets: listening.map(|listening| sockets::with_holders(listening, holders)),
        cores: cores::search(folder),
    }
}

/// How full the root file system is.
pub(super) fn disk_use() -> Option<DiskUse> {
    let root = Path::new("/");
    let Room { used, available, .. } = disk::usage(root, &path_text(root)).ok()?.bytes;
    Some(DiskUse { used, available })
}

/// What the container holds in memory, and may hold.
pub(super) fn memory_use() -> Option<MemoryUse> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let memory = cgroup::memory(Path::new("/sys/fs/cgroup"), &own).ok()?;
    Some(MemoryUse { used: memory.used.ok()?.saturating_sub(memory.droppable), limit: memory.limit })
}

fn path_text(path: &Path) -> Text {
    Text::of(path.as_os_str().as_bytes())
}

/// What could not be read, and why.
fn unseen(what: impl Display, error: impl Display) -> Text {
    let text = format!("{what}: {error}");
    // std says the number of an error too, which tells people nothing more.
    Text::of(text.split(" (os error").next().unwrap_or_default().as_bytes())
}

/// A file of /proc, without the line break at its end.
fn read(path: &str) -> Sight<String> {
    let bytes = fs::read(path).map_err(|error| unseen(path, error))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
}

fn pattern() -> Sight<(Pattern, Text)> {
    let path = "/proc/sys/kernel/core_pattern";
    let text = fs::read(path).map_err(|error| unseen(path, error))?;
    let pattern = match CorePattern::read() {
        CorePattern::File => Pattern::File,
        CorePattern::Pipe => Pattern::Pipe,
        CorePattern::Socket => Pattern::Socket,
        CorePattern::Unknown => return Err(unseen(path, "it cannot be read any more")),
    };
    Ok((pattern, Text::of(text.trim_ascii_end())))
}

fn filter() -> Sight<Filter> {
    let path = "/proc/1/coredump_filter";
    let text = read(path)?;
    u64::from_str_radix(text.trim(), 16).map(Filter).map_err(|error| unseen(path, error))
}
