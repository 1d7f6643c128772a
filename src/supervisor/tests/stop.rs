//! ostler is told to end, or its server is asked to, at any time.

use super::given::*;
use super::*;

#[test]
fn a_stop_comes_to_all_there_are() {
    let stop_1 = "[TERM stops all in 25s], TERM to leader 1, CONT to group 1";
    let stop_2 = "[TERM stops all in 25s], TERM to leader 2, CONT to group 2";
    let both =
        "[TERM stops all in 25s], TERM to leader 1, CONT to group 1, TERM to leader 2, CONT to group 2";
    for (given, at, orders, next) in [
        (alone as fn() -> Story, 31_000, stop_1, "stopping 1 until 32s"),
        (starting, 31_000, both, "stopping 1 and 2 until 32s"),
        (
            draining,
            33_000,
            "[TERM stops all in 25s], TERM to leader 2, CONT to group 2, TERM to leader 1, CONT to group 1",
            "stopping 2 and 1 until 34s",
        ),
        // Those that were told before keep the grace that they were given.
        (retiring, 33_500, stop_2, "stopping 2 and 1 until 34s"),
        (retiring_reaped, 33_700, stop_2, "stopping 2 and 1 until 34.7s"),
        (retiring_killed, 58_500, stop_2, "stopping 2 and 1 until 59.5s"),
        (not_ready, 90_500, stop_1, "stopping 1 and 2 until 91s"),
        (promoted, 32_000, stop_2, "stopping 2 and 1 until 33s"),
        (handed_over, 35_000, stop_2, "stopping 2 until 36s"),
        (left, 64_000, stop_2, "stopping 2 until 65s"),
    ] {
        table(given, &[(at, TERM, orders, next)]);
    }
}

#[test]
fn both_are_stopped_and_the_incumbents_status_is_ostlers() {
    let end_of_1 = "[1 Stopped with 3: 5 in 31.5s], TERM to group 1, CONT to group 1, reap 1";
    let end_of_2 = "[2 Stopped with 4: 0 in 1.5s], TERM to group 2, CONT to group 2, reap 2";
    let again = "stopping 1 and 2 until 32s";
    let kill_both = "[grace of 2 over], KILL to leader 2, KILL to group 2, \
                     [grace of 1 over], KILL to leader 1, KILL to group 1";
    table(
        both_stopping,
        &[
            (31_999, TICK, "", again),
            (32_000, TICK, "TERM to gunicorn 2, TERM to gunicorn 1", "stopping 1 and 2 until 33s"),
            (56_000, TICK, kill_both, "stopping 1 and 2 until 61s"),
            (31_500, exited(1, 3), end_of_1, again),
            (31_500, exited(2, 4), end_of_2, again),
            (31_500, TERM, "[TERM forwarded], TERM to leader 1", again),
            (31_500, INT, "[INT forwarded], INT to leader 1", again),
            (31_500, QUIT, "[QUIT forwarded], QUIT to leader 1", again),
            (31_500, HUP, "[HUP forwarded], HUP to leader 1", again),
            (31_500, refused(1), "[1 refuses signals]", again),
            (31_500, refused(2), "[2 refuses signals]", again),
        ],
    );
    tells(both_stopping);
    ignores(both_stopping, &[TICK, spawned(2), spawned(3), spawn_failed(2), exited(3, 0), gone(1), gone(2)]);
    ignores(both_stopping, &[served(1, 9), served(2, 9), served(3, 9), refused(3), ready(1), ready(2)]);
    ignores(both_stopping, &[empty(Slot::A), busy(Slot::B), waiting(Slot::A, &[1]), waiting(Slot::B, &[1])]);
    let stopped = || both_stopping().after(31_500, exited(1, 3)).after(31_500, exited(2, 4));
    stopped().after(31_600, gone(1)).goes(&[
        (31_700, TERM, "[TERM dropped]", "stopping 1 and 2 until 56s"),
        (31_700, HUP, "[HUP dropped]", "stopping 1 and 2 until 56s"),
        (31_800, gone(2), "exit 3", "ended"),
    ]);
    stopped().after(31_600, gone(2)).goes(&[
        (31_700, TERM, "[TERM forwarded], TERM to group 1", "stopping 1 until 56s"),
        (31_800, gone(1), "exit 3", "ended"),
    ]);
    both_stopping().after(56_000, TICK).goes(&[
        (60_999, TICK, "", "stopping 1 and 2 until 61s"),
        (61_000, TICK, "[group of 2 left], [group of 1 left], exit 137", "ended"),
    ]);
    // Only one of them hangs.
    stopped().after(31_600, gone(1)).goes(&[
        (56_000, TICK, "[grace of 2 over], KILL to group 2", "stopping 1 and 2 until 61s"),
        (61_000, TICK, "[group of 2 left], exit 3", "ended"),
    ]);
}

#[test]
fn two_that_go_for_different_reasons_each_tell_theirs() {
    let end_of_1 = "[1 Recycled with 0: 5 in 35s], TERM to group 1, CONT to group 1, reap 1";
    let end_of_2 = "[2 Stopped with 0: 0 in 5s], TERM to group 2, CONT to group 2, reap 2";
    retiring().after(34_500, TERM).goes(&[
        (35_000, exited(1, 0), end_of_1, "stopping 2 and 1 until 35.5s"),
        (35_000, exited(2, 0), end_of_2, "stopping 2 and 1 until 58s"),
        (35_000, gone(1), "", "stopping 2 until 59.5s"),
        (35_000, gone(2), "exit 0", "ended"),
    ]);
    // One that was still draining would have gone as well.
    let story = draining().after(34_500, TERM);
    story.goes(&[(35_000, exited(1, 0), end_of_1, "stopping 2 and 1 until 35.5s")]);
}

#[test]
fn a_server_that_is_asked_to_end_is_not_replaced() {
    for (signal, name) in [(INT, "INT"), (QUIT, "QUIT")] {
        let to = |id| format!("[{name} forwarded], {name} to leader {id}");
        let successor_stops = format!("{}, steer to A, TERM to leader 2, CONT to group 2", to(1));
        for (given, at, orders, next) in [
            (alone as fn() -> Story, 31_000, to(1), "serving 1"),
            // There is nothing to hand over any more.
            (starting, 31_000, successor_stops, "retiring 2 beside 1 until 32s"),
            (draining, 33_000, to(2), "draining 1 beside 2 until 32s"),
            (retiring, 33_500, to(2), "retiring 1 beside 2 until 34s"),
            (not_ready, 90_500, to(1), "retiring 2 beside 1 until 91s"),
            (promoted, 32_000, to(2), "retiring 1 beside 2 until 56s"),
            (handed_over, 35_000, to(2), "serving 2"),
            (both_stopping, 31_500, to(1), "stopping 1 and 2 until 32s"),
        ] {
            table(given, &[(at, signal.clone(), &orders, next)]);
        }
        // It may take its time, whatever it uses.
        let end = "[2 Stopped with 0: 0 in 2s], TERM to group 2, CONT to group 2, reap 2";
        starting().after(31_000, signal.clone()).goes(&[
            (32_000, exited(2, 0), end, "retiring 2 beside 1 until 56s"),
            (32_000, gone(2), "shed B", "serving 1"),
            (99_000, TICK, "", "serving 1"),
            (99_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1"),
        ]);
        let waits = retiring().after(33_500, signal.clone()).after(34_000, served(2, 5));
        waits.after(34_000, exited(1, 0)).after(34_000, gone(1)).goes(&[(99_000, TICK, "", "serving 2")]);
        // Its end is the end.
        let end = "[1 Asked with 0: 5 in 31.5s], TERM to group 1, CONT to group 1, reap 1";
        let both = starting().after(31_000, signal).goes(&[
            (31_500, exited(1, 0), end, "stopping 1 and 2 until 32s"),
            (31_600, gone(1), "", "stopping 1 and 2 until 32s"),
        ]);
        let both = both.after(31_700, exited(2, 4));
        both.goes(&[(31_700, gone(2), "exit 0", "ended")]);
    }
}

/// Whoever has asked for the end gets it: the one before must not take over again.
#[test]
fn a_server_that_was_asked_to_end_does_not_bring_its_predecessor_back() {
    for signal in [INT, QUIT] {
        let mut story = draining().after(33_000, signal);
        let orders = story.step(33_500, exited(2, 0));
        assert!(!orders.contains("taken back"), "{orders} -> {}", story.state());
        assert!(story.state().starts_with("stopping 2 and 1"), "{}", story.state());
        let mut story = story.after(34_500, gone(2)).after(35_000, exited(1, 3));
        assert_eq!(story.step(35_000, gone(1)), "exit 0");
    }
}
