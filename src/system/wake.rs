//! What a wake-up has brought: signals, then all other sources, then the dead.

use super::cores::Cores;
use super::counter::Speech;
use super::sleep::Stir;
use super::{Reaping, System};
use crate::supervisor::{Event, Signal};
use nix::libc;
use std::time::Duration;

impl System {
    /// Waits until something happens, or until `timeout` is over; `None` is for ever.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Vec<Event> {
        let stir = self.sleep(timeout);
        let mut events = Vec::new();
        let mut came = self.take_signals(&mut events);
        match stir {
            // A signal has a way to go, and who is not asked now keeps
            // what it has: its descriptor would have been ready.
            Stir::Signals => {}
            Stir::Workers | Stir::Others | Stir::Nobody => came |= self.ask(stir, &mut events),
        }
        if self.reaping != Reaping::Done {
            // Before the dead, however late it was written: whoever has left a core file may be the last one.
            events.extend(self.cores.as_mut().and_then(Cores::heard));
            self.reap(&mut events);
        }
        self.forget_the_gone(&mut events);
        events.extend(self.shed_latecomers());
        self.vain = match stir {
            Stir::Signals | Stir::Others if !came && events.is_empty() => self.vain.saturating_add(1),
            Stir::Signals | Stir::Others | Stir::Workers | Stir::Nobody => 0,
        };
        events
    }

    /// Has any come?
    fn take_signals(&mut self, events: &mut Vec<Event>) -> bool {
        let signals = self.signals.pending();
        for signal in &signals {
            match *signal {
                libc::SIGCHLD => self.reaping = Reaping::Due,
                other => events.push(Event::Signal(Signal(other))),
            }
        }
        !signals.is_empty()
    }

    /// Asks every source but signals. Has anything come that is no event?
    fn ask(&mut self, stir: Stir, events: &mut Vec<Event>) -> bool {
        if let Some(control) = &mut self.control {
            events.extend(control.take());
        }
        events.extend(self.cores.as_mut().and_then(Cores::heard));
        let mut speech = Speech::Silent;
        for process in &mut self.processes {
            process.hear();
            if stir == Stir::Workers {
                process.tell_of_workers(events);
            }
            speech = speech.max(process.count(events, &mut self.passage, self.steered));
        }
        let mut stuck = false;
        if let Some(passage) = &mut self.passage {
            self.stdouts.retain_mut(|stdout| stdout.take(Some(passage)).is_ok());
            passage.flush();
            events.extend(passage.dropped().map(|lines| Event::OutputDropped { lines }));
            stuck = passage.writable().is_some();
        }
        self.listening.heard(speech);
        stuck || speech != Speech::Silent
    }
}
