//! Core files are looked through whatever else goes on.

use super::given::*;
use super::*;
use std::num::NonZeroUsize;

const KEEPING: Policy = Policy { cores: NonZeroUsize::new(2), ..POLICY };

#[test]
fn core_files_are_looked_through_at_the_start_and_when_there_may_be_one() {
    let core = |file: &str| Core { file: file.into(), bytes: 8192, allocated: 4096, program: "app".into() };
    let tidied = || Event::CoresTidied {
        left: vec![core("core.3")],
        deleted: vec![core("core.1"), core("core.2")],
        stuck: vec![(core("core.0"), "not yours".into())],
    };
    let told = "[core.3 left], [core.1 deleted], [core.2 deleted], [core.0 stuck: not yours]";
    let story = Story::new(KEEPING);
    story.goes(&[
        (0, TICK, "keep 2 cores, spawn 1 in A", "spawning 1"),
        // Even before the start is answered.
        (0, tidied(), told, "spawning 1"),
        (0, spawned(1), "[1 is process 101 for 5]", "serving 1 until 2s"),
        (2_000, TICK, "keep 2 cores", "serving 1"),
        (5_000, Event::FolderWritten, "keep 2 cores", "serving 1"),
        (5_000, tidied(), told, "serving 1"),
        (5_500, Event::FolderWritten, "", "serving 1 until 6s"),
        (5_999, TICK, "", "serving 1 until 6s"),
        (6_000, TICK, "keep 2 cores", "serving 1"),
        // The last one may leave one too.
        (
            9_000,
            ended_with(1, ExitStatus::Dumped(Signal(6))),
            "keep 2 cores, [1 ByItself with 134: 0 in 9s], TERM to group 1, CONT to group 1, reap 1",
            "stopping 1 until 34s",
        ),
    ]);
}
