//! The state machine as a table: in this state, at this time, this event gives these orders and leads there.
//!
//! A row is `(milliseconds, event, orders, state after)`. Orders and states are written in words, notices in brackets,
//! so that a row reads as a sentence and a failing one says what came instead.

mod story;

use super::*;
use story::*;

/// Each row is tried on a state of its own.
fn table(given: fn() -> Story, rows: &[(u64, Event, &str, &str)]) {
    for (millis, event, orders, next) in rows {
        let mut story = given();
        let row = format!("{} + {event:?} at {millis} ms", story.state());
        let ordered = story.step(*millis, event.clone());
        assert_eq!((ordered.as_str(), story.state().as_str()), (*orders, *next), "{row}");
    }
}

/// None of these events gives an order or changes anything that can be seen.
fn ignores(given: fn() -> Story, events: &[Event]) {
    for event in events {
        let mut story = given();
        let (before, now) = (story.state(), story.now.as_millis().try_into().unwrap());
        let ordered = story.step(now, event.clone());
        assert_eq!((ordered.as_str(), story.state()), ("", before), "{event:?}");
    }
}

#[test]
fn waiting_to_start() {
    let again = "waiting to start 1 until 100ms";
    table(new, &[(0, TICK, "spawn 1", "spawning 1")]);
    table(
        failed,
        &[
            (99, TICK, "", again),
            (100, TICK, "spawn 1", "spawning 1"),
            (50, TERM, "[TERM stops all in 0ns], exit 143", "ended"),
            (50, Event::Signal(Signal::INT), "[INT stops all in 0ns], exit 130", "ended"),
            (50, Event::Signal(Signal::QUIT), "[QUIT stops all in 0ns], exit 131", "ended"),
            (50, Event::Signal(HUP), "[HUP dropped]", again),
            (50, orphan(), "[orphan 77]", again),
        ],
    );
    ignores(failed, &[TICK, spawned(1), spawn_failed(1), exited(1, 0), gone(1), served(1, 9)]);
}

#[test]
fn spawning_is_answered() {
    let again = "[1 not started, again in 100ms]";
    table(
        spawning,
        &[
            (0, spawned(1), "[1 is process 101 for 5]", "serving 1"),
            (0, spawn_failed(1), again, "waiting to start 1 until 100ms"),
            (0, TERM, "[TERM stops all in 0ns], exit 143", "ended"),
            (0, Event::Signal(HUP), "[HUP dropped]", "spawning 1"),
        ],
    );
    ignores(spawning, &[TICK, spawned(2), spawn_failed(2), exited(1, 0), gone(1), served(1, 9)]);
}

#[test]
fn serving_takes_signals() {
    let stop = "[TERM stops all in 25s], TERM to leader 1";
    table(
        serving,
        &[
            (40_000, TERM, stop, "stopping 1 until 65s"),
            (40_000, Event::Signal(HUP), "[HUP forwarded], HUP to leader 1", "serving 1"),
            (40_000, Event::Signal(Signal::INT), "[INT forwarded], INT to leader 1", "serving 1"),
            (40_000, Event::Signal(Signal(64)), "[64 forwarded], 64 to leader 1", "serving 1"),
            (40_000, orphan(), "[orphan 77]", "serving 1"),
        ],
    );
    ignores(serving, &[TICK, spawned(1), spawn_failed(1), exited(2, 0), gone(1), served(2, 9)]);
}

#[test]
fn the_whole_group_gets_signals_if_so_configured() {
    let group = || Story::new(Policy { recipient: Recipient::Group, ..POLICY });
    let mut story = group().after(0, TICK).after(0, spawned(1));
    assert_eq!(story.step(1, Event::Signal(HUP)), "[HUP forwarded], HUP to group 1");
    assert_eq!(story.step(2, TERM), "[TERM stops all in 25s], TERM to group 1");
    let mut story = group().after(0, TICK).after(0, spawned(1)).after(1, served(1, 5));
    assert_eq!(story.step(30_000, TICK), "[1 spent 5 of 5 in 30s], TERM to group 1");
}

#[test]
fn a_budget_recycles_when_it_is_spent_and_the_generation_old_enough() {
    let recycle = "[1 spent 5 of 5 in 30s], TERM to leader 1";
    table(
        serving,
        &[(1_000, served(1, 4), "", "serving 1"), (1_000, served(1, 5), "", "serving 1 until 30s")],
    );
    table(
        spent,
        &[
            (29_999, TICK, "", "serving 1 until 30s"),
            (30_000, TICK, recycle, "recycling 1 until 55s"),
            (29_999, TERM, "[TERM stops all in 25s], TERM to leader 1", "stopping 1 until 54.999s"),
        ],
    );
    // Spent when old enough already: at the Tick that ends the same batch of events.
    let mut story = serving().after(90_000, served(1, 7));
    assert_eq!(story.step(90_000, TICK), "[1 spent 7 of 5 in 90s], TERM to leader 1");
    // No budget, no recycling.
    let unlimited = Policy { budget: Budget::default(), ..POLICY };
    let story = Story::new(unlimited).after(0, TICK).after(0, spawned(1)).after(1, served(1, u64::MAX));
    assert_eq!(story.after(90_000, TICK).state(), "serving 1");
}

#[test]
fn the_outgoing_generation_goes_before_the_next_one_comes() {
    let end = "[1 Recycled with 0: 5 in 32s], TERM to group 1, CONT to group 1, reap 1";
    let killed_end = "[1 Recycled with 137: 5 in 56s], KILL to group 1, reap 1";
    let kill = "[grace of 1 over], KILL to group 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    let stop = "[TERM stops all in 23s], [TERM forwarded], TERM to leader 1";
    let interrupt = "[INT stops all in 23s], [INT forwarded], INT to leader 1";
    let too_late = "[TERM stops all in 0ns], [TERM forwarded], TERM to leader 1";
    let stop_rest = "[TERM stops all in 22s], [TERM forwarded], TERM to group 1";
    let later = "recycling 1 until 55s";
    table(
        recycling,
        &[
            (32_000, exited(1, 0), end, later),
            (54_999, TICK, "", later),
            (55_000, TICK, kill_all, "recycling 1 until 60s"),
            (32_000, Event::Signal(HUP), "[HUP forwarded], HUP to leader 1", later),
            (32_000, TERM, stop, "stopping 1 until 55s"),
            (32_000, Event::Signal(Signal::INT), interrupt, "stopping 1 until 55s"),
        ],
    );
    ignores(recycling, &[TICK, spawned(2), spawn_failed(2), exited(2, 0), gone(1), served(1, 9)]);
    table(
        recycling_reaped,
        &[
            (33_000, gone(1), "spawn 2", "spawning 2"),
            (55_000, TICK, kill, "recycling 1 until 60s"),
            (33_000, Event::Signal(HUP), "[HUP dropped]", later),
            (33_000, TERM, stop_rest, "stopping 1 until 55s"),
        ],
    );
    ignores(recycling_reaped, &[TICK, spawned(2), exited(1, 1), gone(2), served(2, 9)]);
    table(
        recycling_killed,
        &[
            (56_000, killed(1), killed_end, "recycling 1 until 60s"),
            // A leader that hangs in the kernel cannot be replaced here: the orchestrator has to see it.
            (59_999, TICK, "", "recycling 1 until 60s"),
            (60_000, TICK, "[group of 1 left], exit 137", "ended"),
            (57_000, TERM, too_late, "stopping 1 until 60s"),
        ],
    );
}

#[test]
fn a_group_that_sigkill_does_not_end_is_left() {
    let mut story = recycling_reaped().after(55_000, TICK);
    assert_eq!(story.step(59_999, TICK), "");
    assert_eq!(story.step(60_000, TICK), "[group of 1 left], spawn 2");
    let mut story = story.after(60_000, spawned(2));
    assert_eq!(story.step(61_000, gone(1)), "");
    assert_eq!(story.state(), "serving 2");
}

#[test]
fn a_stop_while_recycling_starts_nothing_any_more() {
    let mut story = recycling().after(31_000, TERM);
    let end = "[1 Stopped with 0: 5 in 32s], TERM to group 1, CONT to group 1, reap 1";
    assert_eq!(story.step(32_000, exited(1, 0)), end);
    assert_eq!(story.step(33_000, gone(1)), "exit 0");
    let mut story = recycling_reaped().after(32_500, TERM);
    assert_eq!(story.step(33_000, gone(1)), "exit 0");
}

#[test]
fn what_was_asked_to_end_is_not_recycled() {
    for signal in [Signal::INT, Signal::QUIT] {
        let story = spent().after(20_000, Event::Signal(signal)).after(25_000, served(1, 9));
        assert_eq!(story.after(60_000, TICK).state(), "serving 1", "it may take its time to end");
    }
}

#[test]
fn signals_that_do_not_arrive_are_told_once_and_stop_no_server() {
    table(
        serving,
        &[(1_000, refused(1), "[1 refuses signals]", "serving 1"), (1_000, refused(2), "", "serving 1")],
    );
    table(
        recycling,
        &[
            (31_000, refused(1), "[1 refuses signals]", "serving 1"),
            (31_000, refused(2), "", "recycling 1 until 55s"),
        ],
    );
    let mut story = recycling().after(31_000, refused(1)).after(31_000, served(1, 99));
    assert_eq!(story.step(99_000, TICK), "", "it cannot be recycled");
    assert_eq!(story.step(99_000, refused(1)), "", "told already");
    let mut story = stopping().after(41_000, refused(1));
    assert_eq!(story.step(65_000, TICK), "[grace of 1 over], KILL to leader 1, KILL to group 1");
    assert_eq!(story.step(65_000, refused(1)), "");
    assert_eq!(story.step(70_000, TICK), "[group of 1 left], exit 137");
}

#[test]
fn a_count_belongs_to_its_own_generation() {
    table(
        second,
        &[
            (70_000, served(1, 5), "", "serving 2"),
            (70_000, served(3, 5), "", "serving 2"),
            (70_000, served(2, 5), "", "serving 2 until 63s"),
            (70_000, exited(1, 0), "", "serving 2"),
            (70_000, gone(1), "", "serving 2"),
        ],
    );
    // What is counted until the leader ends is told with its end, and not carried over.
    let mut story = recycling().after(31_000, served(1, 2));
    let end = "[1 Recycled with 0: 7 in 32s], TERM to group 1, CONT to group 1, reap 1";
    assert_eq!(story.step(32_000, exited(1, 0)), end);
    let story = story.after(33_000, served(1, 9)).after(33_000, gone(1)).after(33_000, spawned(2));
    assert_eq!(story.after(99_000, TICK).state(), "serving 2");
}

#[test]
fn stopping_ends_with_the_leaders_status_or_with_137() {
    let end = "[1 Stopped with 3: 0 in 41s], TERM to group 1, CONT to group 1, reap 1";
    let killed_end = "[1 Stopped with 137: 0 in 66s], KILL to group 1, reap 1";
    let kill = "[grace of 1 over], KILL to group 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    table(
        stopping,
        &[
            (41_000, exited(1, 3), end, "stopping 1 until 65s"),
            (64_999, TICK, "", "stopping 1 until 65s"),
            (65_000, TICK, kill_all, "stopping 1 until 70s"),
            (41_000, TERM, "[TERM forwarded], TERM to leader 1", "stopping 1 until 65s"),
            (41_000, Event::Signal(HUP), "[HUP forwarded], HUP to leader 1", "stopping 1 until 65s"),
        ],
    );
    ignores(stopping, &[TICK, spawned(2), spawn_failed(1), exited(2, 0), gone(1), served(1, 9)]);
    table(
        stopping_reaped,
        &[
            (42_000, gone(1), "exit 3", "ended"),
            (65_000, TICK, kill, "stopping 1 until 70s"),
            (42_000, TERM, "[TERM forwarded], TERM to group 1", "stopping 1 until 65s"),
            (42_000, Event::Signal(HUP), "[HUP dropped]", "stopping 1 until 65s"),
        ],
    );
    ignores(stopping_reaped, &[TICK, spawned(2), exited(1, 1), gone(2), served(1, 9)]);
    table(
        stopping_killed,
        &[
            (66_000, killed(1), killed_end, "stopping 1 until 70s"),
            (69_999, TICK, "", "stopping 1 until 70s"),
            (70_000, TICK, "[group of 1 left], exit 137", "ended"),
        ],
    );
    let mut story = stopping_reaped().after(65_000, TICK);
    assert_eq!(
        story.step(70_000, TICK),
        "[group of 1 left], exit 3",
        "its leader had ended, others of its group hang"
    );
    let mut story = stopping_killed().after(66_000, killed(1));
    assert_eq!(story.step(67_000, gone(1)), "exit 137");
}

#[test]
fn a_child_that_ends_by_itself_takes_ostler_with_it() {
    let end = "[1 ByItself with 3: 0 in 40s], TERM to group 1, CONT to group 1, reap 1";
    table(serving, &[(40_000, exited(1, 3), end, "stopping 1 until 65s")]);
    table(
        by_itself,
        &[
            (40_000, gone(1), "exit 3", "ended"),
            (65_000, TICK, "[grace of 1 over], KILL to group 1", "stopping 1 until 70s"),
            (41_000, TERM, "[TERM forwarded], TERM to group 1", "stopping 1 until 65s"),
        ],
    );
    let mut story = by_itself().after(65_000, TICK);
    assert_eq!(story.step(70_000, TICK), "[group of 1 left], exit 3");
    for (status, code) in [
        (ExitStatus::Signaled(Signal::TERM), "exit 143"),
        (ExitStatus::Dumped(Signal(6)), "exit 134"),
        (ExitStatus::Signaled(Signal(64)), "exit 192"),
    ] {
        let outcome = Outcome::Ended(status);
        let mut story = serving().after(1, Event::Exited { id: GenerationId(1), outcome });
        assert_eq!(story.step(1, gone(1)), code);
    }
}

#[test]
fn a_program_that_cannot_be_executed_ends_ostler() {
    for (cause, code) in [(SpawnCause::NotFound, "exit 127"), (SpawnCause::NotExecutable, "exit 126")] {
        let mut story = serving();
        let end = "[1 not started], TERM to group 1, CONT to group 1, reap 1";
        assert_eq!(story.step(1_000, never_ran(1, cause)), end);
        assert_eq!(story.state(), "stopping 1 until 26s");
        assert_eq!(story.step(1_000, gone(1)), code);
        // The same if it had been told to stop before it was found out.
        let mut story = recycling().after(31_000, never_ran(1, cause));
        assert_eq!(story.step(31_000, gone(1)), code);
    }
}

#[test]
fn a_start_that_something_was_short_for_is_tried_again() {
    let end = "[1 not started, again in 100ms], TERM to group 1, CONT to group 1, reap 1";
    table(serving, &[(1_000, never_ran(1, SpawnCause::Resources), end, "recycling 1 until 26s")]);
    table(short, &[(1_000, gone(1), "", "waiting to start 1 until 1.1s")]);

    // Whether there was a process or not, the pauses double, and a stop ends them.
    let mut story = failed().after(100, TICK).after(100, spawned(1));
    let end = "[1 not started, again in 200ms], TERM to group 1, CONT to group 1, reap 1";
    assert_eq!(story.step(100, never_ran(1, SpawnCause::Resources)), end);
    let mut story = story.after(100, gone(1));
    assert_eq!(story.state(), "waiting to start 1 until 300ms");
    assert_eq!(story.step(300, TICK), "spawn 1");
    assert_eq!(story.step(300, spawn_failed(1)), "[1 not started, again in 400ms]");
    assert_eq!(story.step(699, TICK), "");
    assert_eq!(story.step(700, TERM), "[TERM stops all in 0ns], exit 143");

    // A generation that ran makes them short again.
    let ran = failed().after(100, TICK).after(100, spawned(1)).after(200, served(1, 5));
    let next = ran.after(31_000, TICK).after(32_000, exited(1, 0)).after(32_000, gone(1));
    assert_eq!(next.after(32_000, spawn_failed(2)).state(), "waiting to start 2 until 32.1s");
}

#[test]
fn after_the_end_there_is_nothing() {
    ignores(ended, &[TICK, TERM, spawned(1), spawn_failed(1), exited(1, 0), gone(1), served(1, 9)]);
}

#[test]
fn every_generation_draws_a_limit_of_its_own() {
    let policy = Policy { budget: Budget { requests: Some(5), requests_jitter: 1_000_000 }, ..POLICY };
    let mut story = Story::new(policy).after(0, TICK);
    let first = story.step(0, spawned(1));
    let mut story = story.after(0, served(1, u64::MAX)).after(30_000, TICK);
    story.step(31_000, exited(1, 0));
    story.step(31_000, gone(1));
    let second = story.step(31_000, spawned(2));
    let limit = |started: &str| started.trim_end_matches(']').split(' ').next_back().map(str::to_owned);
    assert_ne!(limit(&first), limit(&second));
}
