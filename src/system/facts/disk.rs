//! How full file systems are (statvfs(3)).

use super::{path_text, unseen};
use crate::doctor::{Disk, Room, Sight, Text, Usage};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Each file system once, though several of the paths are on it.
pub(super) fn disks(paths: &[&Path]) -> Vec<Disk> {
    let mut disks: Vec<(Option<u64>, Disk)> = Vec::new();
    for path in paths {
        let text = path_text(path);
        let device = fs::metadata(path).ok().map(|metadata| metadata.dev());
        let known = |(other, disk): &&mut (Option<u64>, Disk)| {
            disk.paths.contains(&text) || (device.is_some() && *other == device)
        };
        match disks.iter_mut().find(known) {
            Some((_, disk)) if disk.paths.contains(&text) => {}
            Some((_, disk)) => disk.paths.push(text),
            None => disks.push((device, Disk { usage: usage(path, &text), paths: vec![text] })),
        }
    }
    disks.into_iter().map(|(_, disk)| disk).collect()
}

pub(super) fn usage(path: &Path, text: &Text) -> Sight<Usage> {
    let all = statvfs(path).map_err(|errno| unseen(text, errno.desc()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(all.fragment_size());
    let room =
        |total: u64, free: u64, available: u64| Room { total, used: total.saturating_sub(free), available };
    let inodes = room(all.files(), all.files_free(), all.files_available());
    Ok(Usage {
        bytes: room(bytes(all.blocks()), bytes(all.blocks_free()), bytes(all.blocks_available())),
        inodes: (all.files() > 0).then_some(inodes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_told_once() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = own.join("src");
        let disks = disks(&[own, own, &source, Path::new("/nonexistent")]);
        assert_eq!(disks.len(), 2);
        assert_eq!(disks[0].paths, [path_text(own), path_text(&source)]);
        let usage = disks[0].usage.as_ref().unwrap();
        assert!(usage.bytes.total > 0 && usage.bytes.used <= usage.bytes.total);
        assert!(disks[1].usage.is_err());
    }
}
