//! How full the disk is: it is looked at now and then, and what
//! has grown on it is told once it is fuller than it should be.

use super::action::Action;
use super::event::Event;
use super::notice::Notice;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two pieces of a search for what has grown: it is to cost no more than a part of a processor.
const BREATH: Duration = Duration::from_millis(10);
/// So many percentage points below the mark it must have been before it is told of again.
const RELIEF: u64 = 5;

/// How full a file system is, as df(1) counts: blocks that are kept for root are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes that files have.
    pub used: u64,
    /// Bytes that files may still have.
    pub available: u64,
}

impl DiskUse {
    /// In per cent, rounded up.
    #[must_use]
    pub fn percent(self) -> u64 {
        let all = u128::from(self.used) + u128::from(self.available);
        let percent = (u128::from(self.used) * 100).div_ceil(all.max(1));
        u64::try_from(percent).unwrap_or(100)
    }
}

/// A file that was written to since ostler has started, or a folder with such files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Its path, in words that a log can show.
    pub path: String,
    /// Bytes on the disk, of whole files.
    pub bytes: u64,
}

/// How far a search for what has grown has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// There is more to look at.
    GoesOn,
    /// What holds most of what is new, the largest first.
    Done(Vec<Grown>),
}

/// When the disk is looked at, and what has been told.
#[derive(Debug)]
pub(super) struct Disk {
    /// In per cent; `None`: nobody cares.
    mark: Option<u8>,
    due: Option<Instant>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was below the mark.
    Below,
    /// It is above it, and what has grown is being looked for.
    Searching,
    /// All that is told.
    Told,
}

impl Disk {
    pub(super) fn new(mark: Option<u8>, now: Instant) -> Self {
        Self { mark, due: mark.map(|_| now), phase: Phase::Below }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Is it fuller than it should be?
    pub(super) fn fills(&self) -> bool {
        self.phase != Phase::Below
    }

    /// The order, if it is time for one.
    pub(super) fn order(&mut self, now: Instant) -> Option<Action> {
        self.due.take_if(|due| now >= *due)?;
        Some(match self.phase {
            Phase::Below | Phase::Told => Action::LookAtDisk,
            Phase::Searching => Action::SearchGrown,
        })
    }

    /// What an answer means.
    pub(super) fn answered(&mut self, event: &Event, now: Instant) -> Vec<Action> {
        let Some(mark) = self.mark.map(u64::from) else { return Vec::new() };
        let (pause, told) = match (event, self.phase) {
            (Event::DiskSeen { disk }, phase) => self.looked(*disk, phase, mark),
            (Event::GrownSearched { search: Search::GoesOn }, Phase::Searching) => (BREATH, None),
            (Event::GrownSearched { search: Search::Done(grown) }, Phase::Searching) => {
                self.phase = Phase::Told;
                (PAUSE, Some(Notice::DiskGrown { grown: grown.clone() }))
            }
            (_, Phase::Below | Phase::Searching | Phase::Told) => return Vec::new(),
        };
        self.due = Some(now + pause);
        told.into_iter().map(Action::Log).collect()
    }

    fn looked(&mut self, disk: Option<DiskUse>, phase: Phase, mark: u64) -> (Duration, Option<Notice>) {
        let Some(disk) = disk else { return (PAUSE, None) };
        match phase {
            Phase::Below if disk.percent() >= mark => {
                self.phase = Phase::Searching;
                (BREATH, Some(Notice::DiskFills { disk, mark }))
            }
            Phase::Told if disk.percent() + RELIEF <= mark => {
                self.phase = Phase::Below;
                (PAUSE, None)
            }
            Phase::Below | Phase::Told => (PAUSE, None),
            Phase::Searching => (BREATH, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(used: u64) -> Event {
        Event::DiskSeen { disk: Some(DiskUse { used, available: 100 - used }) }
    }

    #[test]
    fn it_is_told_once_and_again_when_it_had_been_better() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut disk = Disk::new(Some(80), begin);
        let look = Some(Action::LookAtDisk);
        let fills = |used| {
            let disk = DiskUse { used, available: 100 - used };
            vec![Action::Log(Notice::DiskFills { disk, mark: 80 })]
        };
        let done = Event::GrownSearched { search: Search::Done(Vec::new()) };
        let grown = vec![Action::Log(Notice::DiskGrown { grown: Vec::new() })];
        assert_eq!(disk.order(begin), look);
        assert_eq!(disk.order(begin), None, "one order, one answer");
        assert_eq!((disk.answered(&seen(79), begin), disk.deadline()), (vec![], Some(at(10))));
        assert_eq!((disk.order(at(9)), disk.order(at(10))), (None, look.clone()));
        assert_eq!((disk.answered(&seen(80), at(10)), disk.fills()), (fills(80), true));
        // What has grown is looked for in pieces.
        for _ in 0..3 {
            let soon = disk.deadline().unwrap();
            assert_eq!(disk.order(soon), Some(Action::SearchGrown));
            let goes_on = Event::GrownSearched { search: Search::GoesOn };
            assert_eq!(disk.answered(&goes_on, soon), vec![]);
            assert_eq!(disk.deadline(), Some(soon + BREATH));
        }
        assert_eq!((disk.answered(&done, at(11)), disk.deadline()), (grown.clone(), Some(at(21))));
        // It stays as it is, and is a little better for a while: nothing is told of that.
        for (time, used) in [(21, 99), (31, 76), (41, 85)] {
            assert_eq!(disk.order(at(time)), look);
            assert_eq!((disk.answered(&seen(used), at(time)), disk.fills()), (vec![], true), "{used}");
        }
        assert_eq!(disk.order(at(51)), look);
        assert_eq!((disk.answered(&seen(75), at(51)), disk.fills()), (vec![], false));
        assert_eq!(disk.order(at(61)), look);
        assert_eq!(disk.answered(&seen(90), at(61)), fills(90));
    }

    #[test]
    fn what_nobody_cares_for_is_not_looked_at_and_what_cannot_be_seen_is_looked_at_again() {
        let begin = Instant::now();
        let mut disk = Disk::new(None, begin);
        assert_eq!((disk.deadline(), disk.order(begin)), (None, None));
        assert_eq!((disk.answered(&seen(99), begin), disk.deadline()), (vec![], None));
        let mut disk = Disk::new(Some(80), begin);
        assert_eq!(disk.order(begin), Some(Action::LookAtDisk));
        assert_eq!(disk.answered(&Event::DiskSeen { disk: None }, begin), vec![]);
        assert_eq!(disk.deadline(), Some(begin + PAUSE));
    }

    #[test]
    fn per_cent_as_df_has_it() {
        for (used, available, percent) in
            [(0, 0, 0), (0, 5, 0), (1, 999, 1), (80, 20, 80), (801, 199, 81), (u64::MAX, u64::MAX, 50)]
        {
            assert_eq!(DiskUse { used, available }.percent(), percent, "{used} {available}");
        }
    }
}
