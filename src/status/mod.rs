//! What `--status`, `--health` and metrics tell: facts in, words and figures out. Pure.

mod json;
mod metrics;
mod page;

pub use json::json;
pub use metrics::{Meter, prometheus};
pub use page::{Drawing, page};

use crate::count::Source;
use crate::supervisor::{DiskUse, GenerationId, Pid, Status, Trouble, Workers};

/// All that is known: by the supervisor, and by the edge.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the supervisor knows.
    pub status: Status,
    /// What the edge sees.
    pub facts: Facts,
}

/// What the edge sees at the time of a report.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The leaders of the generations that have one.
    pub leaders: Vec<(GenerationId, Pid)>,
    /// The incumbent's workers, if they can be seen; none of a server that is no gunicorn.
    pub crew: Option<Crew>,
    /// Where requests are counted; `None`: nowhere.
    pub source: Option<Source>,
    /// Connections that wait to be accepted at the TCP addresses of `OSTLER_LISTEN`; `None`: there are none of these.
    pub waiting: Option<u64>,
    /// Lines of ostler's own log that nobody read.
    pub log_dropped: u64,
    /// How full the root file system is.
    pub disk: Option<DiskUse>,
    /// What the container holds in memory.
    pub memory: Option<MemoryUse>,
    /// Where ostler listens for the child.
    pub addresses: Vec<String>,
    /// What a successor is asked for, and `--health` asks for too.
    pub health_path: Option<String>,
}

/// The workers of a gunicorn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crew {
    /// So many have begun to serve.
    pub serving: u64,
    /// So many are there.
    pub all: u64,
}

/// The memory of the container's cgroup, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// What its processes hold, page cache that could be dropped not included.
    pub used: u64,
    /// What they may hold.
    pub limit: Option<u64>,
}

impl Report {
    /// The incumbent's workers, of a gunicorn.
    fn crew(&self) -> Option<Crew> {
        self.facts.crew.filter(|crew| match self.status.workers {
            Workers::Watched => true,
            // A gunicorn that its command does not tell of.
            Workers::Unwatched => crew.all > 0,
        })
    }

    /// Why no request should be sent here; `None`: it is healthy.
    #[must_use]
    pub fn ailment(&self) -> Option<String> {
        let phase = self.status.phase;
        if !phase.serves() {
            return Some(phase.name().into());
        }
        match self.crew()? {
            Crew { all: 0, .. } => Some("there is no worker yet".into()),
            Crew { serving: 0, all } => Some(format!("0 of {all} workers serve")),
            Crew { .. } => None,
        }
    }

    /// What is not as it should be, though requests are answered.
    #[must_use]
    pub fn degraded(&self) -> Vec<String> {
        let short = self.crew().filter(|crew| 0 < crew.serving && crew.serving < crew.all);
        let short = short.map(|Crew { serving, all }| format!("{serving} of {all} workers serve"));
        self.status.troubles.iter().map(|trouble| words(trouble, self.facts.disk)).chain(short).collect()
    }
}

fn words(trouble: &Trouble, disk: Option<DiskUse>) -> String {
    match trouble {
        Trouble::HandoversFail(times) => format!("handovers fail: {times} in a row"),
        Trouble::MemoryBudgetSmall(times) => {
            format!("OSTLER_MAX_MEMORY is too small: {times} generations in a row held more from the start")
        }
        Trouble::Deaf => "signals do not reach the child, so it is never replaced".into(),
        Trouble::Left(generations) => format!("{generations} generations hang in the kernel"),
        Trouble::SteeringFails => "new connections do not go where they should".into(),
        Trouble::CountSilent => "connections come, and no request is counted".into(),
        Trouble::WorkersCrash => "workers crash again and again".into(),
        Trouble::DiskFills => {
            let share = disk.map(|disk| format!("{} %", disk.percent()));
            format!("the disk is {} full", share.unwrap_or_else(|| "nearly".into()))
        }
    }
}

#[cfg(test)]
mod tests;
