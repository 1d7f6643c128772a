//! The cgroup's limits and what is used of them, in version 2 or 1 (cgroups(7)), as they are seen from inside.

use super::unseen;
use crate::doctor::{Cpu, Memory, Pids, Sight, Version};
use crate::system::cgroup::{number, way};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of a controller from our own cgroup up to the root of what is mounted, so never empty.
fn folders(mounted: &Path, own: &str, controller: &str) -> Sight<(Version, Vec<PathBuf>)> {
    let lines = || {
        own.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((controllers, path))
        })
    };
    let first = lines().find_map(|(controllers, path)| {
        let root = mounted.join(controller);
        let ours = controllers.split(',').any(|name| name == controller);
        (ours && root.is_dir()).then(|| (Version::V1, way(&root, path)))
    });
    let second = || {
        let (_, path) = lines().find(|(controllers, _)| controllers.is_empty())?;
        mounted.join("cgroup.controllers").exists().then(|| (Version::V2, way(mounted, path)))
    };
    first
        .or_else(second)
        .ok_or_else(|| unseen(mounted.display(), format!("no controller called {controller}")))
}

/// The least limit on the way, and the folder that has it; without one, our own.
fn limit<T: Ord + Copy>(folders: &[PathBuf], read: impl Fn(&Path) -> Option<T>) -> (Option<T>, &Path) {
    let limited = folders.iter().filter_map(|folder| Some((read(folder)?, folder.as_path())));
    match limited.min_by_key(|(limit, _)| *limit) {
        Some((limit, folder)) => (Some(limit), folder),
        None => (None, folders.first().map_or(Path::new("/"), PathBuf::as_path)),
    }
}

fn amount(file: &Path) -> Sight<u64> {
    let text = fs::read_to_string(file).map_err(|error| unseen(file.display(), error))?;
    text.trim().parse().map_err(|error| unseen(file.display(), error))
}

/// A line `name number`.
fn field(file: &Path, name: &str) -> Sight<u64> {
    let text = fs::read_to_string(file).map_err(|error| unseen(file.display(), error))?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let value = lines.find(|(field, _)| *field == name).and_then(|(_, value)| value.trim().parse().ok());
    value.ok_or_else(|| unseen(file.display(), format!("it has no {name}")))
}

pub(super) fn memory(mounted: &Path, own: &str) -> Sight<Memory> {
    let (version, folders) = folders(mounted, own, "memory")?;
    let (most, now, events, inactive) = match version {
        Version::V1 => {
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control", "total_inactive_file")
        }
        Version::V2 => ("memory.max", "memory.current", "memory.events", "inactive_file"),
    };
    let (limit, folder) = limit(&folders, |folder| number(&folder.join(most)));
    Ok(Memory {
        version,
        limit,
        used: amount(&folder.join(now)),
        droppable: field(&folder.join("memory.stat"), inactive).unwrap_or(0),
        kills: field(&folder.join(events), "oom_kill"),
    })
}

pub(super) fn pids(mounted: &Path, own: &str) -> Sight<Pids> {
    let (version, folders) = folders(mounted, own, "pids")?;
    let (limit, folder) = limit(&folders, |folder| number(&folder.join("pids.max")));
    Ok(Pids { version, limit, used: amount(&folder.join("pids.current")) })
}

pub(super) fn cpu(mounted: &Path, own: &str) -> Sight<Cpu> {
    let (version, folders) = folders(mounted, own, "cpu")?;
    let quota = |folder: &Path| -> Option<(u64, u64)> {
        match version {
            // -1 is no limit.
            Version::V1 => {
                number(&folder.join("cpu.cfs_quota_us")).zip(number(&folder.join("cpu.cfs_period_us")))
            }
            Version::V2 => {
                let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                quota.parse().ok().zip(period.parse().ok())
            }
        }
    };
    // In thousandths of a processor, as periods may differ.
    let share = |folder: &Path| {
        let (quota, period) = quota(folder)?;
        Some(u128::from(quota) * 1000 / u128::from(period.max(1)))
    };
    let (_, folder) = limit(&folders, share);
    let statistics = folder.join("cpu.stat");
    let periods = field(&statistics, "nr_periods").ok().zip(field(&statistics, "nr_throttled").ok());
    Ok(Cpu { version, quota: quota(folder), periods })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::cgroup::tests::Tree;

    #[test]
    fn version_2_and_the_least_limit_counts() {
        let tree = Tree::new(&[
            ("cgroup.controllers", "memory pids cpu"),
            ("task/memory.max", "4000"),
            ("task/memory.current", "3000"),
            ("task/memory.stat", "anon 1\ninactive_file 500\nx y"),
            ("task/memory.events", "low 0\noom 3\noom_kill 2"),
            ("task/app/memory.max", "9000"),
            ("task/app/memory.current", "1"),
            ("task/app/pids.max", "max"),
            ("task/app/pids.current", "12"),
            ("task/cpu.max", "max 100000"),
            ("task/app/cpu.max", "150000 100000"),
            ("task/app/cpu.stat", "usage_usec 9\nnr_periods 50\nnr_throttled 5"),
        ]);
        let own = "0::/task/app\n";
        let memory = memory(&tree.0, own).unwrap();
        assert_eq!((memory.limit, memory.used, memory.droppable), (Some(4000), Ok(3000), 500));
        assert_eq!((memory.kills, memory.version), (Ok(2), Version::V2));
        let pids = pids(&tree.0, own).unwrap();
        assert_eq!((pids.limit, pids.used), (None, Ok(12)));
        let cpu = cpu(&tree.0, own).unwrap();
        assert_eq!((cpu.quota, cpu.periods), (Some((150_000, 100_000)), Some((50, 5))));
    }

    #[test]
    fn version_1_beside_an_empty_tree_of_version_2() {
        let tree = Tree::new(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712"),
            ("memory/memory.usage_in_bytes", "7000"),
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0"),
            ("pids/pids.max", "100"),
            ("pids/pids.current", "80"),
            ("cpu/cpu.cfs_quota_us", "-1"),
            ("cpu/cpu.cfs_period_us", "100000"),
        ]);
        // The paths are those of the host, which are not there inside.
        let own = "4:memory:/docker/abc\n3:pids:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n";
        let memory = memory(&tree.0, own).unwrap();
        assert_eq!((memory.limit, memory.used, memory.kills), (None, Ok(7000), Ok(0)));
        assert_eq!(memory.version, Version::V1);
        let pids = pids(&tree.0, own).unwrap();
        assert_eq!((pids.limit, pids.used), (Some(100), Ok(80)));
        let cpu = cpu(&tree.0, own).unwrap();
        assert_eq!((cpu.quota, cpu.periods), (None, None));
    }

    #[test]
    fn where_there_is_none_that_is_told() {
        let tree = Tree::new(&[("x", "")]);
        for own in ["", "0::/\n", "4:memory:/\n", "nonsense"] {
            assert!(
                memory(&tree.0, own).is_err() && pids(&tree.0, own).is_err() && cpu(&tree.0, own).is_err()
            );
        }
        let tree = Tree::new(&[("cgroup.controllers", "memory")]);
        let memory = memory(&tree.0, "0::/\n").unwrap();
        assert!(memory.limit.is_none() && memory.used.is_err(), "the host's own root");
    }
}
