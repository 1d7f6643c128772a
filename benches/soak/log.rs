//! ostler's stderr is a pipe, as in a container; its reader gets stuck when it is told to.

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, fcntl};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The smallest pipe there is: it is full soon.
const PIPE: i32 = 4096;
/// So many lines are told with a violation.
const TAIL: usize = 40;

pub(crate) struct Log {
    heard: Arc<Mutex<Heard>>,
    /// Every ostler writes to it; the reader ends when nobody has it any more.
    writer: Option<PipeWriter>,
    reader: Option<JoinHandle<()>>,
}

/// What the log has told.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    /// By the event's name.
    pub(crate) events: BTreeMap<String, u64>,
    /// Leaders that ended by themselves.
    pub(crate) died: u64,
    pub(crate) lines: u64,
    /// Lines that ostler could not write.
    pub(crate) dropped: u64,
    /// What nobody may ever read.
    pub(crate) panics: Vec<String>,
    tail: VecDeque<String>,
    stuck_until: Option<Instant>,
}

impl Log {
    /// All of it goes into this file too.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let (reader, writer) = std::io::pipe()?;
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE))?;
        let heard = Arc::default();
        let thread = thread::spawn({
            let heard = Arc::clone(&heard);
            move || read(reader, file, &heard)
        });
        Ok(Self { heard, writer: Some(writer), reader: Some(thread) })
    }

    pub(crate) fn writer(&self) -> &PipeWriter {
        self.writer.as_ref().expect("it is only taken when this is dropped")
    }

    /// Nobody reads for so long.
    pub(crate) fn stick(&self, time: Duration) {
        lock(&self.heard).stuck_until = Some(Instant::now() + time);
    }

    pub(crate) fn is_stuck(&self) -> bool {
        lock(&self.heard).stuck_until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }

    pub(crate) fn tail(&self) -> String {
        let heard = lock(&self.heard);
        heard.tail.iter().flat_map(|line| ["    ", line, "\n"]).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        lock(&self.heard).stuck_until = None;
        self.writer = None;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// A panic elsewhere does not break what was heard.
fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(pipe: PipeReader, mut file: File, heard: &Mutex<Heard>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        while lock(heard).stuck_until.is_some_and(|until| Instant::now() < until) {
            thread::sleep(Duration::from_millis(20));
        }
        line.clear();
        if !matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
            return;
        }
        let _ = file.write_all(&line);
        lock(heard).take(String::from_utf8_lossy(&line).trim_end());
    }
}

impl Heard {
    fn take(&mut self, line: &str) {
        self.lines += 1;
        if line.contains("panicked at") {
            self.panics.push(line.to_owned());
        }
        let told = line.split_once(" ostler ").and_then(|(_, rest)| rest.split_once(' ')?.1.split_once(": "));
        if let Some((event, words)) = told {
            *self.events.entry(event.to_owned()).or_default() += 1;
            self.died += u64::from(event == "generation-ended" && words.contains(", by itself"));
            let dropped = words.split_once(" count=").filter(|_| event == "log-lines-dropped");
            let dropped = dropped.and_then(|(_, count)| count.split(' ').next()?.parse::<u64>().ok());
            self.dropped += dropped.unwrap_or(0);
            // One for each of 500 orphans tells nothing.
            if event == "orphan-reaped" {
                return;
            }
        }
        self.tail.push_back(line.to_owned());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }
}
