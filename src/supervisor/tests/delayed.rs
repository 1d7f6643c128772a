//! The drain delay: asked to stop, and serving on for a while, in every state.

use super::given::*;
use super::*;

fn delayed(policy: Policy) -> Story {
    serving_by(Policy { drain_delay: Duration::from_secs(10), ..policy })
}

#[test]
fn the_child_serves_on_for_the_delay_and_then_stops() {
    let story = || delayed(POLICY).after(40_000, TERM);
    delayed(POLICY).goes(&[(40_000, TERM, "[stops in 10s]", "serving 1 until 50s")]);
    let stop = "[TERM stops all in 25s], TERM to leader 1, CONT to group 1";
    table(
        story as fn() -> Story,
        &[
            (49_999, TICK, "", "serving 1 until 50s"),
            (50_000, TICK, stop, "stopping 1 until 51s"),
            // Who is in a hurry asks again.
            (41_000, TERM, stop, "stopping 1 until 42s"),
            // It is not replaced any more, whatever it uses.
            (41_000, served(1, 99), "", "serving 1 until 50s"),
            (41_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1 until 50s"),
            // All else is as ever.
            (41_000, HUP, "[HUP forwarded], HUP to leader 1", "serving 1 until 50s"),
            (41_000, INT, "[INT forwarded], INT to leader 1", "serving 1 until 50s"),
            (
                41_000,
                exited(1, 3),
                "[1 Asked with 3: 0 in 41s], TERM to group 1, CONT to group 1, reap 1",
                "stopping 1 until 66s",
            ),
        ],
    );
    // A program that stops by another signal gets that one again, and never SIGTERM.
    let quits = Policy { stop_signal: Signal::QUIT, ..POLICY };
    serving_by(quits).after(1_000, TERM).goes(&[(
        2_000,
        TERM,
        "[QUIT forwarded], QUIT to leader 1",
        "stopping 1 until 2s",
    )]);
    // Once only.
    story().after(50_000, TICK).goes(&[
        (50_500, TERM, "[TERM forwarded], TERM to leader 1", "stopping 1 until 51s"),
        (51_000, TICK, "TERM to gunicorn 1", "stopping 1 until 52s"),
    ]);
}

#[test]
fn a_handover_under_way_is_given_up_and_one_that_is_done_goes_on() {
    let begun = delayed(HANDOVER).after(40_000, USR2).after(40_000, spawned(2));
    begun.goes(&[
        (
            41_000,
            TERM,
            "[stops in 10s], steer to A, TERM to leader 2, CONT to group 2",
            "retiring 2 beside 1 until 42s",
        ),
        (
            41_500,
            exited(2, 0),
            "[2 Stopped with 0: 0 in 1.5s], TERM to group 2, CONT to group 2, reap 2",
            "retiring 2 beside 1 until 51s",
        ),
        (41_500, gone(2), "shed B", "serving 1 until 51s"),
        (51_000, TICK, "[TERM stops all in 25s], TERM to leader 1, CONT to group 1", "stopping 1 until 52s"),
    ]);
    let done = delayed(HANDOVER).after(40_000, USR2).after(40_000, spawned(2)).after(41_000, ready(2));
    done.goes(&[
        (41_000, TERM, "[stops in 10s]", "draining 1 beside 2 until 41s"),
        (42_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 43s"),
        (
            42_500,
            exited(1, 0),
            "[1 Recycled with 0: 0 in 42.5s], TERM to group 1, CONT to group 1, reap 1",
            "retiring 1 beside 2 until 51s",
        ),
        (42_500, gone(1), "shed A", "serving 2 until 51s"),
        (51_000, TICK, "[TERM stops all in 25s], TERM to leader 2, CONT to group 2", "stopping 2 until 52s"),
    ]);
}

#[test]
fn nobody_waits_for_who_is_not_there() {
    let policy = Policy { drain_delay: Duration::from_secs(10), ..POLICY };
    Story::new(policy).goes(&[(0, TERM, "[TERM stops all in 0ns], exit 143", "ended")]);
}

#[test]
fn a_new_leader_is_not_replaced_either() {
    let story = delayed(POLICY).after(40_000, TERM).after(41_000, succeeded(1));
    story.after(42_000, served(1, 99)).goes(&[(49_000, TICK, "", "serving 1 until 50s")]);
    // Nor has its end any other reason where the leader before it could not be told anything.
    let deaf = delayed(POLICY).after(40_000, TERM).after(40_500, refused(1)).after(41_000, succeeded(1));
    let end = "[1 Asked with 0: 0 in 1s], TERM to group 1, CONT to group 1, reap 1";
    deaf.goes(&[(42_000, exited(1, 0), end, "stopping 1 until 67s")]);
}

#[test]
fn what_never_ran_is_not_tried_again_during_the_delay() {
    let story = delayed(POLICY).after(1_000, TERM);
    story.goes(&[
        (
            2_000,
            never_ran(1, SpawnCause::Resources),
            "[1 not started], TERM to group 1, CONT to group 1, reap 1",
            "stopping 1 until 27s",
        ),
        (2_000, gone(1), "exit 126", "ended"),
    ]);
}
