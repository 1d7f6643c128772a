//! Waiting with a bound where an init may as well never do what is waited for: a fact of the table, and no failure.

use crate::support::{Namespace, Setup};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for all that comes at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// Long enough to be sure that nothing comes, of what takes milliseconds where it comes.
pub(crate) const NEVER: Duration = Duration::from_secs(3);

/// Does it hold in time?
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
}

/// The status of a PID 1 that ends in time.
pub(crate) fn end(namespace: &mut Namespace, limit: Duration) -> Option<i32> {
    within(limit, || namespace.ended()).then(|| namespace.end())
}

/// Starts it. Nothing if its program has not written this `count` times: the init has refused to start it, say.
pub(crate) fn start(setup: Setup, text: &str, count: usize) -> Option<Namespace> {
    let mut namespace = setup.start();
    let mut ended = false;
    let written = |namespace: &Namespace| namespace.out().matches(text).count() >= count;
    within(LIMIT, || {
        ended = namespace.ended();
        ended || written(&namespace)
    });
    (written(&namespace) && !ended).then_some(namespace)
}

/// Does its program write this in time?
pub(crate) fn says(namespace: &Namespace, text: &str, limit: Duration) -> bool {
    within(limit, || namespace.out().contains(text))
}
