//! Recycles of a server with held sockets, by hand, and what clients and the log tell of them.

use super::during::Shown;
use super::{Namespace, Setup, eventually};
use std::time::Duration;

/// SIGUSR2: a recycle by hand.
pub const USR2: i32 = 12;

/// A server with a held socket.
pub fn held(command: Vec<String>, port: u16) -> Setup {
    Setup::ostler(command).env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
}

/// How often something was told.
pub fn told(namespace: &Namespace, event: &str) -> usize {
    namespace.events(event).len()
}

/// Recycles by hand, and waits until the outgoing generation's leader is gone.
pub fn recycle(namespace: &mut Namespace, times: usize) {
    for _ in 0..times {
        let count = |namespace: &mut Namespace, event| {
            assert!(!namespace.ended(), "{}", namespace.err());
            told(namespace, event)
        };
        let (started, ended) = (count(namespace, "recycle-started"), count(namespace, "generation-ended"));
        // While others of the last one's group are still there, it is refused.
        eventually("a recycle begins", || {
            namespace.signal(USR2);
            std::thread::sleep(Duration::from_millis(50));
            count(namespace, "recycle-started") > started
        });
        eventually("the outgoing one ends", || count(namespace, "generation-ended") > ended);
    }
}

pub fn stop(namespace: &mut Namespace) {
    namespace.signal(15);
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
}

pub fn assert_no_fresh_failure(shown: &Shown, what: &str) {
    println!("{what}: {shown:?}");
    assert_eq!((shown.fresh.refused, shown.fresh.dropped), (0, 0), "{what}: {shown:?}");
    assert!(shown.fresh.answered > 0 && shown.kept.answered > 0, "{what}: {shown:?}");
}
