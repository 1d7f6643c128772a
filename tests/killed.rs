//! SIGKILL in every state of a handover, to every part of every
//! generation: whoever can serve does, and all ends cleanly.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::killed::{CASES, run};

#[test]
fn whoever_is_killed_somebody_serves_or_the_end_is_told() {
    support::at_once::assert_all(&CASES, support::at_once::run(&CASES, run), |case| format!("{case:?}"));
}
