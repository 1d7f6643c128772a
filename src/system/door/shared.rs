//! One socket for all generations.

use super::is_shut;
use super::unix::{Bound, Name};
use nix::sys::socket::{Backlog, listen};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub(in crate::system) struct SharedDoor {
    /// Of a unix socket that ostler has opened; goes with it.
    _name: Option<Name>,
    socket: OwnedFd,
    backlog: Backlog,
}

impl SharedDoor {
    pub(in crate::system) const fn new(socket: OwnedFd, backlog: Backlog) -> Self {
        Self { _name: None, socket, backlog }
    }

    pub(super) fn unix(bound: Bound, backlog: Backlog) -> Self {
        let Bound { name, socket } = bound;
        Self { _name: Some(name), socket, backlog }
    }

    pub(in crate::system) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// A TCP socket that was shut down listens again when it is told to; a unix one never.
    pub(super) fn prepare(&self) -> io::Result<()> {
        if is_shut(&self.socket) {
            listen(&self.socket, self.backlog)?;
            if is_shut(&self.socket) {
                return Err(io::Error::other("the one before has shut it down for good (shutdown(2))"));
            }
        }
        Ok(())
    }
}
