//! Core files in the child's folders: the newest are kept, and the others
//! deleted. inotify(7) tells when a file has been written there; nobody polls.

use super::core_file::CoreFile;
use crate::supervisor::{Core, Event, Pid};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{AccessFlags, faccessat};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Of a folder with more files than this only so many are looked at, in each look.
const FILES: usize = 10_000;

/// One file, and no other of its name later: device, inode, when it was changed.
type Identity = (u64, u64, Changed);
/// Seconds and nanoseconds.
type Changed = (i64, i64);

/// The look-out for core files.
#[derive(Debug)]
pub(super) struct Cores {
    inotify: Option<Inotify>,
    alert: Alert,
    /// Those that the log knows.
    told: BTreeSet<Identity>,
}

/// Is what inotify tells still of interest?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alert {
    Armed,
    /// A look is to come; until then it is not listened to.
    Raised,
}

/// How core files are called, and where they are (core(5), "Naming of core dump files").
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// Below the folder of the process that dies, unless it begins with a slash.
    folder: PathBuf,
    /// What is there before the first specifier.
    prefix: Vec<u8>,
}

impl Naming {
    /// `None`: they are no files, or in a folder that differs from dump to dump.
    pub(super) fn of(pattern: &[u8]) -> Option<Self> {
        let pattern = pattern.trim_ascii_end();
        if let Some(b'|' | b'@') = pattern.first() {
            return None;
        }
        let at = pattern.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = pattern.split_at_checked(at)?;
        let prefix = name.split(|byte| *byte == b'%').next().unwrap_or_default().to_vec();
        (!folder.contains(&b'%')).then(|| Self { folder: OsStr::from_bytes(folder).into(), prefix })
    }
}

impl Cores {
    /// Listens to the folder ostler was started in.
    pub(super) fn new() -> Self {
        // Without it a look follows every death that is heard of.
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        Self { inotify, alert: Alert::Armed, told: BTreeSet::new() }
    }

    /// What becomes readable when a file has been written.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().filter(|_| self.alert == Alert::Armed).map(AsFd::as_fd)
    }

    /// Has a file been written?
    pub(super) fn heard(&mut self) -> Option<Event> {
        if self.alert == Alert::Raised || !self.drain() {
            return None;
        }
        self.alert = Alert::Raised;
        Some(Event::FolderWritten)
    }

    fn drain(&self) -> bool {
        self.inotify
            .as_ref()
            .is_some_and(|inotify| inotify.read_events().is_ok_and(|events| !events.is_empty()))
    }

    /// Deletes all core files but the newest, in each folder of the child's. `leaders` may have changed theirs.
    pub(super) fn tidy(&mut self, keep: NonZeroUsize, leaders: impl Iterator<Item = Pid>) -> Option<Event> {
        // Before the look: what is written from here on raises it again.
        self.drain();
        self.alert = Alert::Armed;
        let naming = match fs::read("/proc/sys/kernel/core_pattern") {
            Ok(pattern) => Naming::of(&pattern)?,
            Err(_) => Naming { folder: PathBuf::new(), prefix: b"core".to_vec() },
        };
        let of_leaders = leaders.filter_map(|pid| fs::read_link(format!("/proc/{}/cwd", pid.0)).ok());
        let folders: BTreeSet<PathBuf> = std::env::current_dir()
            .ok()
            .into_iter()
            .chain(of_leaders)
            .map(|folder| folder.join(&naming.folder))
            .collect();
        let (mut left, mut deleted, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
        let mut there = BTreeSet::new();
        for folder in folders {
            if let Some(inotify) = &self.inotify {
                // Again each time: it may be another folder of that name by now.
                let written =
                    AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
                let _ = inotify.add_watch(&folder, written);
            }
            for (number, (path, identity, file)) in
                newest_first(&folder, &naming.prefix).into_iter().enumerate()
            {
                let core = || describe(&path, &file);
                if number < keep.get() {
                    there.insert(identity);
                    left.extend((!self.told.contains(&identity)).then(core));
                } else if let Err(error) = fs::remove_file(&path) {
                    there.insert(identity);
                    stuck.extend((!self.told.contains(&identity)).then(|| (core(), error.to_string())));
                } else {
                    deleted.push(core());
                }
            }
        }
        self.told = there;
        let is_news = !(left.is_empty() && deleted.is_empty() && stuck.is_empty());
        is_news.then_some(Event::CoresTidied { left, deleted, stuck })
    }
}

/// Why no core file will be left in the folder that ostler was started in, if it is to be there.
#[must_use]
pub fn no_core_can_be_left() -> Option<String> {
    let pattern = fs::read("/proc/sys/kernel/core_pattern").ok()?;
    let folder = std::env::current_dir().ok()?.join(Naming::of(&pattern)?.folder);
    let mode = AccessFlags::W_OK | AccessFlags::X_OK;
    let errno = faccessat(AT_FDCWD, &folder, mode, AtFlags::AT_EACCESS).err()?;
    Some(format!(
        "OSTLER_CORES: no core file can be left in {}: {}; write a WORKDIR in which the child's user may write",
        folder.display(),
        errno.desc()
    ))
}

fn describe(path: &Path, file: &CoreFile) -> Core {
    let program =
        file.program.as_ref().map(|dumped| String::from_utf8_lossy(&dumped.arguments).trim_end().to_owned());
    let (bytes, allocated) = (file.length, file.allocated);
    Core { file: path.display().to_string(), bytes, allocated, program: program.unwrap_or_default() }
}

/// The core files of a folder, whatever else there is.
fn newest_first(folder: &Path, prefix: &[u8]) -> Vec<(PathBuf, Identity, CoreFile)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = BTreeMap::new();
    for entry in entries.flatten().take(FILES) {
        if !entry.file_name().as_bytes().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        if let (Ok(Some(file)), Ok(metadata)) = (CoreFile::read(&path), fs::symlink_metadata(&path)) {
            let changed = (metadata.mtime(), metadata.mtime_nsec());
            let identity = (metadata.dev(), metadata.ino(), changed);
            found.insert((Reverse(changed), path), (identity, file));
        }
    }
    found.into_iter().map(|((_, path), (identity, file))| (path, identity, file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_core_files_are_and_how_they_are_called() {
        let naming =
            |folder: &str, prefix: &str| Some(Naming { folder: folder.into(), prefix: prefix.into() });
        for (pattern, expected) in [
            ("core\n", naming("", "core")),
            ("core.%p\n", naming("", "core.")),
            ("%e.core", naming("", "")),
            ("/var/cores/core.%e.%p\n", naming("/var/cores/", "core.")),
            ("dumps/c-%t", naming("dumps/", "c-")),
            ("/var/%u/core", None),
            ("|/usr/lib/systemd/systemd-coredump %P\n", None),
            ("@/run/cores.sock\n", None),
            ("", naming("", "")),
        ] {
            assert_eq!(Naming::of(pattern.as_bytes()), expected, "{pattern}");
        }
    }
}
