//! Core files of which only the newest are to be kept: when they are looked through.

use super::action::Action;
use super::event::Event;
use super::notice::Notice;
use super::terms::{Core, ExitStatus, Outcome};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Between two looks, however often files are written.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that changes its folder has done so by then (gunicorn's --chdir).
const SETTLED: Duration = Duration::from_secs(2);

/// When the next look is.
#[derive(Debug)]
pub(super) struct Cores {
    keep: Option<NonZeroUsize>,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Cores {
    /// The first look is for what an earlier container has left.
    pub(super) fn new(keep: Option<NonZeroUsize>, now: Instant) -> Self {
        Self { keep, due: keep.map(|_| now), last: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What may have left a core file.
    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        let dumped = |status: &ExitStatus| matches!(status, ExitStatus::Dumped(_));
        match event {
            Event::Exited { outcome: Outcome::Ended(status), .. } if dumped(status) => self.by(now),
            Event::OrphansReaped { dead } if dead.iter().any(|(_, status)| dumped(status)) => self.by(now),
            // Not every kernel tells how a worker has ended.
            Event::FolderWritten | Event::WorkerEnded { .. } => self.by(now),
            Event::Spawned { .. } => self.by(now + SETTLED),
            Event::Exited { .. }
            | Event::OrphansReaped { .. }
            | Event::Signal(_)
            | Event::SpawnFailed { .. }
            | Event::HeirSought { .. }
            | Event::WorkersWatched { .. }
            | Event::Swept { .. }
            | Event::GroupGone { .. }
            | Event::KillRefused { .. }
            | Event::RequestsServed { .. }
            | Event::MemoryMeasured { .. }
            | Event::ConnectionsCounted { .. }
            | Event::Looked { .. }
            | Event::DrainChecked { .. }
            | Event::QueueSeen { .. }
            | Event::Shed { .. }
            | Event::SteerFailed { .. }
            | Event::OutputDropped { .. }
            | Event::CoresTidied { .. }
            | Event::PageAsked { .. }
            | Event::DiskSeen { .. }
            | Event::GrownSearched { .. }
            | Event::Asked { .. }
            | Event::Tick => {}
        }
    }

    fn by(&mut self, at: Instant) {
        if self.keep.is_some() {
            let at = self.last.map_or(at, |last| at.max(last + PAUSE));
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
    }

    /// The order, if it is time for it.
    pub(super) fn order(&mut self, now: Instant) -> Option<Action> {
        let keep = self.keep?;
        self.due.take_if(|due| now >= *due)?;
        self.last = Some(now);
        Some(Action::TidyCores(keep))
    }
}

/// What came of a look.
pub(super) fn tell(left: &[Core], deleted: &[Core], stuck: &[(Core, String)]) -> Vec<Action> {
    let left = left.iter().map(|core| Notice::CoreLeft { core: core.clone() });
    let deleted = deleted.iter().map(|core| Notice::CoreDeleted { core: core.clone() });
    let stuck =
        stuck.iter().map(|(core, error)| Notice::CoreStuck { core: core.clone(), error: error.clone() });
    left.chain(deleted).chain(stuck).map(Action::Log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{GenerationId, Pid, Signal};

    #[test]
    fn a_look_a_second_at_most_and_none_without_a_reason() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let two = NonZeroUsize::new(2);
        let mut cores = Cores::new(two, begin);
        let order = Action::TidyCores(two.unwrap());
        assert_eq!(cores.order(begin), Some(order.clone()), "what was left before");
        assert_eq!((cores.order(at(1)), cores.deadline()), (None, None));
        cores.note(&Event::Spawned { id: GenerationId(1), pid: Pid(2) }, at(10));
        assert_eq!(cores.deadline(), Some(at(2010)));
        // Written again and again: once at the end of the pause, and the later reason is not lost before it.
        for millis in [100, 200, 900] {
            cores.note(&Event::FolderWritten, at(millis));
            assert_eq!((cores.order(at(millis)), cores.deadline()), (None, Some(at(1000))));
        }
        assert_eq!(cores.order(at(1000)), Some(order.clone()));
        // After a rest it is looked at once.
        for event in [
            Event::FolderWritten,
            Event::WorkerEnded { id: GenerationId(1), pid: Pid(3), status: None },
            Event::OrphansReaped {
                dead: vec![(Pid(5), ExitStatus::Exited(0)), (Pid(4), ExitStatus::Dumped(Signal(6)))],
            },
        ] {
            let mut cores = Cores { last: Some(begin), due: None, keep: two };
            cores.note(&event, at(5000));
            assert_eq!(cores.order(at(5000)), Some(order.clone()), "{event:?}");
        }
        let dead = vec![(Pid(4), ExitStatus::Signaled(Signal(9)))];
        cores.note(&Event::OrphansReaped { dead }, at(9000));
        assert_eq!(cores.deadline(), None);
    }

    #[test]
    fn nobody_looks_where_nothing_is_to_be_kept() {
        let begin = Instant::now();
        let mut cores = Cores::new(None, begin);
        cores.note(&Event::FolderWritten, begin);
        assert_eq!((cores.deadline(), cores.order(begin)), (None, None));
    }
}
