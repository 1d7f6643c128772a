//! What must hold, looked at each second.

use crate::clients::Clients;
use crate::journal::{Journal, Rule};
use crate::processes::{Process, all, describe};
use crate::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A zombie may live so long, while the one who has to reap it runs.
const ZOMBIE: Duration = Duration::from_secs(5);
/// ostler may use so much of a CPU, over so many seconds: it does not spin.
const BUSY: f64 = 0.5;
const BUSY_FOR: usize = 5;
/// What is held at the end is compared with what was held in this minute, before which everything was opened once.
const BEFORE: Duration = Duration::from_mins(2);
const WINDOW: Duration = Duration::from_mins(1);
/// Descriptors, and KiB: so much more is no leak, but what the moment needs.
const MORE_DESCRIPTORS: usize = 2;
const MORE_MEMORY: u64 = 128;

#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) samples: Vec<Sample>,
    zombies: BTreeMap<(u32, u64), Zombie>,
    pub(crate) zombies_seen: usize,
    pub(crate) oldest_zombie: Duration,
    /// Since when there are too many generations.
    crowded: Option<Instant>,
    /// CPU time of ostlers that have ended.
    cpu_before: Duration,
    /// The last second's, of this ostler.
    cpu: Duration,
    busy: usize,
    answered: u64,
    /// The longest time without an answer, and what was done before and in it.
    pub(crate) gap: Option<(Duration, Duration, String)>,
}

struct Zombie {
    /// Since when whoever has to reap it could.
    since: Instant,
    told: Told,
}

#[derive(PartialEq, Eq)]
enum Told {
    NotYet,
    Told,
}

/// One second.
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) answered: u64,
    pub(crate) descriptors: usize,
    /// KiB.
    pub(crate) memory: u64,
}

impl Watch {
    pub(crate) fn look(&mut self, subject: &Subject, clients: &Clients, journal: &mut Journal, log: &str) {
        let processes = all(&subject.proc());
        if subject.init.usage().is_some() && !processes.iter().any(|process| process.pid == 1) {
            // Whoever sees nothing finds nothing wrong.
            journal.violation(Rule::Alive, "it is not in its own namespace's /proc".into(), log);
        }
        self.look_at_zombies(&processes, journal, log);
        self.count_generations(subject, &processes, journal, log);
        self.use_of(subject, clients, journal, log);
        self.explain_gap(clients, journal);
    }

    /// Another ostler takes the place of one that has ended.
    pub(crate) fn begin_anew(&mut self) {
        self.zombies.clear();
        self.cpu_before += self.cpu;
        self.cpu = Duration::ZERO;
        (self.crowded, self.busy) = (None, 0);
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.cpu_before + self.cpu
    }

    fn look_at_zombies(&mut self, processes: &[Process], journal: &mut Journal, log: &str) {
        let now = Instant::now();
        let zombies: Vec<_> = processes.iter().filter(|process| process.is_zombie()).collect();
        let there: BTreeSet<_> = zombies.iter().map(|zombie| (zombie.pid, zombie.start)).collect();
        self.zombies.retain(|key, _| there.contains(key));
        for zombie in zombies {
            let parent = processes.iter().find(|process| process.pid == zombie.parent);
            let key = (zombie.pid, zombie.start);
            let seen = self.zombies.entry(key).or_insert_with(|| {
                self.zombies_seen += 1;
                Zombie { since: now, told: Told::NotYet }
            });
            if parent.is_some_and(Process::is_stopped) {
                // It is we who have stopped it.
                seen.since = now;
            }
            let age = now - seen.since;
            self.oldest_zombie = self.oldest_zombie.max(age);
            if age > ZOMBIE && seen.told == Told::NotYet {
                seen.told = Told::Told;
                let words = format!("{} of {parent:?}, for {age:.1?}", zombie.pid);
                journal.violation(Rule::NoZombies, words, log);
            }
        }
    }

    /// A generation is a process group: one whose leader is dead and whose workers live counts too. Who was started
    /// from outside is of a group that the namespace does not know, and has 0.
    fn count_generations(
        &mut self,
        subject: &Subject,
        processes: &[Process],
        journal: &mut Journal,
        log: &str,
    ) {
        let count = |processes: &[Process]| {
            let live = processes.iter().filter(|process| !process.is_zombie() && process.group > 1);
            live.map(|process| process.group).collect::<BTreeSet<_>>()
        };
        // /proc is not read in one moment: one may have ended and the next begun.
        let groups = [count(processes), count(&all(&subject.proc()))];
        let groups: Vec<_> = groups[0].intersection(&groups[1]).collect();
        if groups.len() <= 2 {
            self.crowded = None;
        } else if self.crowded.is_none() {
            self.crowded = Some(Instant::now());
            let evidence = format!("{}{log}", describe(subject.init.pid()));
            journal.violation(Rule::TwoGenerations, format!("{groups:?}"), &evidence);
        }
    }

    fn use_of(&mut self, subject: &Subject, clients: &Clients, journal: &mut Journal, log: &str) {
        let answered = clients.tally().answered;
        let fresh = answered - std::mem::replace(&mut self.answered, answered);
        // None: it is ending right now.
        let Some(usage) = subject.init.usage() else { return };
        let used = usage.cpu.saturating_sub(std::mem::replace(&mut self.cpu, usage.cpu));
        self.busy = if used.as_secs_f64() > BUSY { self.busy + 1 } else { 0 };
        if self.busy == BUSY_FOR {
            journal.violation(Rule::Idle, format!("{used:?} of CPU in the last second"), log);
        }
        let (at, descriptors, memory) = (journal.elapsed(), usage.descriptors, usage.memory);
        self.samples.push(Sample { at, answered: fresh, descriptors, memory });
    }

    fn explain_gap(&mut self, clients: &Clients, journal: &Journal) {
        let gap = clients.longest();
        if self.gap.as_ref().is_none_or(|known| gap.length > known.1) {
            let at = gap.begin.saturating_duration_since(journal.begin);
            let lead = Duration::from_secs(5);
            let from = gap.begin.checked_sub(lead).unwrap_or(gap.begin);
            let acts = journal.between(from, gap.begin + gap.length).join("; ");
            self.gap = Some((at, gap.length, acts));
        }
    }

    /// The least that was held in a window: what the moment needs is not in it.
    pub(crate) fn least(&self, from: Duration, of: impl Fn(&Sample) -> u64) -> Option<u64> {
        let window = self.samples.iter().filter(|sample| (from..from + WINDOW).contains(&sample.at));
        window.map(of).min()
    }

    /// The windows that are compared; none if the run is too short.
    pub(crate) fn windows(&self) -> Option<(Duration, Duration)> {
        let last = self.samples.last()?.at.saturating_sub(WINDOW);
        (last >= BEFORE + WINDOW).then_some((BEFORE, last))
    }

    /// Has ostler grown?
    pub(crate) fn compare(&self, journal: &mut Journal) {
        let Some((first, last)) = self.windows() else { return };
        let descriptors = |sample: &Sample| sample.descriptors as u64;
        let grown = |of: &dyn Fn(&Sample) -> u64, more: u64| {
            let (first, last) = (self.least(first, of)?, self.least(last, of)?);
            (last > first + more).then(|| format!("{first} in the third minute, {last} in the last"))
        };
        if let Some(words) = grown(&descriptors, MORE_DESCRIPTORS as u64) {
            journal.violation(Rule::Descriptors, words, "");
        }
        if let Some(words) = grown(&|sample| sample.memory, MORE_MEMORY) {
            journal.violation(Rule::Memory, words, "");
        }
    }
}
