//! One generation on its way out: recycled with nobody beside it, stopped, dead by itself, or deaf to signals.

use super::given::*;
use super::*;

#[test]
fn the_outgoing_generation_goes_before_the_next_one_comes() {
    let end = "[1 Recycled with 0: 5 in 32s], TERM to group 1, CONT to group 1, reap 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    let stop = "[TERM stops all in 24.5s], [TERM forwarded], TERM to leader 1";
    let interrupt = "[INT stops all in 24.5s], [INT forwarded], INT to leader 1";
    let quit = "[QUIT stops all in 24.5s], [QUIT forwarded], QUIT to leader 1";
    let later = "recycling 1 until 31s";
    table(
        recycling,
        &[
            (32_000, exited(1, 0), end, "recycling 1 until 55s"),
            // An heir of what was told to stop is stopped with its group.
            (32_000, succeeded(1), end, "recycling 1 until 55s"),
            (30_999, TICK, "", later),
            (31_000, TICK, "TERM to gunicorn 1", "recycling 1 until 32s"),
            (54_999, TICK, "TERM to gunicorn 1", "recycling 1 until 55s"),
            (55_000, TICK, kill_all, "recycling 1 until 60s"),
            (30_500, HUP, "[HUP forwarded], HUP to leader 1", later),
            (30_500, TERM, stop, "stopping 1 until 31s"),
            (30_500, INT, interrupt, "stopping 1 until 31s"),
            (30_500, QUIT, quit, "stopping 1 until 31s"),
        ],
    );
    tells(recycling);
    ignores(recycling, &[TICK, spawned(2), spawn_failed(2), exited(2, 0), gone(1), served(1, 9), refused(2)]);
    ignores(recycling, &[ready(1), empty(Slot::A), waiting(Slot::A, &[1])]);
}

#[test]
fn what_the_leader_leaves_behind_goes_too() {
    let killed_end = "[1 Recycled with 137: 5 in 56s], KILL to group 1, reap 1";
    let too_late = "[TERM stops all in 0ns], [TERM forwarded], TERM to leader 1";
    let stop_rest = "[TERM stops all in 22s], [TERM forwarded], TERM to group 1";
    let later = "recycling 1 until 55s";
    table(
        recycling_reaped,
        &[
            (33_000, gone(1), "spawn 2 in A", "spawning 2"),
            (54_999, TICK, "", later),
            (55_000, TICK, "[grace of 1 over], KILL to group 1", "recycling 1 until 60s"),
            (33_000, HUP, "[HUP dropped]", later),
            (33_000, TERM, stop_rest, "stopping 1 until 55s"),
        ],
    );
    tells(recycling_reaped);
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
fn a_stop_without_effect_is_sent_again_each_second() {
    recycling().goes(&[
        (31_000, TICK, "TERM to gunicorn 1", "recycling 1 until 32s"),
        (31_999, TICK, "", "recycling 1 until 32s"),
        (32_000, TICK, "TERM to gunicorn 1", "recycling 1 until 33s"),
        // A wake-up that was late does not make up for what it missed.
        (54_500, TICK, "TERM to gunicorn 1", "recycling 1 until 55s"),
        (55_000, TICK, "[grace of 1 over], KILL to leader 1, KILL to group 1", "recycling 1 until 60s"),
        (56_000, TICK, "", "recycling 1 until 60s"),
    ]);
    // What a dead leader leaves behind has had it as a group.
    stopping_reaped().goes(&[(64_999, TICK, "", "stopping 1 until 65s")]);
}

#[test]
fn a_group_that_sigkill_does_not_end_is_left() {
    let asked_to = "answer 7 started 2, [2 on command in 2s], TERM to leader 2, CONT to group 2";
    let left = recycling_reaped().after(55_000, TICK).goes(&[
        (59_999, TICK, "", "recycling 1 until 60s"),
        (60_000, TICK, "[group of 1 left], spawn 2 in A", "spawning 2"),
        (60_000, spawned(2), "[2 is process 102 for 5]", "serving 2"),
        // What it holds cannot be had, so there is no recycle until it is gone.
        (60_500, served(2, 5), "", "serving 2"),
        (61_000, USR2, "[no recycle: nobody]", "serving 2"),
        (61_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 2"),
        (95_000, TICK, "", "serving 2"),
    ]);
    left.goes(&[
        (95_000, gone(1), "", "serving 2 until 90s"),
        (95_000, TICK, "[2 spent 5 of 5 in 35s], TERM to leader 2, CONT to group 2", "recycling 2 until 96s"),
    ]);
    let soon = recycling_reaped().after(60_000, TICK).after(65_000, TICK).after(65_000, spawned(2));
    soon.goes(&[(66_000, gone(1), "", "serving 2"), (67_000, asked(), asked_to, "recycling 2 until 68s")]);
}

#[test]
fn a_stop_while_recycling_starts_nothing_any_more() {
    let end = "[1 Stopped with 0: 5 in 32s], TERM to group 1, CONT to group 1, reap 1";
    for signal in [TERM, INT, QUIT] {
        let mut story = recycling().after(31_000, signal.clone());
        assert_eq!(story.step(32_000, exited(1, 0)), end);
        assert_eq!(story.step(33_000, gone(1)), "exit 0");
        let mut story = recycling_reaped().after(32_500, signal);
        assert_eq!(story.step(33_000, gone(1)), "exit 0");
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
            (30_500, refused(1), "[1 refuses signals]", "serving 1"),
            (30_500, refused(2), "", "recycling 1 until 31s"),
        ],
    );
    recycling().after(31_000, refused(1)).after(31_000, served(1, 99)).goes(&[
        (99_000, TICK, "", "serving 1"),
        (99_000, refused(1), "", "serving 1"),
        (99_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1"),
    ]);
    stopping().after(41_000, refused(1)).goes(&[
        (42_000, TICK, "TERM to gunicorn 1", "stopping 1 until 43s"),
        (42_000, refused(1), "", "stopping 1 until 43s"),
        (65_000, TICK, "[grace of 1 over], KILL to leader 1, KILL to group 1", "stopping 1 until 70s"),
        (65_000, refused(1), "", "stopping 1 until 70s"),
        (70_000, TICK, "[group of 1 left], exit 137", "ended"),
    ]);
}

#[test]
fn stopping_ends_with_the_leaders_status_or_with_137() {
    let end = "[1 Stopped with 3: 0 in 40.5s], TERM to group 1, CONT to group 1, reap 1";
    let killed_end = "[1 Stopped with 137: 0 in 66s], KILL to group 1, reap 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    let later = "stopping 1 until 41s";
    table(
        stopping,
        &[
            (40_500, exited(1, 3), end, "stopping 1 until 65s"),
            (40_999, TICK, "", later),
            (41_000, TICK, "TERM to gunicorn 1", "stopping 1 until 42s"),
            (64_999, TICK, "TERM to gunicorn 1", "stopping 1 until 65s"),
            (65_000, TICK, kill_all, "stopping 1 until 70s"),
            (40_500, TERM, "[TERM forwarded], TERM to leader 1", later),
            (40_500, INT, "[INT forwarded], INT to leader 1", later),
            (40_500, QUIT, "[QUIT forwarded], QUIT to leader 1", later),
            (40_500, HUP, "[HUP forwarded], HUP to leader 1", later),
        ],
    );
    tells(stopping);
    ignores(stopping, &[TICK, spawned(2), spawn_failed(1), exited(2, 0), gone(1), served(1, 9), refused(2)]);
    ignores(stopping, &[ready(1), empty(Slot::A), waiting(Slot::A, &[1])]);
    table(
        stopping_reaped,
        &[
            (42_000, gone(1), "exit 3", "ended"),
            (65_000, TICK, "[grace of 1 over], KILL to group 1", "stopping 1 until 70s"),
            (42_000, TERM, "[TERM forwarded], TERM to group 1", "stopping 1 until 65s"),
            (42_000, HUP, "[HUP dropped]", "stopping 1 until 65s"),
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
    // Its leader had ended, others of its group hang.
    stopping_reaped().after(65_000, TICK).goes(&[(70_000, TICK, "[group of 1 left], exit 3", "ended")]);
    stopping_killed().after(66_000, killed(1)).goes(&[(67_000, gone(1), "exit 137", "ended")]);
}

#[test]
fn a_child_that_ends_by_itself_takes_ostler_with_it() {
    let end = "[1 ByItself with 3: 0 in 40s], TERM to group 1, CONT to group 1, reap 1";
    for given in [serving, alone] {
        table(given, &[(40_000, exited(1, 3), end, "stopping 1 until 65s")]);
    }
    table(
        by_itself,
        &[
            (40_000, gone(1), "exit 3", "ended"),
            (65_000, TICK, "[grace of 1 over], KILL to group 1", "stopping 1 until 70s"),
            (41_000, TERM, "[TERM forwarded], TERM to group 1", "stopping 1 until 65s"),
        ],
    );
    by_itself().after(65_000, TICK).goes(&[(70_000, TICK, "[group of 1 left], exit 3", "ended")]);
    for (status, code) in [
        (ExitStatus::Signaled(Signal::TERM), "exit 143"),
        (ExitStatus::Dumped(Signal(6)), "exit 134"),
        (ExitStatus::Signaled(Signal(64)), "exit 192"),
    ] {
        let mut story = serving().after(1, ended_with(1, status));
        assert_eq!(story.step(1, gone(1)), code);
    }
}
