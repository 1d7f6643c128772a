//! How ostler itself stops or goes on, as the judge wants it:
//! the drain delay, restarts, and whoever is left at the end.

use crate::judge::{Judge, News, ends};
use crate::leaving::backoff;
use crate::member::{Fate, Role};
use ostler::supervisor::{Action, Cause, GenerationId, Left, Notice, Outcome, Restart, Signal, Slot};
use std::time::{Duration, Instant};

/// How often is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(100);
/// They have so long at least.
const LEAST: Duration = Duration::from_secs(1);
/// How long it waits for what has got SIGKILL.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Nobody is left of the generations; others may be.
#[derive(Debug)]
pub(crate) struct Sweep {
    code: u8,
    until: Instant,
    killed: Option<Instant>,
    look_at: Instant,
}

impl Sweep {
    pub(crate) fn due(&self) -> Instant {
        self.look_at.min(self.killed.map_or(self.until, |killed| killed + LAST_WAIT))
    }

    /// All is over by then.
    pub(crate) fn latest(&self) -> Instant {
        self.killed.unwrap_or(self.until) + LAST_WAIT
    }
}

/// The child has ended by itself, and is to be started again when nothing is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revival {
    pub(crate) of: GenerationId,
    pub(crate) slot: Slot,
    pub(crate) at: Instant,
    /// What it ended with, once it is gone.
    pub(crate) code: Option<u8>,
    pub(crate) until: Instant,
}

impl Judge {
    /// ostler is to end with this status once nobody is left.
    pub(crate) fn sweep(&mut self, code: u8, until: Instant) {
        let now = self.turn.now;
        self.sweep = Some(Sweep { code, until: until.max(now + LEAST), killed: None, look_at: now + LOOK });
        self.owe(Action::Sweep(Some(Signal::TERM)));
    }

    pub(crate) fn swept(&mut self, signal: Option<Signal>, left: &[Left]) {
        let now = self.turn.now;
        let Some(sweep) = &self.sweep else { return };
        let left = left.to_vec();
        if left.is_empty() {
            self.owe(Action::Exit(sweep.code));
        } else if signal == Some(Signal::TERM) {
            let grace = if sweep.killed.is_some() {
                Duration::ZERO
            } else {
                sweep.until.saturating_duration_since(now)
            };
            self.owe(Action::Log(Notice::OthersLeft { left, grace }));
            self.owe(Action::Sweep(Some(Signal::CONT)));
        } else if signal == Some(Signal::KILL) {
            self.owe(Action::Log(Notice::OthersKilled { left }));
        }
    }

    /// Somebody has ended.
    pub(crate) fn orphan_ended(&mut self) {
        let now = self.turn.now;
        self.sweep.iter_mut().for_each(|sweep| sweep.look_at = now);
    }

    /// Time passes while others are left.
    pub(crate) fn sweep_on(&mut self) {
        let now = self.turn.now;
        let Some(sweep) = &mut self.sweep else { return };
        let order = if sweep.killed.is_none() && now >= sweep.until {
            (sweep.killed, sweep.look_at) = (Some(now), now + LOOK);
            Action::Sweep(Some(Signal::KILL))
        } else if sweep.killed.is_some_and(|killed| now >= killed + LAST_WAIT) {
            Action::Exit(sweep.code)
        } else if now >= sweep.look_at {
            sweep.look_at = now + LOOK;
            Action::Sweep(None)
        } else {
            return;
        };
        self.owe(order);
    }

    /// ostler is asked to stop, and somebody serves: is that put off?
    pub(crate) fn puts_off(&mut self, id: GenerationId) -> bool {
        let (now, delay) = (self.turn.now, self.policy.drain_delay);
        if self.stopping || delay.is_zero() {
            return false;
        }
        self.stopping = true;
        self.stop_at = Some(now + delay);
        self.owe(Action::Log(Notice::Draining { delay }));
        if let Some(member) = self.member(id) {
            member.fate = Fate::Asked;
        }
        if let Some(successor) = self.beside(id).filter(|member| matches!(member.role, Role::Successor(_))) {
            let successor = successor.id;
            self.steer_to(id);
            self.leave(successor, Cause::Stopped);
        }
        true
    }

    /// The incumbent has ended by itself, and nobody takes its place: is it started again?
    fn is_revived(&mut self, id: GenerationId, outcome: &Outcome, fate: Fate) -> bool {
        let now = self.turn.now;
        let Outcome::Ended(status) = outcome else { return false };
        let failed = self.policy.expected.code(status.code()) != 0;
        let wanted = match self.policy.restart {
            Restart::Never => false,
            Restart::OnFailure => failed,
            Restart::Always => true,
        };
        if !wanted || fate == Fate::Asked || self.stopping {
            return false;
        }
        let limit = self.policy.restart_limit;
        self.ends.push(now);
        let recent = self.ends.iter().filter(|end| now < **end + limit.window).count();
        let ends = u32::try_from(recent).unwrap_or(u32::MAX);
        if ends > limit.ends {
            self.owe(Action::Log(Notice::GaveUp { ends: recent, window: limit.window }));
            return false;
        }
        let pause = backoff(ends);
        let Some(slot) = self.member(id).map(|member| member.slot) else { return false };
        self.owe(Action::Log(Notice::Restarting { pause }));
        let alone = self.members.len() == 1;
        if let Some(member) = self.member(id).filter(|_| alone) {
            // Nobody serves until what it leaves behind is gone.
            member.hurry = Some((now + pause).max(now + LEAST));
        }
        let until = now + self.policy.grace_period;
        self.revival = Some(Revival { of: id, slot, at: now + pause, code: None, until });
        true
    }

    pub(crate) fn end_or_revive(&mut self, id: GenerationId, outcome: &Outcome, fate: Fate) {
        if !self.is_revived(id, outcome, fate) {
            self.end(id);
        }
    }

    /// Only those are there who are no generation's; whoever asks for the end again is in a hurry.
    pub(crate) fn signal_to_the_rest(&mut self, signal: Signal) {
        let now = self.turn.now;
        if !ends(signal) {
            self.turn.news.push(News::Signal);
            return;
        }
        self.owe(Action::Log(Notice::Stopping { signal, grace: Duration::ZERO }));
        self.sweep.iter_mut().for_each(|sweep| sweep.until = now);
    }
}
