//! Where a generation's requests are heard: each has its own source, so that a count can never go to the wrong one.

mod connections;
mod datagrams;
mod filter;
mod log_pipe;

#[cfg(any(test, fuzzing))]
pub(super) use connections::passive_opens;
pub(super) use connections::total as connections;
pub(super) use datagrams::onward;
pub(super) use log_pipe::LogPipe;

use super::passage::Passage;
use crate::count::plan::Telling;
use crate::count::{Rule, Share, Source, Tally};
use connections::Opened;
use datagrams::Datagrams;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Reads of one wake-up: whoever floods a source does not keep ostler from its signals.
const READS: usize = 256;

/// How the requests of every generation are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Where.
    pub source: Source,
    /// Who is told of it.
    pub telling: Telling,
    /// Requests of paths that begin like this do not count.
    pub skip: Vec<String>,
    /// Where statsd datagrams go on to.
    pub forward: Option<SocketAddr>,
}

/// A source of one generation.
#[derive(Debug)]
pub(super) enum Counter {
    Statsd(Datagrams),
    /// The lines of a log file that is a pipe of ours, or of the child's stdout.
    Log(LogPipe),
    Connections(Opened),
}

/// What was heard since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Requests.
    pub(super) tally: Tally,
    pub(super) speech: Speech,
}

/// How much a source has said, whatever was in it. Connections do not speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speech {
    #[default]
    Silent,
    Calm,
    /// As much as it should between two times.
    Steady,
    /// So much that its buffer may be full before long.
    Lively,
}

impl Speech {
    /// Of so much, where a buffer holds `capacity`.
    fn of(amount: usize, capacity: usize) -> Self {
        match amount {
            0 => Self::Silent,
            _ if amount < capacity / 6 => Self::Calm,
            _ if amount < capacity / 2 => Self::Steady,
            _ => Self::Lively,
        }
    }
}

/// What a child has to be given for a counter to hear of it.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    /// What goes in front of the user's `GUNICORN_CMD_ARGS`.
    pub(super) arguments: Option<String>,
    /// Where a statsd client sends to that is no gunicorn.
    pub(super) statsd: Option<SocketAddr>,
    /// What the child inherits under its own number.
    pub(super) inherited: Option<OwnedFd>,
    /// What the child's stdout is.
    pub(super) stdout: Option<OwnedFd>,
}

impl Counter {
    /// Opens a source for a new generation.
    pub(super) fn open(counting: &Counting) -> io::Result<(Self, Wiring)> {
        let Counting { source, telling, skip, forward } = counting;
        match source {
            Source::Statsd => {
                let share = match telling {
                    Telling::Gunicorn => Share::Third,
                    Telling::Anybody => Share::AsHeard,
                };
                let datagrams = Datagrams::open(share, *forward)?;
                let address = datagrams.address()?;
                let arguments = arguments(*source, skip, &address.to_string());
                let statsd = Some(address).filter(|_| *telling == Telling::Anybody);
                Ok((Self::Statsd(datagrams), Wiring { arguments, statsd, ..Wiring::default() }))
            }
            Source::AccessLog => {
                let (log, write_end) = LogPipe::open(Rule::Every, skip.clone())?;
                let arguments = arguments(*source, skip, &write_end.as_raw_fd().to_string());
                let inherited = Some(write_end);
                Ok((Self::Log(log), Wiring { arguments, inherited, ..Wiring::default() }))
            }
            Source::Stdout => {
                let (log, write_end) = LogPipe::open(Rule::RequestLines, skip.clone())?;
                Ok((Self::Log(log), Wiring { stdout: Some(write_end), ..Wiring::default() }))
            }
            Source::Connections => Ok((Self::Connections(Opened::now()?), Wiring::default())),
        }
    }

    /// Takes what has come. An error means that nothing will come any more. What was read from a stdout goes on.
    pub(super) fn take(&mut self, passage: Option<&mut Passage>) -> nix::Result<Taken> {
        match self {
            Self::Statsd(datagrams) => Ok(datagrams.take()),
            Self::Log(log) => log.take(passage),
            Self::Connections(opened) => Ok(opened.take()),
        }
    }

    /// What becomes readable when there is something to take; `None`: it has to be asked.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Statsd(datagrams) => Some(datagrams.as_fd()),
            Self::Log(log) => Some(log.as_fd()),
            Self::Connections(_) => None,
        }
    }
}

/// How gunicorn is told of a source, given the address or the descriptor number. Where the format is honoured, lines
/// have one character, for nobody reads them, or hold the request line, if paths matter.
pub(super) fn arguments(source: Source, skip: &[String], place: &str) -> Option<String> {
    match source {
        Source::Statsd => Some(format!("--statsd-host {place}")),
        Source::AccessLog => {
            let format = if skip.is_empty() { "." } else { "'\"%(r)s\"'" };
            Some(format!("--access-logfile /proc/self/fd/{place} --access-logformat {format}"))
        }
        Source::Stdout | Source::Connections => None,
    }
}
