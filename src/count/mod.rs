//! PURE. How requests are counted from outside: what a source's bytes mean, and which source a command calls for.

pub mod gunicorn;
mod lines;
pub mod plan;
mod statsd;

pub use lines::{Lines, Rule, Tally};
pub use statsd::{Heard, Losses, Share, is_companion, requests};

/// Where requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The datagrams that gunicorn sends to `--statsd-host`: exact for sync, gthread, gevent and others that are
    /// gunicorn's own.
    Statsd,
    /// The lines that gunicorn writes to `--access-logfile`: exact for every worker class.
    AccessLog,
    /// The access log that the child writes to stdout anyway; its lines go on there.
    Stdout,
    /// The connections that have come to this network namespace: an estimate, for children that tell nothing.
    Connections,
}

impl Source {
    /// What the log calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Statsd => "statsd",
            Self::AccessLog => "access-log",
            Self::Stdout => "stdout",
            Self::Connections => "connections",
        }
    }
}
