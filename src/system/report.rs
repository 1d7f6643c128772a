//! What a report has of the edge, and where it goes: to whoever asked for it, or out as metrics.

use super::process::Leader;
use super::waiting::waiting;
use super::workers::{Found, Gunicorn};
use super::{System, facts};
use crate::status::{Crew, Facts, Report, json, prometheus};
use crate::supervisor::{Client, Page, Role, Status, View};

impl System {
    /// Shows somebody what is known. `log_dropped` lines of the log were read by nobody.
    pub fn show(&mut self, client: Client, page: Page, status: &Status, log_dropped: u64) {
        let report = self.report(status, log_dropped);
        let text = match page {
            Page::Status => json(&report).to_string(),
            Page::Metrics => prometheus(&report),
        };
        if let Some(control) = &mut self.control {
            control.show(client, &text);
        }
    }

    /// Sends out the figures.
    pub fn publish(&mut self, status: &Status, log_dropped: u64) {
        let report = self.report(status, log_dropped);
        let passage = self.passage.as_mut();
        if let Some(outlet) = &mut self.outlet {
            outlet.publish(&report, passage);
        }
    }

    fn report(&self, status: &Status, log_dropped: u64) -> Report {
        let seen = self.doors().iter().any(|door| door.address().is_some());
        let waits = seen.then(|| waiting(self.doors(), self.steered).len() as u64);
        let alive = self.processes.iter().filter(|process| process.leader == Leader::Alive);
        let facts = Facts {
            leaders: alive.map(|process| (process.id, process.pid)).collect(),
            crew: self.crew(status),
            source: self.counting.as_ref().map(|counting| counting.source),
            waiting: waits,
            log_dropped,
            disk: facts::disk_use(),
            memory: facts::memory_use(),
            addresses: self.doors().iter().map(|door| door.place(self.steered)).collect(),
            health_path: self.health_path.clone(),
        };
        Report { status: status.clone(), facts }
    }

    /// `None`: they cannot be seen.
    fn crew(&self, status: &Status) -> Option<Crew> {
        let incumbent = status.generations.iter().find(|portrait| portrait.role == Role::Incumbent)?;
        let process = self.processes.iter().find(|process| process.id == incumbent.id)?;
        match Gunicorn::find(process.pid).ok()? {
            Found::Gunicorn(Gunicorn { workers, .. }) => {
                let serving = workers.iter().filter(|worker| worker.beats).count();
                Some(Crew { serving: serving as u64, all: workers.len() as u64 })
            }
            Found::Nothing(View::Clear) => Some(Crew { serving: 0, all: 0 }),
            Found::Nothing(View::Hidden) => None,
        }
    }
}
