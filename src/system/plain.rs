//! Plain files, up to a bound: what a path leads to may have been chosen by others.

use nix::fcntl::OFlag;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads so many bytes at most. Anything but a plain file is left to who it is for: a FIFO may never open, and what is
/// read from it is gone; /dev/zero has no end; a terminal would become ostler's own, and could send it signals.
///
/// # Errors
/// It cannot be read, or is no plain file.
pub fn read_plain(path: impl AsRef<Path>, longest: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_plain_files_are_read_and_not_without_end() {
        let folder = std::env::temp_dir().join(format!("ostler-plain-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        fs::write(at("file"), "0123456789").unwrap();
        symlink(at("file"), at("link")).unwrap();
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        for (name, expected) in [
            ("file", Some(&b"01234"[..])),
            ("link", Some(b"01234")),
            ("fifo", None),
            ("zero", None),
            (".", None),
            ("missing", None),
        ] {
            assert_eq!(read_plain(at(name), 5).ok().as_deref(), expected, "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
