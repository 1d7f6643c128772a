//! Connections come, and no request is counted: that is to be told, once.

use crate::judge::Judge;
use ostler::supervisor::{Action, Notice};
use std::time::{Duration, Instant};

/// So many connections are no health checks alone.
const ENOUGH: u64 = 20;

/// So many seconds after the first, the second, ... question
/// they are counted again; and after the last ones from then on.
const PAUSES: [u64; 6] = [10, 20, 40, 80, 160, 300];

/// Up to now no request was counted, and that was not told.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When the connections are to be counted. There may be no answer.
    pub(crate) ask_at: Instant,
    asked: usize,
    /// By the first answer.
    opened: Option<u64>,
}

impl Silence {
    pub(crate) fn from(now: Instant) -> Self {
        Self { ask_at: now, asked: 0, opened: None }
    }

    pub(crate) fn asked(&mut self, now: Instant) {
        let pause = PAUSES.get(self.asked).copied().unwrap_or(300);
        self.ask_at = now + Duration::from_secs(pause);
        self.asked += 1;
    }
}

impl Judge {
    /// An answer is heard only while somebody serves alone.
    pub(crate) fn connections_counted(&mut self, total: u64) {
        let alone = self.alone().is_some();
        let (Some(silence), Some(cure)) = (&mut self.silence, &self.policy.cure) else { return };
        if !alone {
            return;
        }
        let opened = *silence.opened.get_or_insert(total);
        let connections = total.saturating_sub(opened);
        if connections >= ENOUGH {
            let cure = cure.clone();
            self.silence = None;
            self.owe(Action::Log(Notice::CountSilent { connections, cure }));
        }
    }
}
