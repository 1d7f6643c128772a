//! ostler: a PID 1 for containers that run gunicorn-style servers.
//!
//! A pure room ([`supervisor`], [`count`]) decides, an edge ([`system`])
//! obeys: [`boot`] may fail with every error named, [`run`] does not fail.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable
)]

mod boot;
pub mod cli;
pub mod config;
pub mod count;
pub mod doctor;
pub mod log;
mod sink;
pub mod status;
pub mod supervisor;
pub mod system;

pub use boot::{Booted, boot, check, doctor, health, metrics, print, recycle, status};

use std::collections::VecDeque;
use std::time::Instant;
use supervisor::{Action, Event};

/// Runs the child until it is time to end; returns ostler's exit status.
#[must_use]
pub fn run(mut booted: Box<Booted>) -> u8 {
    let Booted { supervisor, system, log } = &mut *booted;
    loop {
        let deadline = supervisor.deadline();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now()));
        let mut events = VecDeque::from(system.wait(timeout));
        // What these events make due is done in the next round, which does not sleep.
        if deadline.is_some_and(|deadline| deadline <= now()) {
            events.push_back(Event::Tick);
        }
        while let Some(event) = events.pop_front() {
            let mut answers = Vec::new();
            for action in supervisor.step(now(), event) {
                match &action {
                    Action::Exit(code) => return *code,
                    Action::Log(notice) => log.notice(notice),
                    Action::Show { client, page, status } => {
                        system.show(*client, *page, status, log.lines_dropped());
                    }
                    Action::Publish(status) => system.publish(status, log.lines_dropped()),
                    Action::Spawn { .. }
                    | Action::Kill { .. }
                    | Action::Reap(_)
                    | Action::Follow { .. }
                    | Action::SeekHeir(_)
                    | Action::WatchWorkers(_)
                    | Action::Sweep(_)
                    | Action::TidyCores(_)
                    | Action::Look(_)
                    | Action::Steer(_)
                    | Action::CheckDrain(_)
                    | Action::CheckQueue(_)
                    | Action::Measure { .. }
                    | Action::CountConnections
                    | Action::LookAtDisk
                    | Action::SearchGrown
                    | Action::Shed(_)
                    | Action::Answer { .. } => answers.extend(system.perform(&action)),
                }
            }
            // What came of an order at once is a fact before all that is still to be told.
            for answer in answers.into_iter().rev() {
                events.push_front(answer);
            }
        }
    }
}

/// The one place that reads the clock by which everything is decided.
fn now() -> Instant {
    Instant::now()
}
