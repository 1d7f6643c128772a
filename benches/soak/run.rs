//! The run: something goes wrong every few seconds, what must hold is looked at, and at the end ostler is told to stop.

use crate::acts::Act;
use crate::clients::{Clients, Tally};
use crate::hands::{Done, Hands};
use crate::journal::{Journal, Rule};
use crate::log::{Heard, Log};
use crate::plan::Plan;
use crate::processes::{Process, Sent, describe};
use crate::subject::{GRACE, Subject};
use crate::support::load::answers;
use crate::support::{eventually, free_port};
use crate::watch::Watch;
use anyhow::Result;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const TURN: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_secs(1);
/// From one act to the next.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 2_000..=6_000;
/// When nobody was answered for so long, nothing more is done to the server until it answers again.
const SILENCE: Duration = Duration::from_secs(5);
/// So long it may take, from the moment at which nobody is stopped any more.
const RECOVERY: Duration = Duration::from_mins(1);
/// Between SIGKILL at the end of the grace period and the end.
const SLACK: Duration = Duration::from_secs(3);

pub(crate) struct Run {
    length: Duration,
    rng: Rng,
    port: u16,
    gunicorn_log: PathBuf,
    interrupted: Arc<AtomicBool>,
    // In this order: what is stopped is continued, then ostler ends, and then its log has no writer any more.
    hands: Hands,
    subject: Subject,
    clients: Clients,
    log: Log,
    watch: Watch,
    journal: Journal,
    phase: Phase,
    ends: BTreeMap<i32, u32>,
}

/// What came of it all.
pub(crate) struct Outcome {
    pub(crate) journal: Journal,
    pub(crate) watch: Watch,
    pub(crate) heard: Heard,
    pub(crate) tally: Tally,
    /// How often ostler ended by itself, by exit status.
    pub(crate) ends: BTreeMap<i32, u32>,
    pub(crate) last: String,
}

/// What is going on.
#[derive(Clone, Copy)]
enum Phase {
    /// The next thing goes wrong then.
    Acting(Instant),
    /// Nobody is answered: nothing more goes wrong until somebody
    /// is, or until then, which is known once nobody is stopped.
    Waiting(Option<Instant>),
}

impl Run {
    /// Starts the server, and waits until it serves.
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let (ostler_log, gunicorn_log) = (plan.file("ostler.log"), plan.file("gunicorn.log"));
        // gunicorn goes on where a log ends.
        let _ = std::fs::remove_file(&gunicorn_log);
        eprintln!("the logs: {}, {}", ostler_log.display(), gunicorn_log.display());
        let log = Log::open(&ostler_log)?;
        let port = free_port();
        let subject = Subject::start(port, &log, &gunicorn_log)?;
        eventually("gunicorn serves", || answers(port));
        Ok(Self {
            length: plan.length,
            rng: Rng::with_seed(plan.seed),
            port,
            gunicorn_log,
            interrupted,
            hands: Hands::default(),
            subject,
            clients: Clients::start(port),
            log,
            watch: Watch::default(),
            journal: Journal::new(plan.seed),
            phase: Phase::Acting(Instant::now()),
            ends: BTreeMap::new(),
        })
    }

    pub(crate) fn finish(mut self) -> Outcome {
        let mut look = Instant::now();
        while self.journal.elapsed() < self.length && !self.interrupted.load(Ordering::Relaxed) {
            self.turn();
            if look <= Instant::now() {
                self.look();
                look = Instant::now() + LOOK;
            }
            sleep(TURN);
        }
        self.recover();
        self.look();
        let last = self.stop();
        self.watch.compare(&mut self.journal);
        for line in self.log.heard().panics {
            self.journal.violation(Rule::NoPanic, line, "");
        }
        let (tally, ends) = (self.clients.tally(), self.ends);
        Outcome { journal: self.journal, watch: self.watch, heard: self.log.heard(), tally, ends, last }
    }

    fn turn(&mut self) {
        self.see_its_end();
        self.tend();
        let silence = self.clients.last().elapsed();
        match self.phase {
            Phase::Acting(next) if silence > SILENCE && next <= Instant::now() => {
                self.journal.note(format!("nobody was answered for {silence:.1?}: waiting"));
                self.phase = Phase::Waiting(None);
            }
            Phase::Acting(next) if next <= Instant::now() => {
                self.act();
                self.phase = self.next();
            }
            Phase::Waiting(_) if silence < LOOK => {
                self.journal.note("answered again");
                self.phase = self.next();
            }
            Phase::Waiting(None) if self.is_quiet() => {
                self.phase = Phase::Waiting(Some(Instant::now() + RECOVERY));
            }
            Phase::Waiting(Some(until)) if until <= Instant::now() => {
                self.violation(Rule::AnswersAgain, format!("nobody was answered for {silence:.1?}"));
                self.phase = self.next();
            }
            Phase::Acting(_) | Phase::Waiting(_) => {}
        }
    }

    /// Undoes what is due.
    fn tend(&mut self) {
        for words in self.hands.tend(&self.subject.init) {
            self.violation(Rule::Control, words);
        }
    }

    fn next(&mut self) -> Phase {
        Phase::Acting(Instant::now() + Duration::from_millis(self.rng.u64(PAUSE_MS)))
    }

    fn is_quiet(&self) -> bool {
        self.hands.are_empty() && !self.log.is_stuck()
    }

    fn act(&mut self) {
        let act = Act::draw(&mut self.rng);
        match self.hands.act(act, &self.subject, &self.log, &mut self.rng) {
            Ok(Done::Done(words)) => {
                self.journal.note(words);
                self.journal.count(act);
            }
            Ok(Done::Nobody) => self.journal.note(format!("{act}: there is nobody")),
            Err(error) => self.journal.note(format!("{act}: {error}")),
        }
        self.see_its_end();
    }

    fn look(&mut self) {
        let tail = self.log.tail();
        self.watch.look(&self.subject, &self.clients, &mut self.journal, &tail);
    }

    /// It never ends by itself, whatever becomes of its child; if it does, the run goes on with another one.
    fn see_its_end(&mut self) {
        let Some(status) = self.subject.ended() else { return };
        let lived = self.subject.born.elapsed();
        self.journal.note(format!("ostler has ended with {status}, after {lived:.1?}"));
        *self.ends.entry(status).or_default() += 1;
        self.violation(Rule::Alive, format!("it has ended with {status}"));
        self.leave_nothing(&[]);
        self.hands.forget();
        self.watch.begin_anew();
        match Subject::start(self.port, &self.log, &self.gunicorn_log) {
            Ok(subject) => self.subject = subject,
            Err(error) => self.violation(Rule::Alive, format!("it cannot be started anew: {error}")),
        }
    }

    fn violation(&mut self, rule: Rule, words: String) {
        let evidence = format!("{}{}", describe(self.subject.init.pid()), self.log.tail());
        self.journal.violation(rule, words, &evidence);
    }

    /// Nothing goes wrong any more: the server answers within a minute from when nobody is stopped any more.
    fn recover(&mut self) {
        self.journal.note("the end: nothing more goes wrong");
        let mut quiet = Instant::now();
        while self.clients.last() < quiet {
            if quiet.elapsed() > RECOVERY {
                return self.violation(Rule::AnswersAgain, "nobody is answered at the end".into());
            }
            self.see_its_end();
            self.tend();
            if !self.is_quiet() {
                // Whoever is stopped now is continued within seconds.
                quiet = Instant::now();
            }
            sleep(TURN);
        }
    }

    /// Tells ostler to stop, and says how it went.
    fn stop(&mut self) -> String {
        let everybody = self.subject.everybody();
        if self.subject.stop() == Sent::Nobody {
            self.violation(Rule::Alive, "there is nobody to be stopped".into());
        }
        let begin = Instant::now();
        let limit = GRACE + SLACK;
        let status = loop {
            match self.subject.ended() {
                Some(status) => break Some(status),
                None if begin.elapsed() > limit => break None,
                None => sleep(Duration::from_millis(5)),
            }
        };
        let took = begin.elapsed().as_secs_f64();
        let Some(status) = status else {
            self.violation(Rule::End, format!("it has not ended after {took:.1} s"));
            return "did not end in time".into();
        };
        // Its leader's, who was told to stop, whether it had taken notice of that yet or not.
        if ![0, 143, 137].contains(&status) {
            self.violation(Rule::End, format!("its status is {status}"));
        }
        self.leave_nothing(&everybody);
        format!("status {status} after {took:.1} s")
    }

    fn leave_nothing(&mut self, everybody: &[Process]) {
        let is_there = |process: &&Process| {
            Process::here(process.pid).is_some_and(|now| now.start == process.start && !now.is_zombie())
        };
        let left: Vec<_> = everybody.iter().filter(is_there).collect();
        if !left.is_empty() {
            self.violation(Rule::NothingLeft, format!("{left:?}"));
        }
        let cores = self.subject.cores();
        if !cores.is_empty() {
            self.violation(Rule::NoCores, cores.join(", "));
        }
    }
}
