//! A child that ends by itself, and is started again.

use super::given::*;
use super::*;

const ON_FAILURE: Policy = Policy { restart: Restart::OnFailure, ..POLICY };

fn failing() -> Story {
    serving_by(ON_FAILURE)
}

#[test]
fn what_has_failed_is_started_again_after_a_pause() {
    let dead = "[1 ByItself with 3: 0 in 5s], TERM to group 1, CONT to group 1, reap 1, [restart in 100ms]";
    failing().goes(&[
        (5_000, exited(1, 3), dead, "restarting 1 until 6s"),
        // What is left of it goes first.
        (5_050, gone(1), "", "waiting to start 2 until 5.1s"),
        (5_100, TICK, "spawn 2 in A", "spawning 2"),
        (5_100, spawned(2), "[2 is process 102 for 5]", "serving 2"),
        (
            6_000,
            exited(2, 4),
            "[2 ByItself with 4: 0 in 900ms], TERM to group 2, CONT to group 2, reap 2, [restart in 200ms]",
            "restarting 2 until 7s",
        ),
        (7_000, gone(2), "", "waiting to start 3 until 6.2s"),
        (7_000, TICK, "spawn 3 in A", "spawning 3"),
    ]);
}

#[test]
fn what_a_dead_leader_leaves_behind_does_not_hold_the_next_one_up_for_long() {
    failing().after(5_000, exited(1, 3)).goes(&[
        (5_999, TICK, "", "restarting 1 until 6s"),
        (6_000, TICK, "[grace of 1 over], KILL to group 1", "restarting 1 until 11s"),
        (6_100, gone(1), "", "waiting to start 2 until 5.1s"),
        (6_100, TICK, "spawn 2 in A", "spawning 2"),
    ]);
}

#[test]
fn a_status_that_counts_as_0_is_no_failure() {
    let end = |code| format!("[1 ByItself with {code}: 0 in 5s], TERM to group 1, CONT to group 1, reap 1");
    failing()
        .goes(&[(5_000, exited(1, 0), &end(0), "stopping 1 until 30s"), (5_000, gone(1), "exit 0", "ended")]);
    let expected = Policy { expected: Expected::NONE.and(7), ..ON_FAILURE };
    serving_by(expected).goes(&[(5_000, exited(1, 7), &end(7), "stopping 1 until 30s")]);
    let always = Policy { restart: Restart::Always, ..POLICY };
    let again = format!("{}, [restart in 100ms]", end(0));
    serving_by(always).goes(&[(5_000, exited(1, 0), &again, "restarting 1 until 6s")]);
    serving().goes(&[(5_000, exited(1, 3), &end(3), "stopping 1 until 30s")]);
}

#[test]
fn after_too_many_ends_ostler_gives_up_with_the_childs_status() {
    let mut story = failing();
    let mut told = Vec::new();
    for number in 1..=6 {
        let now = u64::from(number) * 5_000;
        told.push(story.step(now, exited(number, 9)).rsplit(", ").next().unwrap().to_owned());
        let _ = (story.step(now, gone(number)), story.step(now + 4_000, TICK));
        let _ = story.step(now + 4_000, spawned(number + 1));
    }
    assert_eq!(
        told,
        [
            "[restart in 100ms]",
            "[restart in 200ms]",
            "[restart in 400ms]",
            "[restart in 800ms]",
            "[restart in 1.6s]",
            "[gives up after 6 in 60s]"
        ]
    );
    assert_eq!(story.state(), "ended");
}

#[test]
fn what_was_asked_to_end_is_not_started_again() {
    let end = |code| format!("[1 Asked with {code}: 0 in 5s], TERM to group 1, CONT to group 1, reap 1");
    for signal in [INT, QUIT] {
        failing().after(4_000, signal).goes(&[(5_000, exited(1, 3), &end(3), "stopping 1 until 30s")]);
    }
    let stopped = || failing().after(5_000, exited(1, 3)).after(5_500, TERM);
    stopped().goes(&[(6_000, gone(1), "exit 3", "ended")]);
    // Or while it is waited for the next one.
    failing().after(5_000, exited(1, 3)).after(5_000, gone(1)).goes(&[(
        5_001,
        TERM,
        "[TERM stops all in 0ns], exit 143",
        "ended",
    )]);
    let delayed = Policy { drain_delay: Duration::from_secs(9), ..ON_FAILURE };
    let story = serving_by(delayed).after(4_000, TERM);
    story.goes(&[(5_000, exited(1, 3), &end(3), "stopping 1 until 30s")]);
}

#[test]
fn what_cannot_be_executed_is_not_started_again() {
    let never_ran = never_ran(1, SpawnCause::NotFound);
    failing().after(100, never_ran).goes(&[(100, gone(1), "exit 127", "ended")]);
}

#[test]
fn an_incumbent_that_dies_beside_who_goes_is_started_again_when_both_are_gone() {
    let retiring = || {
        let policy = Policy { restart: Restart::OnFailure, ..HANDOVER };
        let story = serving_by(policy).after(40_000, USR2).after(40_000, spawned(2));
        story.after(41_000, ready(2)).after(42_000, empty(Slot::A))
    };
    let dead = "[2 ByItself with 3: 0 in 2.5s], TERM to group 2, CONT to group 2, reap 2, [restart in 100ms]";
    retiring().goes(&[
        (42_500, exited(2, 3), dead, "restarting 2 and 1 until 43s"),
        // Nobody serves: the other one has only until the next start is due.
        (42_600, gone(2), "", "restarting 2 and 1 until 42.6s"),
        (
            42_600,
            TICK,
            "[grace of 1 over], KILL to leader 1, KILL to group 1",
            "restarting 2 and 1 until 47.6s",
        ),
        (
            42_700,
            killed(1),
            "[1 Recycled with 137: 0 in 42.7s], KILL to group 1, reap 1",
            "restarting 2 and 1 until 47.6s",
        ),
        (42_800, gone(1), "", "waiting to start 3 until 42.6s"),
        (42_800, TICK, "spawn 3 in B", "spawning 3"),
    ]);
    // A stop is heard also when only the other one is left.
    let alone = retiring().after(42_500, exited(2, 3)).after(42_550, gone(2));
    alone.goes(&[
        (42_580, TERM, "[TERM stops all in 20ms], [TERM dropped]", "stopping 2 and 1 until 42.6s"),
        (
            42_590,
            exited(1, 0),
            "[1 Recycled with 0: 0 in 42.59s], TERM to group 1, CONT to group 1, reap 1",
            "stopping 2 and 1 until 42.6s",
        ),
        (42_595, gone(1), "exit 3", "ended"),
    ]);
}
