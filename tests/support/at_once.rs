//! Several cases at once: they wait most of the time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const THREADS: usize = 8;

/// Runs all; what came of each, or the words with which it panicked, in their order.
pub fn run<C: Sync, S: Send>(cases: &[C], run: impl Fn(&C) -> S + Sync) -> Vec<Result<S, String>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return done };
            let seen = catch_unwind(AssertUnwindSafe(|| run(case)));
            let seen = seen.map_err(|panic| {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
            });
            done.push((number, seen));
        }
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// Tells of each, and fails if one did.
pub fn assert_all<C, S: std::fmt::Debug>(
    cases: &[C],
    seen: Vec<Result<S, String>>,
    name: impl Fn(&C) -> String,
) {
    let mut failed = Vec::new();
    for (case, seen) in cases.iter().map(name).zip(seen) {
        match seen {
            Ok(seen) => println!("{case}: {seen:?}"),
            Err(why) => failed.push(format!("{case}: {why}")),
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
