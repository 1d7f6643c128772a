//! The workers of a gunicorn, whose deaths only their master hears of: they are told, and so is that they die again and
//! again below a master that looks healthy.

use super::Workers as Wanted;
use super::action::Action;
use super::notice::Notice;
use super::terms::{ExitStatus, GenerationId, Pid, Signal};
use super::turn::Turn;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A server that has just been started may have its first worker by then, as one that has lost one may have the next.
const SOON: Duration = Duration::from_millis(250);
/// A look that shows nobody new is followed by one so many times later, until that is no use any more.
const LATER: u32 = 2;
const LATEST: Duration = Duration::from_mins(2);

/// So many that should not have ended, in so much time, are a loop.
const LOOP: usize = 5;
const WINDOW: Duration = Duration::from_mins(1);
/// Of one whose status cannot be known: it should not have ended so young.
const YOUNG: Duration = Duration::from_secs(10);

/// What is known of the workers of one generation.
#[derive(Debug)]
pub(super) struct Workers {
    /// When new ones are looked for; `None`: nothing calls for it.
    look_at: Option<Instant>,
    pause: Duration,
    /// Since when each is watched.
    watched: Vec<(Pid, Instant)>,
    /// When those ended that should not have.
    ends: VecDeque<Instant>,
    /// A loop is not told again before then.
    quiet_until: Option<Instant>,
}

impl Workers {
    /// Of a generation that has all its workers, or will have them soon.
    pub(super) fn new(wanted: Wanted, now: Instant) -> Self {
        let look_at = match wanted {
            Wanted::Watched => Some(now + SOON),
            Wanted::Unwatched => None,
        };
        let (watched, ends) = (Vec::new(), VecDeque::new());
        Self { look_at, pause: SOON, watched, ends, quiet_until: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks for new ones if it is time to.
    pub(super) fn tick(&mut self, id: GenerationId, turn: &mut Turn<'_>) {
        if self.look_at.is_some_and(|at| turn.now >= at) {
            turn.order(Action::WatchWorkers(id));
            self.pause = self.pause.saturating_mul(LATER);
            self.look_at = Some(turn.now + self.pause).filter(|_| self.pause <= LATEST);
        }
    }

    /// There may be new ones soon: one has ended, or the master got a signal.
    pub(super) fn stir(&mut self, turn: &Turn<'_>) {
        match turn.policy.workers {
            Wanted::Watched => (self.pause, self.look_at) = (SOON, Some(turn.now + SOON)),
            Wanted::Unwatched => {}
        }
    }

    /// These are watched from now on.
    pub(super) fn found(&mut self, new: &[Pid], turn: &Turn<'_>) {
        if !new.is_empty() {
            self.watched.extend(new.iter().map(|pid| (*pid, turn.now)));
            // The next one may be on its way.
            self.stir(turn);
        }
    }

    /// One has ended; `None` if nobody can know how.
    pub(super) fn ended(
        &mut self,
        id: GenerationId,
        pid: Pid,
        status: Option<ExitStatus>,
        turn: &mut Turn<'_>,
    ) {
        let since = self.watched.iter().find(|(watched, _)| *watched == pid).map(|(_, since)| *since);
        self.watched.retain(|(watched, _)| *watched != pid);
        self.stir(turn);
        let manner = match status {
            Some(status) => Manner::of(status),
            None if since.is_some_and(|since| turn.now < since + YOUNG) => Manner::Fault,
            None => Manner::Normal,
        };
        turn.log(Notice::WorkerEnded { id, pid, status, manner });
        if manner == Manner::Fault {
            self.ends.retain(|end| turn.now < *end + WINDOW);
            self.ends.push_back(turn.now);
            if self.ends.len() >= LOOP && self.quiet_until.is_none_or(|until| turn.now >= until) {
                self.quiet_until = Some(turn.now + WINDOW);
                turn.log(Notice::WorkersCrash { id, ends: self.ends.len(), window: WINDOW });
            }
        }
    }
}

/// Is it the end that a worker is to have? A `UvicornWorker` that is told to stop ends by SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It is.
    Normal,
    /// It is not.
    Fault,
}

impl Manner {
    pub(super) fn of(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Exited(0) | ExitStatus::Signaled(Signal::TERM) => Self::Normal,
            ExitStatus::Exited(_) | ExitStatus::Signaled(_) | ExitStatus::Dumped(_) => Self::Fault,
        }
    }
}
