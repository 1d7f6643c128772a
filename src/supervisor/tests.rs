//! The state machine as a table: in this state, at this time, this event gives these orders and leads there.
//!
//! A row is `(milliseconds, event, orders, state after)`. Orders and states are written in words, notices in brackets,
//! so that a row reads as a sentence and a failing one says what came instead.

mod asked;
mod budgets;
mod cores;
mod crash;
mod delayed;
mod departing;
mod failing;
mod given;
mod handing_over;
mod memory;
mod reload;
mod restarting;
mod retirement;
mod showing;
mod stop;
mod story;
mod sweeping;
mod watchdog;
mod workers;

use super::*;
use given::*;
use std::time::Duration;
use story::Story;

/// Each row is tried on a state of its own.
fn table(given: fn() -> Story, rows: &[(u64, Event, &str, &str)]) {
    for row in rows {
        given().goes(std::slice::from_ref(row));
    }
}

/// This event gives these orders, at once, and leaves the state as it is.
fn stays(given: fn() -> Story, event: &Event, orders: &str) {
    let mut story = given();
    let (before, now) = (story.state(), story.now.as_millis().try_into().unwrap());
    let ordered = story.step(now, event.clone());
    assert_eq!((ordered.as_str(), story.state().as_str()), (orders, before.as_str()), "{before} + {event:?}");
}

/// None of these events gives an order or changes anything that can be seen.
fn ignores(given: fn() -> Story, events: &[Event]) {
    for event in events {
        stays(given, event, "");
    }
}

/// What is told in every state, and changes none.
fn tells(given: fn() -> Story) {
    stays(given, &orphan(), "[orphan 77]");
    stays(given, &shed(), "[3 shed]");
    stays(given, &lines_dropped(), "[9 lines dropped]");
}

#[test]
fn waiting_to_start() {
    let again = "waiting to start 1 until 100ms";
    table(new, &[(0, TICK, "spawn 1 in A", "spawning 1")]);
    table(
        failed,
        &[
            (99, TICK, "", again),
            (100, TICK, "spawn 1 in A", "spawning 1"),
            (50, TERM, "[TERM stops all in 0ns], exit 143", "ended"),
            (50, INT, "[INT stops all in 0ns], exit 130", "ended"),
            (50, QUIT, "[QUIT stops all in 0ns], exit 131", "ended"),
            (50, HUP, "[HUP dropped]", again),
            (50, USR2, "[no recycle: nobody]", again),
            (50, asked(), "[no recycle: nobody], answer 7 nobody", again),
        ],
    );
    tells(failed);
    ignores(failed, &[TICK, spawned(1), spawn_failed(1), exited(1, 0), gone(1), served(1, 9), refused(1)]);
    ignores(failed, &[ready(1), empty(Slot::A), waiting(Slot::A, &[1])]);
}

#[test]
fn spawning_is_answered() {
    let again = "[1 not started, again in 100ms]";
    table(
        spawning,
        &[
            (0, spawned(1), "[1 is process 101 for 5]", "serving 1"),
            (0, spawn_failed(1), again, "waiting to start 1 until 100ms"),
            (0, orphan(), "[orphan 77]", "spawning 1"),
        ],
    );
    ignores(spawning, &[TICK, spawned(2), spawn_failed(2), TERM, HUP, USR2, asked(), shed(), not_steered()]);
    ignores(spawning, &[exited(1, 0), gone(1), served(1, 9), refused(1), ready(1), empty(Slot::A)]);
    ignores(spawning, &[waiting(Slot::A, &[1])]);
}

#[test]
fn what_is_told_before_the_answer_comes_after_it() {
    let started = "[1 is process 101 for 5]";
    let stopped = format!("{started}, [TERM stops all in 25s], TERM to leader 1, CONT to group 1");
    let forwarded = format!("{started}, [HUP forwarded], HUP to leader 1, [3 shed]");
    let recycled =
        format!("{started}, answer 7 started 1, [1 on command in 0ns], TERM to leader 1, CONT to group 1");
    let dead = "[1 ByItself with 3: 0 in 0ns], TERM to group 1, CONT to group 1, reap 1";
    let again = "[1 not started, again in 100ms]";
    let exit = format!("{again}, [TERM stops all in 0ns], exit 143");
    let told =
        |events: &[Event]| events.iter().fold(spawning(), |story, event| story.after(0, event.clone()));
    for (events, answer, orders, next) in [
        (&[TERM][..], spawned(1), stopped.as_str(), "stopping 1 until 1s"),
        (&[HUP, shed()], spawned(1), &forwarded, "serving 1"),
        (&[asked()], spawned(1), &recycled, "recycling 1 until 1s"),
        (&[served(1, 5)], spawned(1), started, "serving 1 until 30s"),
        (&[exited(1, 3)], spawned(1), &format!("{started}, {dead}"), "stopping 1 until 25s"),
        // The answer is for this start, and Ticks are not kept.
        (&[spawned(2), TICK], spawned(1), started, "serving 1"),
        (&[TERM], spawn_failed(1), &exit, "ended"),
        (&[HUP], spawn_failed(1), &format!("{again}, [HUP dropped]"), "waiting to start 1 until 100ms"),
    ] {
        told(events).goes(&[(0, answer, orders, next)]);
    }
}

#[test]
fn what_is_told_late_may_have_to_wait_again() {
    let replaced = "[1 is process 101 for 5], [1 on command in 0ns], TERM to leader 1, CONT to group 1, \
                    [1 Recycled with 0: 0 in 0ns], TERM to group 1, CONT to group 1, reap 1, spawn 2 in A";
    let story =
        [USR2, exited(1, 0), gone(1), HUP].into_iter().fold(spawning(), |story, event| story.after(0, event));
    story.goes(&[
        (0, spawned(1), replaced, "spawning 2"),
        (0, TERM, "", "spawning 2"),
        (
            0,
            spawned(2),
            "[2 is process 102 for 5], [HUP forwarded], HUP to leader 2, [TERM stops all in 25s], TERM to leader 2, CONT to group 2",
            "stopping 2 until 1s",
        ),
    ]);
}

#[test]
fn serving_takes_signals() {
    let stop = "[TERM stops all in 25s], TERM to leader 1, CONT to group 1";
    let recycle = "[1 on command in 40s], TERM to leader 1, CONT to group 1";
    let asked_to = format!("answer 7 started 1, {recycle}");
    table(
        serving,
        &[
            (40_000, TERM, stop, "stopping 1 until 41s"),
            (40_000, HUP, "[HUP forwarded], HUP to leader 1", "serving 1"),
            (40_000, INT, "[INT forwarded], INT to leader 1", "serving 1"),
            (40_000, QUIT, "[QUIT forwarded], QUIT to leader 1", "serving 1"),
            (40_000, Event::Signal(Signal(64)), "[64 forwarded], 64 to leader 1", "serving 1"),
            (40_000, USR2, recycle, "recycling 1 until 41s"),
            (40_000, asked(), &asked_to, "recycling 1 until 41s"),
        ],
    );
    tells(serving);
    ignores(serving, &[TICK, spawned(1), spawn_failed(1), exited(2, 0), gone(1), served(2, 9), refused(2)]);
    ignores(serving, &[ready(1), empty(Slot::A), waiting(Slot::A, &[1]), waiting(Slot::A, &[1])]);
}

#[test]
fn the_whole_group_gets_signals_if_so_configured() {
    let group = || serving_by(Policy { recipient: Recipient::Group, ..POLICY });
    let mut story = group();
    assert_eq!(story.step(1, HUP), "[HUP forwarded], HUP to group 1");
    assert_eq!(story.step(2, TERM), "[TERM stops all in 25s], TERM to group 1, CONT to group 1");
    assert_eq!(story.step(1_002, TICK), "TERM to gunicorn 1");
    let mut story = group().after(1, served(1, 5));
    assert_eq!(story.step(30_000, TICK), "[1 spent 5 of 5 in 30s], TERM to group 1, CONT to group 1");
}

#[test]
fn a_budget_recycles_when_it_is_spent_and_the_generation_old_enough() {
    let recycle = "[1 spent 5 of 5 in 30s], TERM to leader 1, CONT to group 1";
    table(
        serving,
        &[(1_000, served(1, 4), "", "serving 1"), (1_000, served(1, 5), "", "serving 1 until 30s")],
    );
    table(
        spent,
        &[
            (29_999, TICK, "", "serving 1 until 30s"),
            (30_000, TICK, recycle, "recycling 1 until 31s"),
            (
                29_999,
                TERM,
                "[TERM stops all in 25s], TERM to leader 1, CONT to group 1",
                "stopping 1 until 30.999s",
            ),
            // A command is obeyed at any age.
            (
                10_001,
                USR2,
                "[1 on command in 10.001s], TERM to leader 1, CONT to group 1",
                "recycling 1 until 11.001s",
            ),
        ],
    );
    // Spent when old enough already: at the next Tick.
    let mut story = serving().after(90_000, served(1, 7));
    assert_eq!(story.step(90_000, TICK), "[1 spent 7 of 5 in 90s], TERM to leader 1, CONT to group 1");
    // No budget, no recycling.
    let unlimited = Policy { budget: Budget::default(), ..POLICY };
    let story = serving_by(unlimited).after(1, served(1, u64::MAX));
    assert_eq!(story.after(90_000, TICK).state(), "serving 1");
}

#[test]
fn what_was_asked_to_end_is_not_recycled() {
    for signal in [INT, QUIT] {
        let story = spent().after(20_000, signal).after(25_000, served(1, 9));
        let nobody = "[no recycle: nobody], answer 7 nobody";
        story.goes(&[
            (60_000, TICK, "", "serving 1"),
            (60_000, asked(), nobody, "serving 1"),
            (60_000, USR2, "[no recycle: nobody]", "serving 1"),
        ]);
    }
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
    let end = "[1 not started, again in 200ms], TERM to group 1, CONT to group 1, reap 1";
    failed().after(100, TICK).after(100, spawned(1)).goes(&[
        (100, never_ran(1, SpawnCause::Resources), end, "recycling 1 until 25.1s"),
        (100, gone(1), "", "waiting to start 1 until 300ms"),
        (300, TICK, "spawn 1 in A", "spawning 1"),
        (300, spawn_failed(1), "[1 not started, again in 400ms]", "waiting to start 1 until 700ms"),
        (699, TICK, "", "waiting to start 1 until 700ms"),
        (700, TERM, "[TERM stops all in 0ns], exit 143", "ended"),
    ]);

    // A generation that ran makes them short again.
    let ran = failed().after(100, TICK).after(100, spawned(1)).after(200, served(1, 5));
    let next = ran.after(31_000, TICK).after(32_000, exited(1, 0)).after(32_000, gone(1));
    assert_eq!(next.after(32_000, spawn_failed(2)).state(), "waiting to start 2 until 32.1s");
}

#[test]
fn after_the_end_there_is_nothing() {
    ignores(ended, &[TICK, TERM, USR2, spawned(1), spawn_failed(1), exited(1, 0), gone(1), served(1, 9)]);
    ignores(ended, &[asked(), refused(1), ready(1), empty(Slot::A), waiting(Slot::A, &[1])]);
}

#[test]
fn the_child_is_told_to_stop_by_the_signal_that_it_knows() {
    let quit = || serving_by(Policy { stop_signal: Signal::QUIT, ..POLICY });
    table(
        quit,
        &[
            (
                40_000,
                TERM,
                "[TERM stops all in 25s], QUIT to leader 1, CONT to group 1",
                "stopping 1 until 41s",
            ),
            (
                40_000,
                USR2,
                "[1 on command in 40s], QUIT to leader 1, CONT to group 1",
                "recycling 1 until 41s",
            ),
            // What is passed on stays what it is.
            (40_000, INT, "[INT forwarded], INT to leader 1", "serving 1"),
        ],
    );
    let mut story = quit().after(40_000, TERM);
    assert_eq!(story.step(41_000, TICK), "QUIT to gunicorn 1");
}

#[test]
fn what_is_expected_of_the_child_is_as_good_as_0() {
    let all = [0, 1, 63, 64, 127, 128, 143, 255].into_iter().fold(Expected::default(), Expected::and);
    for status in 0..=255 {
        let expected = if [1, 63, 64, 127, 128, 143, 255].contains(&status) { 0 } else { status };
        assert_eq!(all.code(status), expected, "{status}");
        assert_eq!(Expected::default().code(status), status);
    }
    let policy = || Policy { expected: Expected::default().and(3), ..POLICY };
    for (code, exit) in [(3, "exit 0"), (4, "exit 4")] {
        let mut story = serving_by(policy()).after(40_000, exited(1, code));
        assert_eq!(story.step(40_000, gone(1)), exit);
    }
    // What is ostler's own is not the child's.
    assert_eq!(
        Story::new(Policy { expected: Expected::default().and(143), ..POLICY }).step(0, TERM),
        "[TERM stops all in 0ns], exit 143"
    );
}

#[test]
fn every_generation_draws_a_limit_of_its_own() {
    let limit = |started: &str| started.trim_end_matches(']').split(' ').next_back().map(str::to_owned);
    let budget = Budget { requests: Some(5), requests_jitter: 1_000_000, ..Budget::default() };
    for recycle in [Recycle::Restart, Recycle::Handover] {
        let mut story = Story::new(Policy { budget: budget.clone(), recycle, ..POLICY }).after(0, TICK);
        let first = story.step(0, spawned(1));
        let mut story = story.after(0, served(1, u64::MAX)).after(30_000, TICK);
        if recycle == Recycle::Restart {
            story = story.after(31_000, exited(1, 0)).after(31_000, gone(1));
        }
        let second = story.step(31_000, spawned(2));
        assert_ne!(limit(&first), limit(&second));
    }
}
