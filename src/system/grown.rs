//! What was written to the disk since ostler has started: looked for file
//! by file, a few at a time, so that nothing else has to wait for it.

use crate::supervisor::{DiskSearch, Grown};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata, ReadDir};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// So many are looked at in one step: a tenth of a millisecond where the kernel has
/// them in memory, and not too long where each has to be read from a slow disk.
const STEP: usize = 50;
/// So many in all: then what was found is told.
const MOST: usize = 1_000_000;
/// No deeper: each level keeps a descriptor.
const DEEPEST: usize = 32;
/// Folders that are told apart: what is in deeper ones counts as theirs.
const TOLD_APART: usize = 3;
/// So many folders and files are kept in mind.
const FOLDERS: usize = 4096;
const FILES: usize = 8;
/// So many are told.
const TOLD: usize = 5;
/// Blocks are counted in these (stat(2)).
const BLOCK: u64 = 512;

/// A search that is under way.
#[derive(Debug)]
pub(super) struct Search {
    /// In seconds since 1970.
    since: i64,
    device: u64,
    /// Where other file systems begin: to ask a dead network file system anything is to wait for ever.
    mounts: BTreeSet<PathBuf>,
    left: usize,
    levels: Vec<Level>,
    found: Found,
}

#[derive(Debug)]
struct Level {
    path: PathBuf,
    entries: ReadDir,
}

/// What is new so far.
#[derive(Debug, Default)]
struct Found {
    /// By folder, without what is counted to another one.
    folders: BTreeMap<PathBuf, u64>,
    /// The largest files, and the folder that each is counted to.
    files: Vec<(u64, PathBuf, PathBuf)>,
}

impl Search {
    /// One of the file system that `root` is on, for what has changed since `start`.
    pub(super) fn begin(root: &Path, start: SystemTime) -> Self {
        let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let device = fs::metadata(root).map_or(0, |metadata| metadata.dev());
        let entries = fs::read_dir(root).ok();
        let levels = entries.map(|entries| Level { path: root.to_owned(), entries }).into_iter().collect();
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        Self { since, device, mounts: mount_points(), left: MOST, levels, found: Found::default() }
    }

    /// Goes on with it.
    pub(super) fn step(&mut self) -> DiskSearch {
        self.left = self.left.saturating_sub(STEP);
        for _ in 0..STEP {
            let Some(level) = self.levels.last_mut().filter(|_| self.left > 0) else {
                return DiskSearch::Done(std::mem::take(&mut self.found).sum_up());
            };
            match level.entries.next() {
                // What cannot be read is not told of.
                Some(Err(_)) => {}
                None => {
                    self.levels.pop();
                }
                Some(Ok(entry)) if self.mounts.contains(&entry.path()) => {}
                // Of the link itself, where it is one.
                Some(Ok(entry)) => {
                    if let Ok(metadata) = entry.metadata() {
                        self.look_at(entry.path(), &metadata);
                    }
                }
            }
        }
        DiskSearch::GoesOn
    }

    fn look_at(&mut self, path: PathBuf, metadata: &Metadata) {
        if metadata.is_dir() {
            // Another file system has another device. On an overlay that
            // is so of folders; files may have those of its layers.
            if metadata.dev() == self.device
                && self.levels.len() < DEEPEST
                && let Ok(entries) = fs::read_dir(&path)
            {
                self.levels.push(Level { path, entries });
            }
        } else if metadata.ctime() >= self.since {
            // A file of another name is counted once for each; it is hardly ever what fills a disk.
            let depth = self.levels.len().min(TOLD_APART + 1);
            let folder = self.levels.get(depth.saturating_sub(1)).map(|level| level.path.clone());
            self.found.add(folder.unwrap_or_default(), path, metadata.blocks().saturating_mul(BLOCK));
        }
    }
}

impl Found {
    fn add(&mut self, folder: PathBuf, file: PathBuf, bytes: u64) {
        let full = self.folders.len() >= FOLDERS && !self.folders.contains_key(&folder);
        let folder =
            if full { folder.ancestors().last().map(Path::to_owned).unwrap_or_default() } else { folder };
        let sum = self.folders.entry(folder.clone()).or_default();
        *sum = sum.saturating_add(bytes);
        if self.files.len() < FILES || self.files.last().is_some_and(|(least, ..)| bytes > *least) {
            self.files.push((bytes, file, folder));
            self.files.sort_by(|(one, ..), (other, ..)| other.cmp(one));
            self.files.truncate(FILES);
        }
    }

    /// A file that holds a tenth of all is told by itself; a folder
    /// that holds less than that counts as the one above it.
    fn sum_up(mut self) -> Vec<Grown> {
        let all = self.folders.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let much = (all / 10).max(1);
        let mut told = Vec::new();
        for (bytes, file, folder) in self.files {
            if bytes >= much {
                self.folders.entry(folder).and_modify(|sum| *sum = sum.saturating_sub(bytes));
                told.push((bytes, file));
            }
        }
        let mut folders = self.folders;
        for depth in (0..=TOLD_APART).rev() {
            let is_small =
                |folder: &Path, bytes: u64| bytes < much && folder.ancestors().count() == depth + 2;
            let small = folders.extract_if(.., |folder, bytes| is_small(folder, *bytes));
            for (folder, bytes) in small.collect::<Vec<_>>() {
                let above = folder.parent().unwrap_or(&folder).to_owned();
                let sum = folders.entry(above).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        told.extend(
            folders.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(folder, bytes)| (bytes, folder)),
        );
        told.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        told.truncate(TOLD);
        let words =
            |(bytes, path): (u64, PathBuf)| Grown { path: path.to_string_lossy().into_owned(), bytes };
        told.into_iter().map(words).collect()
    }
}

/// As `/proc/self/mountinfo` tells them (`proc_pid_mountinfo(5)`): that asks none of them.
fn mount_points() -> BTreeSet<PathBuf> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(|point| PathBuf::from(OsString::from_vec(unescaped(point)))).collect()
}

/// A blank is written `\040` there, as three octal digits.
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let digits = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(byte.unwrap_or(*first));
        text = if byte.is_some() { rest.get(3..).unwrap_or_default() } else { rest };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(found: &[(&str, &str, u64)]) -> Vec<String> {
        let mut all = Found::default();
        for (folder, file, bytes) in found {
            all.add(folder.into(), Path::new(folder).join(file), *bytes);
        }
        all.sum_up().iter().map(|Grown { path, bytes }| format!("{path} {bytes}")).collect()
    }

    #[test]
    fn what_is_small_counts_as_what_is_above_it() {
        let core = ("/app", "core.7", 900);
        assert_eq!(told(&[]), [""; 0]);
        assert_eq!(told(&[("/app", "empty", 0)]), [""; 0]);
        assert_eq!(told(&[core]), ["/app/core.7 900"]);
        assert_eq!(told(&[core, ("/tmp/a/b", "x", 5), ("/var/log", "y", 4)]), ["/app/core.7 900", "/ 9"]);
        // Many small files of one folder, and folders that only together are much.
        let names: Vec<_> = (0..100).map(|number| format!("f{number}")).collect();
        let many = |folder: &'static str| names.iter().map(move |name| (folder, name.as_str(), 10));
        let mut all: Vec<_> = many("/app/log").collect();
        let shards: Vec<_> = (0..100).map(|number| format!("/tmp/cache/{number}")).collect();
        all.extend(shards.iter().map(|shard| (shard.as_str(), "x", 20)));
        assert_eq!(told(&all), ["/tmp/cache 2000", "/app/log 1000"]);
    }

    #[test]
    fn no_more_is_kept_in_mind_than_there_is_room_for() {
        let mut found = Found::default();
        for number in 0..10_000 {
            found.add(format!("/tmp/{number}").into(), format!("/tmp/{number}/x").into(), 1);
        }
        assert!(found.folders.len() <= FOLDERS + 1 && found.files.len() <= FILES);
        let sum: u64 = found.sum_up().iter().map(|grown| grown.bytes).sum();
        assert_eq!(sum, 10_000);
    }

    #[test]
    fn other_file_systems_are_known_without_asking_them() {
        let points = mount_points();
        assert!(points.contains(Path::new("/")) && points.contains(Path::new("/proc")), "{points:?}");
        assert_eq!(unescaped(br"/a\040b\134\0"), b"/a b\\\\0");
    }

    #[test]
    fn only_what_is_new_is_found_and_links_are_not_followed() {
        let root = std::env::temp_dir().join(format!("ostler-grown-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b/c/d/e")).unwrap();
        let write =
            |name: &str, kibibytes: usize| fs::write(root.join(name), vec![1; kibibytes << 10]).unwrap();
        write("a/core", 600);
        write("a/b/c/d/e/deep", 300);
        for number in 0..2 * STEP {
            fs::write(root.join(format!("a/b/{number}")), "").unwrap();
        }
        std::os::unix::fs::symlink(&root, root.join("a/loop")).unwrap();
        let search = |since| {
            let (mut search, mut steps) = (Search::begin(&root, since), 1);
            loop {
                match search.step() {
                    DiskSearch::GoesOn => steps += 1,
                    DiskSearch::Done(grown) => return (grown, steps),
                }
            }
        };
        let (grown, steps) = search(SystemTime::UNIX_EPOCH);
        let names: Vec<_> = grown.iter().map(|grown| grown.path.rsplit('/').next().unwrap()).collect();
        assert_eq!((&names[..], steps), (&["core", "deep"][..], 3), "{grown:?}");
        assert!(grown.iter().all(|grown| grown.bytes >= 300 << 10));
        let later = SystemTime::now() + Duration::from_mins(1);
        assert_eq!(search(later).0, []);
        fs::remove_dir_all(root).unwrap();
    }
}
