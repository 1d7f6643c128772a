//! The memory limit of the container, as it is seen from inside: cgroups of version 2 or 1 (cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes a number near this for "no limit".
const NONE: u64 = 1 << 62;

/// In bytes; `None` if there is none that can be seen.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    limit(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// The least of all limits on the way from our own cgroup to the root of what is mounted. A container without a cgroup
/// namespace is told of a path that is only there outside: its own cgroup is the root then.
fn limit(mounted: &Path, own: &str) -> Option<u64> {
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            match controllers {
                "" => least(mounted, path, |folder| number(&folder.join("memory.max"))),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    least(&mounted.join("memory"), path, |folder| {
                        number(&folder.join("memory.limit_in_bytes"))
                    })
                }
                _ => None,
            }
        })
        .min()
}

fn least(root: &Path, path: &str, limit: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    way(root, path).iter().filter_map(|folder| limit(folder)).min()
}

/// The folders from our own cgroup up to the root of what is mounted.
pub(super) fn way(root: &Path, path: &str) -> Vec<PathBuf> {
    let inside: PathBuf = root.join(path.trim_start_matches('/'));
    // A path with .. leads out of the namespace.
    let own = if path.contains("..") || !inside.is_dir() { root } else { inside.as_path() };
    own.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect()
}

/// `max`, and what is too large for a machine, is none.
pub(super) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|bytes| *bytes < NONE)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A cgroup file system of plain files, removed with this.
    pub(in crate::system) struct Tree(pub(in crate::system) PathBuf);

    impl Tree {
        pub(in crate::system) fn new(files: &[(&str, &str)]) -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let root = std::env::temp_dir().join(format!("ostler-cgroup-{}-{number}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{text}\n")).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_least_limit_from_our_own_cgroup_up_counts() {
        let tree =
            Tree::new(&[("memory.max", "max"), ("task/memory.max", "4000"), ("task/app/memory.max", "9000")]);
        for (own, expected) in [
            ("0::/task/app\n", Some(4000)),
            ("0::/task\n", Some(4000)),
            ("0::/\n", None),
            ("0::/not/here\n", None),
            ("0::/../task\n", None),
            ("", None),
            ("nonsense", None),
        ] {
            assert_eq!(limit(&tree.0, own), expected, "{own}");
        }
        // As docker run --memory shows it.
        let tree = Tree::new(&[("memory.max", "536870912")]);
        for own in ["0::/\n", "0::/docker/4711\n", "0::/../..\n"] {
            assert_eq!(limit(&tree.0, own), Some(536_870_912), "{own}");
        }
    }

    #[test]
    fn version_1_is_read_too() {
        let none = "9223372036854771712";
        let tree = Tree::new(&[
            ("memory/memory.limit_in_bytes", none),
            ("memory/docker/a/memory.limit_in_bytes", "1000"),
            ("cpu/docker/a/memory.limit_in_bytes", "1"),
        ]);
        for (own, expected) in [
            ("5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n0::/docker/a\n", Some(1000)),
            ("5:hugetlb,memory:/docker/a\n", Some(1000)),
            ("5:memory:/docker/b\n", None),
            ("5:cpu:/docker/a\n", None),
        ] {
            assert_eq!(limit(&tree.0, own), expected, "{own}");
        }
    }
}
