//! Records to lines on stderr, as text or JSON. Writing never blocks: a line that cannot go out is dropped and counted.

mod notice;
mod record;

pub(crate) use notice::name as signal_name;
pub(crate) use record::Harmless;
pub use record::Record;

use crate::config::{Level, LogFormat, Logging};
use crate::sink::Sink;
use crate::supervisor::Notice;
use std::time::SystemTime;

/// The log.
#[derive(Debug)]
pub struct Log {
    logging: Logging,
    sink: Sink,
    dropped: u64,
    /// And all of them, told or not.
    dropped_in_all: u64,
}

impl Log {
    /// A log on stderr.
    #[must_use]
    pub fn new(logging: Logging) -> Self {
        Self { logging, sink: Sink::stderr(), dropped: 0, dropped_in_all: 0 }
    }

    /// Tells what the supervisor has to tell.
    pub fn notice(&mut self, notice: &Notice) {
        let orphans = Some(self.logging.orphans).filter(|level| self.wants(*level));
        Record::each(notice, orphans, |record| self.write(record));
    }

    /// Writes one line, or counts it as dropped.
    pub fn write(&mut self, record: &Record) {
        if !self.wants(record.level) {
            return;
        }
        if self.dropped > 0 {
            let told = Record::new(Level::Warn, "log-lines-dropped", "nobody read the log for a while")
                .with("count", self.dropped);
            if !self.put(&told) {
                self.drop_one();
                return;
            }
            self.dropped = 0;
        }
        if !self.put(record) {
            self.drop_one();
        }
    }

    fn wants(&self, level: Level) -> bool {
        level <= self.logging.level && self.logging.format != LogFormat::Off
    }

    /// How many lines nobody has ever read.
    #[must_use]
    pub fn lines_dropped(&self) -> u64 {
        self.dropped_in_all
    }

    fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.dropped_in_all = self.dropped_in_all.saturating_add(1);
    }

    fn put(&mut self, record: &Record) -> bool {
        let now = SystemTime::now();
        let line = match self.logging.format {
            LogFormat::Text => record.text(now),
            LogFormat::Json => record.json(now),
            LogFormat::Off => return true,
        };
        self.sink.write(line.as_bytes()).is_ok()
    }
}
