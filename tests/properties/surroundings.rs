//! What is not the generations' own: doors, steering, and who connects.

use crate::life::Habits;
use std::time::Duration;

/// What is not the generations' own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The generations share their sockets, so nobody can look through a door.
    pub(crate) blind: bool,
    /// Which of the orders to steer fail, one after another.
    pub(crate) steering_fails: Vec<bool>,
    /// How many connections are shed, one order after another.
    pub(crate) shed: Vec<u64>,
    pub(crate) visitors: Visitors,
    /// Processes that are no generation's.
    pub(crate) others: Vec<Habits>,
}

/// Who connects, as the kernel counts them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitors {
    /// Before ostler was there.
    pub(crate) before: u64,
    /// One more in each of these times; none, if that is no time.
    pub(crate) every: Duration,
    /// So many questions are answered.
    pub(crate) answers: usize,
}

impl Visitors {
    /// How many have come after so long a time.
    pub(crate) fn until(&self, time: Duration) -> u64 {
        let came = time.as_millis().checked_div(self.every.as_millis()).unwrap_or_default();
        self.before + u64::try_from(came).unwrap_or_default()
    }
}
