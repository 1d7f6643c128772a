//! Core files below a folder: a bounded search that follows no link and does not leave the file system.

use super::{path_text, unseen};
use crate::doctor::{Core, Cores, Reach, Sight, Text};
use crate::system::core_file::{CoreFile, Dumped};
use humantime::format_rfc3339_seconds;
use nix::dir::{Dir, Entry, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How far is looked.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Files and folders.
    entries: u64,
    /// Folders within folders.
    depth: u64,
    /// Bytes of paths of folders that are still to be entered.
    paths: usize,
    /// So many of the largest are told one by one.
    told: usize,
}

const BOUNDS: Bounds = Bounds { entries: 200_000, depth: 40, paths: 16 << 20, told: 100 };
/// The end of the year 9999, in seconds: what is later is no time that could be written.
const LAST: u64 = 253_402_300_799;

/// A folder that is still to be entered: what it was when it was seen, so that nothing else is entered in its place.
struct Ahead {
    path: PathBuf,
    identity: (u64, u64),
    depth: u64,
}

/// Looks below `folder`, what is near first.
pub(super) fn search(folder: &Path) -> Sight<Cores> {
    search_within(folder, BOUNDS)
}

fn search_within(folder: &Path, bounds: Bounds) -> Sight<Cores> {
    let top = open(folder).map_err(|errno| unseen(path_text(folder), errno.desc()))?;
    let identity = fstat(&top).map(|stat| (stat.st_dev, stat.st_ino));
    let identity = identity.map_err(|errno| unseen(path_text(folder), errno.desc()))?;
    let mut ahead = VecDeque::from([Ahead { path: folder.to_owned(), identity, depth: 0 }]);
    let mut paths = 0;
    let mut cores = Cores::default();
    while let Some(next) = ahead.pop_front() {
        paths -= next.path.as_os_str().len().min(paths);
        let entered = open(&next.path).ok();
        let same = |dir: &Dir| fstat(dir).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == next.identity);
        let Some(mut dir) = entered.filter(same) else {
            cores.unreadable += 1;
            continue;
        };
        // Its descriptor is needed beside the list of what is in it, and names are at most 255 bytes long.
        let left = usize::try_from(bounds.entries - cores.entries).unwrap_or(usize::MAX);
        let names = dir.iter().map_while(Result::ok).filter(|entry| !is_dots(entry));
        let names: Vec<_> = names.take(left.saturating_add(1)).collect();
        for entry in names {
            if cores.entries >= bounds.entries {
                cores.reach = Reach::Entries(bounds.entries);
                return Ok(cores);
            }
            cores.entries += 1;
            let path = || next.path.join(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
            match look(&dir, &entry, identity.0) {
                Found::Core(core) => add(&mut cores, core, &path(), bounds.told),
                Found::Folder(identity) if next.depth < bounds.depth => {
                    let path = path();
                    paths += path.as_os_str().len();
                    if paths > bounds.paths {
                        cores.reach = Reach::Entries(cores.entries);
                        return Ok(cores);
                    }
                    ahead.push_back(Ahead { path, identity, depth: next.depth + 1 });
                }
                Found::Folder(_) => cores.reach = Reach::Depth(bounds.depth),
                Found::Unreadable => cores.unreadable += 1,
                Found::Other => {}
            }
        }
    }
    Ok(cores)
}

fn open(folder: &Path) -> nix::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Dir::open(folder, flags, Mode::empty())
}

fn is_dots(entry: &Entry) -> bool {
    matches!(entry.file_name().to_bytes(), b"." | b"..")
}

enum Found {
    Core(CoreFile),
    Folder((u64, u64)),
    Unreadable,
    Other,
}

/// What an entry is. Only regular files are opened: a FIFO would wait, a device might do anything.
fn look(dir: &Dir, entry: &Entry, device: u64) -> Found {
    match entry.file_type() {
        None | Some(Type::File | Type::Directory) => {}
        Some(Type::Fifo | Type::CharacterDevice | Type::BlockDevice | Type::Symlink | Type::Socket) => {
            return Found::Other;
        }
    }
    let stat = match fstatat(dir, entry.file_name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        // It is gone by now.
        Err(Errno::ENOENT) => return Found::Other,
        Err(_) => return Found::Unreadable,
    };
    match kind(&stat) {
        // An overlay tells of files by the devices of its layers; folders are always its own.
        SFlag::S_IFDIR if stat.st_dev == device => Found::Folder((stat.st_dev, stat.st_ino)),
        SFlag::S_IFREG if stat.st_size > 0 => read(dir, entry),
        _ => Found::Other,
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn read(dir: &Dir, entry: &Entry) -> Found {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match openat(dir.as_fd(), entry.file_name(), flags, Mode::empty()).map(File::from) {
        // Something else by now: a link, or nothing.
        Err(Errno::ENOENT | Errno::ELOOP) => Found::Other,
        Err(_) => Found::Unreadable,
        Ok(file) => match CoreFile::of(&file) {
            Ok(Some(core)) => Found::Core(core),
            Ok(None) => Found::Other,
            Err(_) => Found::Unreadable,
        },
    }
}

fn add(cores: &mut Cores, file: CoreFile, path: &Path, told: usize) {
    let CoreFile { length, allocated, modified, program } = file;
    cores.count += 1;
    cores.length = cores.length.saturating_add(length);
    cores.allocated = cores.allocated.saturating_add(allocated);
    let place = cores.largest.partition_point(|core| core.allocated >= allocated);
    if place < told {
        let named = |Dumped { pid, name, arguments }| (pid, Text::of(&name), Text::of(&arguments));
        let core = Core {
            path: path_text(path),
            length,
            allocated,
            time: time(modified),
            program: program.map(named),
        };
        cores.largest.insert(place, core);
        cores.largest.truncate(told);
    }
}

/// Anybody can give a file any time; humantime takes only those of four digits.
fn time(modified: i64) -> String {
    match u64::try_from(modified) {
        Ok(since) if since <= LAST => {
            format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(since)).to_string()
        }
        Ok(_) => "after 9999".into(),
        Err(_) => "before 1970".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ostler-cores-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path.canonicalize().unwrap())
        }

        /// A header alone is one, of nobody.
        fn core(&self, name: &str, length: u64) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
            header.resize(length.try_into().unwrap(), 0);
            header[16] = 4;
            fs::write(path, header).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn those_within_the_bounds_are_found_and_the_bound_is_told() {
        let folder = Folder::new("bounds");
        folder.core("near", 64);
        folder.core("a/b/c/far", 100_000);
        fs::write(folder.0.join("core"), "a text").unwrap();
        symlink(&folder.0, folder.0.join("a/loop")).unwrap();
        symlink(folder.0.join("near"), folder.0.join("a/core.1")).unwrap();
        let all = search_within(&folder.0, BOUNDS).unwrap();
        assert_eq!((all.count, all.reach, all.unreadable, all.entries), (2, Reach::All, 0, 8));
        assert_eq!(all.length, 100_064);
        assert_eq!(all.largest[0].path, path_text(&folder.0.join("a/b/c/far")));
        assert_eq!(all.largest[0].program, None);

        for (bounds, count, reach) in [
            (Bounds { depth: 2, ..BOUNDS }, 1, Reach::Depth(2)),
            (Bounds { depth: 3, ..BOUNDS }, 2, Reach::All),
            (Bounds { entries: 7, ..BOUNDS }, 1, Reach::Entries(7)),
            (Bounds { entries: 8, ..BOUNDS }, 2, Reach::All),
            (Bounds { told: 1, ..BOUNDS }, 2, Reach::All),
        ] {
            let cores = search_within(&folder.0, bounds).unwrap();
            assert_eq!((cores.count, cores.reach), (count, reach), "{bounds:?}");
            assert!(cores.largest.len() <= bounds.told);
        }
        let narrow = search_within(&folder.0, Bounds { paths: 1, ..BOUNDS }).unwrap();
        assert!(matches!(narrow.reach, Reach::Entries(_)), "{narrow:?}");
        assert!(search(&folder.0.join("near")).is_err() && search(&folder.0.join("a/loop")).is_err());
    }

    #[test]
    fn no_time_panics() {
        for (modified, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "after 9999"),
            (i64::MAX, "after 9999"),
            (-1, "before 1970"),
        ] {
            assert_eq!(time(modified), shown);
        }
    }
}
