//! How a generation goes, as the judge wants it: SIGTERM, the grace period, SIGKILL, and what comes after it.

use crate::judge::{End, Judge, KILL_WAIT, Start, code};
use crate::member::{Member, Role, Stage};
use ostler::supervisor::{
    Action, Cause, GenerationId, Notice, Outcome, Signal, SpawnCause, SpawnError, Target,
};
use std::time::{Duration, Instant};

/// How often a stop that shows no effect is sent again.
const REMIND: Duration = Duration::from_secs(1);

impl Judge {
    /// It is to be told to stop now.
    pub(crate) fn leave(&mut self, id: GenerationId, cause: Cause) {
        let (now, recipient) = (self.turn.now, self.recipient(id));
        let Some(member) = self.member(id) else { return };
        member.role = Role::Leaving(cause);
        if member.told.is_none() {
            (member.told, member.reminded) = (Some(now), now);
            self.owe_kill(recipient, self.policy.stop_signal);
            // ctrl-Z has stopped all of it.
            self.owe_kill(Target::Group(id), Signal::CONT);
        }
    }

    /// Its leader is dead: what that leaves behind is to end, and only then the leader is reaped.
    pub(crate) fn bury(&mut self, id: GenerationId, outcome: Outcome) {
        let now = self.turn.now;
        let Some(member) = self.member(id) else { return };
        (member.stage, member.outcome) = (Stage::Dead, Some(outcome));
        member.told = member.told.or(Some(now));
        let signals: &[Signal] =
            if member.killed.is_some() { &[Signal::KILL] } else { &[Signal::TERM, Signal::CONT] };
        for signal in signals {
            self.owe_kill(Target::Group(id), *signal);
        }
        self.owe(Action::Reap(id));
    }

    /// When it gets SIGKILL.
    pub(crate) fn killed_at(&self, member: &Member) -> Option<Instant> {
        let grace = member.told? + self.policy.grace_period;
        Some(member.hurry.map_or(grace, |hurry| hurry.min(grace)))
    }

    /// When it is told more clearly.
    pub(crate) fn pressed_at(&self, member: &Member) -> Option<Instant> {
        let killed = self.killed_at(member)?;
        let reminded = member.reminded + REMIND;
        Some(match (member.killed, member.stage) {
            (Some(killed), _) => killed + KILL_WAIT,
            (None, Stage::Alive) => killed.min(reminded),
            (None, Stage::Ordered | Stage::Dead | Stage::Reaped) => killed,
        })
    }

    /// Time passes for one that leaves.
    pub(crate) fn press(&mut self, id: GenerationId) {
        let now = self.turn.now;
        let place = self.members.iter().find(|member| member.id == id);
        let due = place.and_then(|member| self.pressed_at(member));
        let kill_at = place.and_then(|member| self.killed_at(member));
        let Some(member) = self.member(id).filter(|_| due.is_some_and(|due| now >= due)) else { return };
        let alive = member.stage == Stage::Alive;
        if member.killed.is_some() {
            self.owe(Action::Log(Notice::GroupLeft { id }));
        } else if kill_at.is_some_and(|at| now >= at) {
            member.killed = Some(now);
            self.owe(Action::Log(Notice::GraceExpired { id }));
            if alive {
                self.owe_kill(Target::Leader(id), Signal::KILL);
            }
            self.owe_kill(Target::Group(id), Signal::KILL);
        } else {
            member.reminded = now;
            self.owe_kill(Target::Gunicorn(id), self.policy.stop_signal);
        }
    }

    /// ostler is to end with this generation's exit status.
    pub(crate) fn end(&mut self, of: GenerationId) {
        let since = self.turn.now;
        self.end.get_or_insert(End { of, since, code: None, until: None });
    }

    /// Nothing is left of it, or it was left.
    pub(crate) fn is_gone(&mut self, id: GenerationId) {
        let Some(place) = self.members.iter().position(|member| member.id == id) else { return };
        let member = self.members.remove(place);
        let status = self.policy.expected.code(code(&member));
        let until = self.killed_at(&member).filter(|_| member.killed.is_none()).unwrap_or(self.turn.now);
        if let Some(revival) = self.revival.as_mut().filter(|revival| revival.of == id) {
            (revival.code, revival.until) = (Some(status), until);
            let at = revival.at;
            self.members.iter_mut().for_each(|beside| beside.hurry = Some(at));
        }
        if let Some(end) = self.end.as_mut().filter(|end| end.of == id) {
            (end.code, end.until) = (Some(status), Some(until));
        }
        match (&self.end, self.members.is_empty()) {
            // No client is to wait for nobody.
            (None, false) if self.revival.is_some() => {}
            (None, false) => self.owe(Action::Shed(member.slot)),
            (Some(_), false) => {}
            (Some(end), true) => {
                let (code, until) = (end.code.unwrap_or(status), end.until.unwrap_or(until));
                self.sweep(code, until);
            }
            (None, true) => match self.revival.take() {
                Some(revival) => {
                    let (id, slot) = (self.newest.next(), revival.slot);
                    self.start = Some(Start { id, slot, failures: 0, due: revival.at });
                }
                None => self.follows(member, status, until),
            },
        }
    }

    /// What comes after the only generation when ostler does not end.
    fn follows(&mut self, member: Member, status: u8, until: Instant) {
        let (id, slot, now) = (member.id, member.slot, self.turn.now);
        match member.outcome {
            Some(Outcome::Ended(_)) => {
                let id = self.newest.next();
                self.start = Some(Start { id, slot, failures: 0, due: now });
                self.owe(Action::Spawn { id, slot });
            }
            Some(Outcome::NeverRan(error)) if is_worth_another_try(&error) => {
                let failures = member.tries + 1;
                // What was left has its number still.
                let id = if self.left.contains(&id) { self.newest.next() } else { id };
                self.start = Some(Start { id, slot, failures, due: now + backoff(failures) });
            }
            // What hangs cannot be replaced, nor what is not to be had.
            Some(Outcome::NeverRan(_)) | None => self.sweep(status, until),
        }
    }
}

pub(crate) fn is_worth_another_try(error: &SpawnError) -> bool {
    error.cause == SpawnCause::Resources
}

/// The pause after so many failed starts in a row: 100 ms, doubled each time, at most 30 s.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(failures - 1));
    doubled.min(Duration::from_secs(30))
}
