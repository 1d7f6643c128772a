//! What the child is started with, as boot has found it.

use super::counter::Counting;
use super::listen::Held;
use super::outlet::Outlet;
use super::privileges::Privileges;
use super::spawn::SetLimit;
use std::ffi::{CString, OsString};
use std::path::PathBuf;

/// What the child is started with, the same for every generation.
#[derive(Debug)]
pub struct Program {
    /// The command; its first word is looked up in PATH.
    pub argv: Vec<CString>,
    /// The environment, as ostler got it.
    pub environment: Vec<(OsString, OsString)>,
    /// Limits that need no privilege to set.
    pub limits: Vec<SetLimit>,
    /// Who it is, and what it may do.
    pub privileges: Privileges,
    /// Sockets that the child is handed.
    pub held: Held,
    /// How requests are counted.
    pub counting: Option<Counting>,
    /// Where a daemon's pid is to be found.
    pub pid_file: Option<PathBuf>,
    /// What a successor must answer with 2xx.
    pub health_path: Option<String>,
    /// What stands between ostler and the server.
    pub between: Between,
    /// Is the child to say that it is ready?
    pub notify: Word,
    /// Are core files looked out for?
    pub cores: LookOut,
    /// Where metrics go by themselves.
    pub outlet: Option<Outlet>,
}

/// Is something looked out for?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookOut {
    /// It is.
    Kept,
    /// It is not.
    None,
}

/// Is `READY=1` waited for?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is: the child is told where to say it.
    Wanted,
    /// It is not; what the child has been told by others is left alone.
    Unwanted,
}

/// What stands between ostler and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing: the leader is the server, or becomes it.
    Nothing,
    /// A shell that stays, whose child is gunicorn.
    Shell,
}
