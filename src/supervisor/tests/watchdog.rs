//! A server that hangs: connections wait, and none of them is accepted.

use super::given::*;
use super::*;

const WATCHED: Policy = Policy { watchdog: Some(Duration::from_secs(10)), ..HANDOVER };

/// Generation 1 serves, and from 60 s on it is watched.
fn watched() -> Story {
    serving_by(WATCHED)
}

/// Connections 1 and 2 wait since 60 s.
fn standing() -> Story {
    watched().after(60_000, TICK).after(60_000, waiting(Slot::A, &[1, 2]))
}

/// Generation 1 was seen to hang at 70 s, and generation 2 starts.
fn replacing() -> Story {
    standing().after(70_000, waiting(Slot::A, &[1, 2])).after(70_000, spawned(2))
}

#[test]
fn a_first_generation_is_watched_when_it_has_had_time_to_boot() {
    table(
        watched,
        &[
            (59_999, TICK, "", "serving 1 until 60s"),
            (60_000, TICK, "check queue of A", "serving 1 until 62.5s"),
            (75_000, TICK, "check queue of A", "serving 1 until 77.5s"),
        ],
    );
    // Whoever does not want it does not pay for it.
    table(alone, &[(75_000, TICK, "", "serving 1")]);
}

#[test]
fn a_queue_that_does_not_move_is_a_hung_server() {
    let hung = |standing| format!("[1 hung for {standing} in 70s], spawn 2 in B");
    let again = "serving 1 until 62.5s";
    table(
        standing,
        &[
            (69_999, waiting(Slot::A, &[1, 2]), "", again),
            (70_000, waiting(Slot::A, &[1, 2]), &hung("10s"), "handing over 1 to 2"),
            // It grows.
            (70_000, waiting(Slot::A, &[0, 1, 2, 3]), &hung("10s"), "handing over 1 to 2"),
            // One was accepted.
            (70_000, waiting(Slot::A, &[2]), "", again),
            (70_000, waiting(Slot::A, &[2, 3, 4]), "", again),
            (70_000, waiting(Slot::A, &[]), "", again),
            // Where nobody serves.
            (70_000, waiting(Slot::B, &[1, 2]), "", again),
        ],
    );
    let story =
        standing().after(62_500, TICK).after(65_000, TICK).after(65_000, waiting(Slot::A, &[1, 2, 3]));
    let hung = "[1 hung for 12s in 72s], spawn 2 in B";
    story.goes(&[(72_000, waiting(Slot::A, &[1, 2, 3]), hung, "handing over 1 to 2")]);
}

#[test]
fn a_busy_server_moves() {
    let again = "serving 1 until 62.5s";
    standing().goes(&[
        (65_000, waiting(Slot::A, &[2, 3]), "", again),
        (74_999, waiting(Slot::A, &[2, 3, 4]), "", again),
        (74_999, waiting(Slot::A, &[3, 4]), "", again),
        (84_998, waiting(Slot::A, &[3, 4]), "", again),
        // Empty for a moment.
        (84_998, waiting(Slot::A, &[]), "", again),
        (84_999, waiting(Slot::A, &[3, 4]), "", again),
        (94_998, waiting(Slot::A, &[3, 4]), "", again),
        (
            94_999,
            waiting(Slot::A, &[3, 4]),
            "[1 hung for 10s in 94.999s], spawn 2 in B",
            "handing over 1 to 2",
        ),
    ]);
}

#[test]
fn a_hung_server_is_not_waited_for() {
    let end = "[1 Recycled with 137: 0 in 96.5s], KILL to group 1, reap 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    replacing().goes(&[
        (70_050, TICK, "look at 2", "handing over 1 to 2 until 70.1s"),
        (71_000, waiting(Slot::A, &[1, 2]), "", "handing over 1 to 2 until 70.1s"),
        (
            71_000,
            ready(2),
            "steer to B, [1 handed over to 2 in 1s], TERM to leader 1, CONT to group 1",
            "retiring 1 beside 2 until 72s",
        ),
        (96_000, TICK, kill_all, "retiring 1 beside 2 until 101s"),
        (96_500, killed(1), end, "retiring 1 beside 2 until 101s"),
        // Its successor is known to serve, so it is watched at once.
        (96_500, gone(1), "shed A", "serving 2 until 71s"),
        (96_500, shed(), "[3 shed]", "serving 2 until 71s"),
        (96_500, TICK, "check queue of B", "serving 2 until 99s"),
    ]);
}

#[test]
fn who_may_not_be_recycled_is_not_replaced_either() {
    let hung = |at: u64| (at, waiting(Slot::A, &[1, 2]), "", "serving 1 until 62.5s");
    // Too young.
    let old = Policy { min_age: Duration::from_secs(80), ..WATCHED };
    let story = serving_by(old).after(60_000, TICK).after(60_000, waiting(Slot::A, &[1, 2]));
    let replaced = "[1 hung for 20s in 80s], spawn 2 in B";
    story.goes(&[hung(79_999), (80_000, waiting(Slot::A, &[1, 2]), replaced, "handing over 1 to 2")]);
    // Asked to end.
    standing().after(61_000, QUIT).goes(&[hung(99_000)]);
    // Something hangs in the kernel.
    let left = replacing().after(71_000, ready(2)).after(96_000, TICK).after(101_000, TICK);
    let left = left.after(101_000, TICK).after(101_000, waiting(Slot::B, &[7]));
    let seen = waiting(Slot::B, &[7]);
    let replaced = "[2 hung for 11s in 42s], spawn 3 in A";
    left.goes(&[
        (111_000, seen.clone(), "", "serving 2 until 103.5s"),
        (112_000, gone(1), "", "serving 2 until 103.5s"),
        (112_000, seen, replaced, "handing over 2 to 3"),
    ]);
}

#[test]
fn one_that_hangs_on_is_tried_again_after_a_pause() {
    let failed = "steer to A, [2 NotReady with 1: 0 in 1s], TERM to group 2, CONT to group 2, reap 2, \
                  [2 failed: it ended, again in 30s]";
    let hung = |at: u64| (at, waiting(Slot::A, &[1, 2, 3]), "", "serving 1 until 73.5s");
    replacing().goes(&[
        (71_000, exited(2, 1), failed, "retiring 2 beside 1 until 96s"),
        (71_000, gone(2), "shed B", "serving 1 until 62.5s"),
        (71_000, TICK, "check queue of A", "serving 1 until 73.5s"),
        hung(71_000),
        hung(100_999),
        (
            101_000,
            waiting(Slot::A, &[1, 2, 3]),
            "[1 hung for 41s in 101s], spawn 3 in B",
            "handing over 1 to 3",
        ),
    ]);
}

#[test]
fn a_successor_that_was_promoted_has_the_time_to_boot() {
    replacing().after(71_000, exited(1, 3)).after(71_000, gone(1)).goes(&[
        (72_000, TICK, "", "serving 2 until 131s"),
        (131_000, TICK, "check queue of B", "serving 2 until 133.5s"),
    ]);
}

#[test]
fn a_hung_server_is_replaced_by_other_strategies_too() {
    let hung = |policy| {
        let story = serving_by(policy).after(60_000, TICK).after(60_000, waiting(Slot::A, &[1, 2]));
        story.after(69_999, waiting(Slot::A, &[1, 2]))
    };
    let seen = || waiting(Slot::A, &[1, 2]);
    hung(Policy { recycle: Recycle::Restart, ..WATCHED }).goes(&[
        (
            70_000,
            seen(),
            "[1 hung for 10s in 70s], TERM to leader 1, CONT to group 1",
            "recycling 1 until 71s",
        ),
        (70_500, exited(1, 0), END, "recycling 1 until 95s"),
        (70_500, gone(1), "spawn 2 in A", "spawning 2"),
        (70_500, spawned(2), "[2 is process 102 for 5]", "serving 2 until 130.5s"),
    ]);
    // One that cannot be told to stop serves on, and does not boot again.
    hung(Policy { recycle: Recycle::Restart, ..WATCHED }).after(70_000, seen()).goes(&[
        (70_100, refused(1), "[1 refuses signals]", "serving 1 until 70.1s"),
        (70_100, TICK, "check queue of A", "serving 1 until 72.6s"),
        (70_100, seen(), "", "serving 1 until 72.6s"),
        (99_000, seen(), "", "serving 1 until 72.6s"),
    ]);
    // What it replaces by itself has to boot again.
    hung(Policy { recycle: Recycle::Reload(Signal::HUP), ..WATCHED }).goes(&[
        (70_000, seen(), "[1 hung for 10s in 70s], HUP to leader 1, [1 got HUP: 0]", "serving 1 until 130s"),
        (130_000, TICK, "check queue of A", "serving 1 until 132.5s"),
        (130_000, seen(), "", "serving 1 until 132.5s"),
    ]);
}

const END: &str = "[1 Recycled with 0: 0 in 70.5s], TERM to group 1, CONT to group 1, reap 1";

#[test]
fn a_budget_comes_before_a_look() {
    let story = watched().after(10_000, served(1, 5));
    assert_eq!(story.state(), "serving 1 until 30s");
    let story = story.after(20_000, QUIT);
    story.goes(&[(60_000, TICK, "check queue of A", "serving 1 until 62.5s")]);
}
