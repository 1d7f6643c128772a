//! What an event means, and what must be ordered on it.

use crate::budgets::Calls;
use crate::judge::{Failure, Judge, News, Recycling, Start, ends};
use crate::leaving::backoff;
use crate::member::{Fate, Member, Role, Stage};
use crate::sights::Sights;
use crate::stopping::Revival;
use ostler::supervisor::{
    Action, Cause, Client, Event, GenerationId, Meaning, Notice, Outcome, Pid, Signal, Slot, SpawnError,
    Target,
};
use std::time::{Duration, Instant};

/// A successor, and the queue of what is drained, are looked at this often.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

impl Judge {
    pub(crate) fn learn(&mut self) {
        match self.turn.event.clone() {
            Event::Signal(signal) => self.signal(signal),
            Event::Spawned { id, .. } => self.spawned(id),
            Event::SpawnFailed { id, error } => self.spawn_failed(id, error),
            Event::Exited { id, outcome, heir } => self.exited(id, outcome, heir),
            Event::GroupGone { id } => {
                self.left.retain(|left| *left != id);
                if self.member(id).is_some_and(|member| member.stage == Stage::Reaped) {
                    self.is_gone(id);
                }
            }
            Event::KillRefused { id } => self.refused(id),
            Event::HeirSought { .. }
            | Event::WorkersWatched { .. }
            | Event::WorkerEnded { .. }
            | Event::FolderWritten
            | Event::CoresTidied { .. }
            | Event::DiskSeen { .. }
            | Event::GrownSearched { .. } => {}
            Event::Swept { signal, left } => self.swept(signal, &left),
            Event::OrphansReaped { dead } => {
                self.orphan_ended();
                self.owe(Action::Log(Notice::OrphansReaped { dead }));
            }
            Event::RequestsServed { id, count } => {
                // A source has spoken, even if it tells only of what is left out.
                self.silence = None;
                if let Some(member) = self.member(id).filter(|member| member.stage == Stage::Alive) {
                    member.used = member.used.saturating_add(count);
                }
            }
            Event::Looked { id, sight } => self.looked(id, &sight),
            Event::DrainChecked { slot, queue } => self.drain_checked(slot, queue),
            Event::QueueSeen { slot, waiting } => self.queue_seen(slot, &waiting),
            Event::Shed { connections } => self.owe(Action::Log(Notice::ConnectionsShed { connections })),
            Event::SteerFailed { message } => {
                self.owe(Action::Log(Notice::SteerFailed { message }));
                self.steer_failed();
            }
            Event::OutputDropped { lines } => self.owe(Action::Log(Notice::OutputDropped { lines })),
            Event::MemoryMeasured { id, bytes, shared, view, cost } => {
                self.memory_measured(id, bytes, shared, view, cost);
            }
            Event::ConnectionsCounted { total } => self.connections_counted(total),
            Event::Asked { client, .. } => self.command(client),
            Event::PageAsked { client, .. } => self.turn.curious = Some(client),
            Event::Tick => self.tick(),
        }
    }

    fn signal(&mut self, signal: Signal) {
        let signal = match self.policy.signals.of(signal) {
            Meaning::Itself => signal,
            Meaning::Other(other) => {
                if other != signal {
                    self.owe(Action::Log(Notice::SignalRewritten { signal, to: Some(other) }));
                }
                // From here on it is as if that had come.
                self.turn.event = Event::Signal(other);
                other
            }
            Meaning::Nothing => {
                return self.owe(Action::Log(Notice::SignalRewritten { signal, to: None }));
            }
            Meaning::Recycle => {
                return match self.incumbent() {
                    Some(_) => self.command(None),
                    None => self.turn.news.push(News::Unheard),
                };
            }
        };
        if self.sweep.is_some() {
            self.signal_to_the_rest(signal);
        } else if self.members.is_empty() {
            if ends(signal) {
                self.start = None;
                self.owe(Action::Log(Notice::Stopping { signal, grace: Duration::ZERO }));
                self.sweep(signal.exit_code(), self.turn.now + self.policy.grace_period);
            } else {
                self.turn.news.push(News::Signal);
            }
        } else if let Some(id) = self.incumbent().map(|member| member.id) {
            self.signal_to_incumbent(id, signal);
        } else {
            self.signal_at_the_end(signal);
        }
    }

    fn signal_to_incumbent(&mut self, id: GenerationId, signal: Signal) {
        if signal == Signal::TERM {
            if self.puts_off(id) {
                return;
            }
            (self.stopping, self.stop_at) = (true, None);
            self.owe(Action::Log(Notice::Stopping { signal, grace: self.policy.grace_period }));
            self.end(id);
            let leaving = self.members.iter().filter_map(|member| match member.role {
                Role::Incumbent | Role::Successor(_) => Some((member.id, Cause::Stopped)),
                Role::Former(_) => Some((member.id, Cause::Recycled)),
                Role::Leaving(_) => None,
            });
            for (id, cause) in leaving.collect::<Vec<_>>() {
                self.leave(id, cause);
            }
            return;
        }
        self.turn.news.push(News::Signal);
        self.owe_kill(self.recipient(id), signal);
        if !ends(signal) {
            return;
        }
        if let Some(member) = self.member(id) {
            member.fate = Fate::Asked;
        }
        // There is nothing to hand over any more.
        if let Some(successor) = self.beside(id).filter(|member| matches!(member.role, Role::Successor(_))) {
            let successor = successor.id;
            self.steer_to(id);
            self.leave(successor, Cause::Stopped);
        }
    }

    /// All leave already. Who is the last, or the only one, hears of it.
    fn signal_at_the_end(&mut self, signal: Signal) {
        let (now, grace) = (self.turn.now, self.policy.grace_period);
        let of = self.revival.map(|revival| revival.of);
        let place = self.members.iter().position(|member| Some(member.id) == of).unwrap_or(0);
        if let Some(member) = self.members.get_mut(place).filter(|_| self.end.is_none() && ends(signal)) {
            if self.revival.is_none_or(|revival| revival.of == member.id) {
                member.role = Role::Leaving(Cause::Stopped);
            }
            let (id, killed) = (member.id, member.killed);
            let at = self.members.get(place).and_then(|member| self.killed_at(member)).unwrap_or(now + grace);
            let left = if killed.is_some() { Duration::ZERO } else { at.saturating_duration_since(now) };
            self.owe(Action::Log(Notice::Stopping { signal, grace: left }));
            match self.revival.take() {
                Some(revival) => {
                    self.end(revival.of);
                    let Revival { code, until, .. } = revival;
                    self.end.iter_mut().for_each(|end| (end.code, end.until) = (code, code.map(|_| until)));
                }
                None => self.end(id),
            }
        }
        self.turn.news.push(News::Signal);
        let revived = self.revival.map(|revival| revival.of);
        let of = self.end.as_ref().map(|end| end.of).or(revived);
        let last = self.members.iter().find(|member| of.is_none_or(|of| of == member.id));
        match last.map(|member| (member.id, member.stage)) {
            Some((id, Stage::Alive)) if signal == Signal::TERM => {
                // Another stop is by the same signal as the first, and told so.
                self.turn.event = Event::Signal(self.policy.stop_signal);
                self.owe_kill(self.recipient(id), self.policy.stop_signal);
            }
            Some((id, Stage::Alive)) => self.owe_kill(self.recipient(id), signal),
            // There is nobody left who would pass it on.
            Some((id, Stage::Reaped)) if ends(signal) => self.owe_kill(Target::Group(id), signal),
            Some((_, Stage::Reaped | Stage::Ordered | Stage::Dead)) | None => {}
        }
    }

    fn spawned(&mut self, id: GenerationId) {
        let (now, policy, timeout) = (self.turn.now, self.policy.clone(), self.policy.ready_timeout);
        let Some(member) = self.member(id).filter(|member| member.stage == Stage::Ordered) else { return };
        (member.stage, member.started) = (Stage::Alive, now);
        match &mut member.role {
            Role::Successor(preparation) => {
                preparation.sights = Sights::new(now);
                (preparation.look_at, preparation.by) = (now + LOOK, now + timeout);
            }
            // It serves before it is known to, so it is not watched at once.
            Role::Incumbent | Role::Former(_) | Role::Leaving(_) => {
                member.serves_from(&policy, now, now + timeout);
            }
        }
        self.turn.news.push(News::Started(id));
    }

    fn spawn_failed(&mut self, id: GenerationId, error: SpawnError) {
        let Some(place) = self.members.iter().position(|member| member.id == id) else { return };
        if self.members.get(place).is_none_or(|member| member.stage != Stage::Ordered) {
            return;
        }
        let Member { slot, tries, role, .. } = self.members.remove(place);
        if let Role::Successor(preparation) = role {
            self.turn.need = preparation.need;
        }
        if let Some(incumbent) = self.incumbent().map(|member| member.id) {
            self.handover_failed(incumbent);
            self.turn.news.push(News::NotStarted(id));
        } else {
            let (failures, pause) = (tries + 1, backoff(tries + 1));
            self.start = Some(Start { id, slot, failures, due: self.turn.now + pause });
            self.owe(Action::Log(Notice::SpawnFailed { id, error, retry_in: Some(pause) }));
        }
    }

    fn exited(&mut self, id: GenerationId, outcome: Outcome, heir: Option<Pid>) {
        if self.left.contains(&id) {
            self.owe(Action::Reap(id));
        }
        let now = self.turn.now;
        let Some(member) = self.member(id).filter(|member| member.stage == Stage::Alive) else { return };
        let (requests, age) = (member.used, now - member.started);
        let cause = match member.role {
            Role::Incumbent if heir.is_some() => return self.followed(id, heir),
            Role::Incumbent => return self.incumbent_ended(id, &outcome),
            Role::Successor(_) => Cause::NotReady,
            Role::Former(_) => Cause::ByItself,
            Role::Leaving(cause) => cause,
        };
        let is_successor = matches!(member.role, Role::Successor(_));
        match &outcome {
            Outcome::NeverRan(error) if is_successor => {
                self.owe(Action::Log(Notice::SpawnFailed { id, error: error.clone(), retry_in: None }));
            }
            Outcome::NeverRan(_) | Outcome::Ended(_) => {
                let outcome = outcome.clone();
                self.owe(Action::Log(Notice::GenerationEnded { id, outcome, cause, requests, age }));
            }
        }
        if is_successor {
            self.fail(id, Failure::Ended);
        }
        self.bury(id, outcome);
        if let Some(member) = self.member(id) {
            member.role = Role::Leaving(cause);
        }
    }

    /// Its leader has put another process in its own place.
    fn followed(&mut self, id: GenerationId, heir: Option<Pid>) {
        let (now, policy, stopping) = (self.turn.now, self.policy.clone(), self.stopping);
        let (Some(member), Some(pid)) = (self.member(id), heir) else { return };
        let (requests, age) = (member.used, now - member.started);
        member.renew(&policy, now);
        member.measured_from(&policy, now, now);
        member.too_big_until = now;
        member.fate = if stopping { Fate::Asked } else { Fate::Replaceable };
        self.owe(Action::Follow { id, heir: pid });
        self.owe(Action::Log(Notice::LeaderFollowed { id, pid, requests, age }));
    }

    fn refused(&mut self, id: GenerationId) {
        let (now, policy) = (self.turn.now, self.policy.clone());
        let ending = self.end.is_some() || self.revival.is_some();
        let only = self.members.len() == 1;
        let Some(member) = self.member(id) else { return };
        if matches!(member.role, Role::Successor(_)) {
            return;
        }
        let told_before = std::mem::replace(&mut member.refuses, true);
        // Nor did it hear that it was asked to end.
        member.fate = Fate::Deaf;
        if matches!(member.role, Role::Leaving(_)) && !ending {
            if !only {
                // It stays, and so would the next one: two are enough.
                self.members.iter_mut().filter(|member| member.is_incumbent()).for_each(Member::keep);
            } else if member.stage == Stage::Alive && member.killed.is_none() {
                // It never heard that it was to stop, so it serves on, and is not asked again.
                member.told = None;
                member.serves_from(&policy, now, now);
            }
        }
        if !told_before {
            self.owe(Action::Log(Notice::SignalRefused { id }));
        }
    }

    fn queue_seen(&mut self, slot: Slot, waiting: &[u64]) {
        let (now, policy) = (self.turn.now, self.policy.clone());
        let Some(id) = self.alone().filter(|member| member.slot == slot).map(|member| member.id) else {
            return;
        };
        let (Some(limit), Some(member)) = (policy.watchdog, self.member(id)) else { return };
        let hangs = member.watch.stands_since(waiting, now).is_some_and(|since| now >= since + limit);
        let old_enough = now >= member.recyclable_from(&policy);
        if hangs && old_enough && self.alone().is_some_and(|member| self.may_be_recycled(member)) {
            self.turn.recycle = Recycling::Must;
        }
    }

    fn command(&mut self, client: Option<Client>) {
        self.turn.asked = client;
        if self.alone().is_some_and(|member| self.may_be_recycled(member)) {
            self.turn.recycle = Recycling::Must;
        } else {
            self.turn.news.push(News::Refused);
        }
    }

    fn tick(&mut self) {
        let now = self.turn.now;
        self.steering.before = None;
        if self.unanswered().is_some() {
            return;
        }
        self.sweep_on();
        if self.stop_at.is_some_and(|at| now >= at)
            && let Some(incumbent) = self.incumbent().map(|member| member.id)
        {
            // As if it had been asked again; all else can wait.
            self.turn.event = Event::Signal(Signal::TERM);
            return self.signal_to_incumbent(incumbent, Signal::TERM);
        }
        if self.steering.again.is_some_and(|again| now >= again)
            && let Some(incumbent) = self.incumbent()
        {
            self.owe(Action::Steer(incumbent.slot));
        }
        if let Some(start) = self.start.as_ref().filter(|start| now >= start.due) {
            let (id, slot) = (start.id, start.slot);
            self.owe(Action::Spawn { id, slot });
        }
        if let Some(member) = self.alone()
            && self.may_be_recycled(member)
        {
            let Calls { may, must } = member.calls(&self.policy);
            let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
            self.turn.recycle = match (is_due(must), is_due(may)) {
                (true, _) => Recycling::Must,
                (false, true) => Recycling::Maybe,
                (false, false) => Recycling::Not,
            };
        }
        self.turn.otherwise = self.looks();
        for id in self.members.iter().map(|member| member.id).collect::<Vec<_>>() {
            self.time_passes(id);
        }
    }

    /// What whoever serves alone is to be asked and looked at for now.
    fn looks(&self) -> Vec<Action> {
        let Some(member) = self.alone() else { return Vec::new() };
        let is_due = |at: &Instant| self.turn.now >= *at;
        let watch = self.policy.watchdog.map(|_| member.watch.look_at).filter(is_due);
        let gauge = member.gauge.as_ref().filter(|gauge| is_due(&gauge.measure_at));
        let ask = self.silence.as_ref().map(|silence| silence.ask_at).filter(is_due);
        let queue = watch.map(|_| Action::CheckQueue(member.slot));
        let measure = gauge.map(|gauge| {
            let (limit, shared) = (gauge.line(self.turn.now), gauge.known_shared(self.turn.now));
            Action::Measure { id: member.id, limit, shared }
        });
        let count = ask.map(|_| Action::CountConnections);
        [queue, measure, count].into_iter().flatten().collect()
    }

    fn time_passes(&mut self, id: GenerationId) {
        let now = self.turn.now;
        let Some(member) = self.member(id).filter(|member| member.stage != Stage::Ordered) else { return };
        let slot = member.slot;
        match &mut member.role {
            Role::Successor(preparation) if now >= preparation.by => {
                self.fail(id, Failure::TooLate);
                self.leave(id, Cause::NotReady);
            }
            Role::Successor(preparation) if now >= preparation.look_at => {
                preparation.look_at = now + LOOK;
                self.owe(Action::Look(id));
            }
            Role::Former(drain) if now >= drain.until => {
                self.owe(Action::Log(Notice::DrainExpired { id }));
                self.leave(id, Cause::Recycled);
            }
            Role::Former(drain) if now >= drain.check_at => {
                drain.check_at = now + LOOK;
                self.owe(Action::CheckDrain(slot));
            }
            Role::Leaving(_) => self.press(id),
            Role::Incumbent | Role::Successor(_) | Role::Former(_) => {}
        }
    }
}
