//! A unix socket for each generation, and the path by which clients
//! find the one that serves. Their files are removed with them.

use super::{Door, SharedDoor, is_shut};
use crate::supervisor::Slot;
use crate::system::listen::{Opened, Opening, Refused, Sockets, stream};
use crate::system::users::Ids;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, fchownat};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(in crate::system) struct UnixDoor {
    path: PathBuf,
    opening: Opening,
    a: Option<Bound>,
    b: Option<Bound>,
    /// Whose socket the path leads to.
    open: Slot,
}

/// A socket that listens, with its own name.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) name: Name,
    pub(super) socket: OwnedFd,
}

/// A file that is removed when this is dropped, unless there is another one of its name by then.
#[derive(Debug)]
pub(super) struct Name {
    path: PathBuf,
    file: Option<File>,
}

/// Device and inode.
type File = (u64, u64);

fn file(path: &Path) -> Option<File> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Name {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file(path) }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.file.is_some() && file(&self.path) == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl UnixDoor {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn bound(&self, slot: Slot) -> Option<&Bound> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    fn place(&mut self, slot: Slot) -> &mut Option<Bound> {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }

    pub(super) fn socket(&self, slot: Slot) -> Option<BorrowedFd<'_>> {
        self.bound(slot).map(|bound| bound.socket.as_fd())
    }

    /// The name that this slot's socket is bound to.
    pub(super) fn own_name(&self, slot: Slot) -> PathBuf {
        own_name(&self.path, slot)
    }

    pub(super) fn prepare(&mut self, slot: Slot) -> io::Result<()> {
        // A unix socket that was shut down never listens again.
        if self.socket(slot).is_some_and(|socket| is_shut(&socket)) {
            *self.place(slot) = None;
        }
        if self.bound(slot).is_none() {
            *self.place(slot) = Some(bind_and_listen(&self.own_name(slot), &self.opening)?);
            if slot == self.open {
                self.steer(slot)?;
            }
        }
        Ok(())
    }

    /// rename(2) is atomic: no client ever finds the path missing. It is done
    /// even if the path is this socket's already: somebody may have removed it.
    pub(super) fn steer(&mut self, slot: Slot) -> io::Result<()> {
        let mut step = self.path.clone().into_os_string();
        step.push(".new");
        let step = PathBuf::from(step);
        // Left by one that was killed here.
        if fs::symlink_metadata(&step).is_ok_and(|found| found.file_type().is_socket()) {
            let _ = fs::remove_file(&step);
        }
        fs::hard_link(self.own_name(slot), &step)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", step.display())))?;
        fs::rename(&step, &self.path)?;
        // Where both were the same already, rename leaves them as they are.
        let _ = fs::remove_file(&step);
        self.open = slot;
        Ok(())
    }

    pub(super) fn close(&mut self, slot: Slot) {
        if slot != self.open {
            *self.place(slot) = None;
        }
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        // A second name of the one that serves; it may be another ostler's by now.
        if let Some(bound) = self.bound(self.open)
            && bound.name.file.is_some()
            && file(&self.path) == bound.name.file
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The name under which a slot's socket is to be found beside the path itself.
fn own_name(path: &Path, slot: Slot) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(match slot {
        Slot::A => ".a",
        Slot::B => ".b",
    });
    name.into()
}

pub(in crate::system) fn open(path: &Path, opening: &Opening, sockets: Sockets) -> Opened {
    let shared =
        || Ok::<_, Refused>(Door::Shared(SharedDoor::unix(bind_and_listen(path, opening)?, opening.backlog)));
    if sockets == Sockets::Shared {
        return Ok((shared()?, None));
    }
    let own = own_name(path, Slot::A);
    if UnixAddr::new(&own).is_err() {
        return Ok((shared()?, Some("the path is too long for a second one".into())));
    }
    // The path itself may be somebody's, or left behind.
    drop(bind_and_listen(path, opening)?);
    let a = bind_and_listen(&own, opening).map_err(|error| Refused { at: Some(own), error })?;
    let mut door =
        UnixDoor { path: path.to_owned(), opening: opening.clone(), a: Some(a), b: None, open: Slot::A };
    match door.steer(Slot::A) {
        Ok(()) => Ok((Door::Unix(door), None)),
        // A file system without hard links, say.
        Err(error) => {
            drop(door);
            Ok((shared()?, Some(error.to_string())))
        }
    }
}

/// Opens one, in place of one that a dead process has left behind.
fn bind_and_listen(path: &Path, opening: &Opening) -> io::Result<Bound> {
    let socket = stream(AddressFamily::Unix)?;
    let address = UnixAddr::new(path)?;
    // It has its mode from the beginning: what is changed by name later may be another's file by then.
    let umask = umask(Mode::from_bits_truncate(0o777 & !opening.mode));
    let bound = match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) => {
            remove_what_is_left(path, &address).and_then(|()| Ok(bind(socket.as_raw_fd(), &address)?))
        }
        bound => bound.map_err(io::Error::from),
    };
    nix::sys::stat::umask(umask);
    bound?;
    let bound = Bound { name: Name::new(path), socket };
    if let Some(owner) = opening.owner {
        give_away(path, owner)?;
    }
    // Nobody connects before it is whose it should be.
    listen(&bound.socket, opening.backlog)?;
    Ok(bound)
}

/// Whoever may write to the folder may have put another file in the socket's place by now, a link to somebody else's,
/// say: so it is looked at what is given away, and that is no name.
fn give_away(path: &Path, Ids { user, group }: Ids) -> io::Result<()> {
    // Not by std: on musl it takes O_PATH for a mode of access, which is its own to choose, and leaves it out.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = fs::File::from(nix::fcntl::open(path, flags, Mode::empty())?);
    if !file.metadata()?.file_type().is_socket() {
        return Err(Errno::EEXIST.into());
    }
    let (user, group) = (Uid::from_raw(user), group.map(Gid::from_raw));
    Ok(fchownat(&file, c"", Some(user), group, AtFlags::AT_EMPTY_PATH)?)
}

/// Removes the socket of a dead process. That refuses connections, as a plain file does, which is nobody's leftover; a
/// live one must not be taken away, and may be too busy to answer.
fn remove_what_is_left(path: &Path, address: &UnixAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(Errno::EEXIST.into());
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path),
        Ok(()) | Err(_) => Err(Errno::EADDRINUSE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn nothing_but_a_socket_is_given_away() {
        let folder = std::env::temp_dir().join(format!("ostler-owner-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        let _listener = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("file"), "").unwrap();
        fs::hard_link(at("file"), at("hard")).unwrap();
        symlink(at("socket"), at("link")).unwrap();
        let root = Uid::effective().is_root();
        // Who is not root can give only to who has it already.
        let user = if root { 12345 } else { Uid::current().as_raw() };
        let given = |name: &str| give_away(&at(name), Ids { user, group: None }).is_ok();
        assert_eq!(["socket", "file", "hard", "link", "none"].map(given), [true, false, false, false, false]);
        let owner = |name: &str| fs::symlink_metadata(at(name)).unwrap().uid();
        assert_eq!((owner("socket"), owner("file") == user), (user, !root));
        fs::remove_dir_all(&folder).unwrap();
    }
}
