//! The incumbent serves, and the generation before it drains, is told to stop, and goes.

use super::given::*;
use super::*;

#[test]
fn what_still_waits_is_served_first() {
    let again = "draining 1 beside 2 until 32s";
    let end = "[1 ByItself with 3: 5 in 33s], TERM to group 1, CONT to group 1, reap 1";
    let heir = "[1 ByItself with 0: 5 in 33s], TERM to group 1, CONT to group 1, reap 1";
    table(
        draining,
        &[
            (32_000, TICK, "check drain of A", "draining 1 beside 2 until 32.05s"),
            (57_999, TICK, "check drain of A", "draining 1 beside 2 until 58s"),
            (
                58_000,
                TICK,
                "[drain of 1 over], TERM to leader 1, CONT to group 1",
                "retiring 1 beside 2 until 59s",
            ),
            (32_000, empty(Slot::A), "", again),
            (32_999, empty(Slot::A), "", again),
            (33_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 34s"),
            (33_000, busy(Slot::A), "", again),
            (33_000, exited(1, 3), end, "retiring 1 beside 2 until 58s"),
            // Whoever it has put in its place drains no better.
            (33_000, succeeded(1), heir, "retiring 1 beside 2 until 58s"),
            (33_000, refused(1), "[1 refuses signals]", again),
        ],
    );
    ignores(draining, &[spawned(2), spawned(3), spawn_failed(3), exited(3, 0), gone(1), gone(2), gone(3)]);
    ignores(draining, &[served(1, 9), served(2, 9), served(3, 9), refused(3), ready(1), ready(2)]);
    ignores(draining, &[empty(Slot::B), busy(Slot::B), waiting(Slot::A, &[1]), waiting(Slot::B, &[1])]);
    // The queue has to stay empty for the whole linger.
    draining().goes(&[
        (32_000, TICK, "check drain of A", "draining 1 beside 2 until 32.05s"),
        (32_049, TICK, "", "draining 1 beside 2 until 32.05s"),
        (32_050, TICK, "check drain of A", "draining 1 beside 2 until 32.1s"),
        (32_900, busy(Slot::A), "", "draining 1 beside 2 until 32.1s"),
        (33_899, empty(Slot::A), "", "draining 1 beside 2 until 32.1s"),
        (33_900, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 34.9s"),
    ]);
}

#[test]
fn the_incumbent_is_served_while_another_drains() {
    let again = "draining 1 beside 2 until 32s";
    table(
        draining,
        &[
            (33_000, HUP, "[HUP forwarded], HUP to leader 2", again),
            (33_000, INT, "[INT forwarded], INT to leader 2", again),
            (33_000, QUIT, "[QUIT forwarded], QUIT to leader 2", again),
            (33_000, USR2, "[no recycle: busy]", again),
            (33_000, asked(), "[no recycle: busy], answer 7 busy", again),
            (33_000, succeeded(2), "follow 2 to 77, [2 led by 77: 0 in 3s]", again),
            (33_000, refused(2), "[2 refuses signals]", again),
            (33_000, shed(), "[3 shed]", again),
            (33_000, orphan(), "[orphan 77]", again),
        ],
    );
}

#[test]
fn it_is_told_to_stop_and_goes() {
    let again = "retiring 1 beside 2 until 34s";
    let end = "[1 Recycled with 0: 5 in 33.5s], TERM to group 1, CONT to group 1, reap 1";
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    table(
        retiring,
        &[
            (33_999, TICK, "", again),
            (34_000, TICK, "TERM to gunicorn 1", "retiring 1 beside 2 until 35s"),
            (57_999, TICK, "TERM to gunicorn 1", "retiring 1 beside 2 until 58s"),
            (58_000, TICK, kill_all, "retiring 1 beside 2 until 63s"),
            (33_500, exited(1, 0), end, "retiring 1 beside 2 until 58s"),
            (33_500, succeeded(1), end, "retiring 1 beside 2 until 58s"),
            (33_500, refused(1), "[1 refuses signals]", again),
        ],
    );
    tells(retiring);
    ignores(retiring, &[TICK, spawned(2), spawned(3), spawn_failed(3), exited(3, 0), gone(1), gone(2)]);
    ignores(retiring, &[served(1, 9), served(2, 9), served(3, 9), refused(3), ready(1), ready(2)]);
    ignores(retiring, &[empty(Slot::A), busy(Slot::A), waiting(Slot::A, &[1]), waiting(Slot::B, &[1])]);
    table(
        retiring_reaped,
        &[
            (34_000, gone(1), "shed A", "serving 2"),
            (57_999, TICK, "", "retiring 1 beside 2 until 58s"),
            (58_000, TICK, "[grace of 1 over], KILL to group 1", "retiring 1 beside 2 until 63s"),
        ],
    );
    tells(retiring_reaped);
    ignores(retiring_reaped, &[TICK, exited(1, 0), gone(2), served(1, 9), empty(Slot::A)]);
    let killed_end = "[1 Recycled with 137: 5 in 59s], KILL to group 1, reap 1";
    table(
        retiring_killed,
        &[
            (59_000, killed(1), killed_end, "retiring 1 beside 2 until 63s"),
            (62_999, TICK, "", "retiring 1 beside 2 until 63s"),
            (63_000, TICK, "[group of 1 left], shed A", "serving 2"),
        ],
    );
}

#[test]
fn the_incumbent_is_served_while_another_goes() {
    let again = "retiring 1 beside 2 until 34s";
    let follow = "follow 2 to 77, [2 led by 77: 0 in 3.5s]";
    table(
        retiring,
        &[
            (33_500, HUP, "[HUP forwarded], HUP to leader 2", again),
            (33_500, INT, "[INT forwarded], INT to leader 2", again),
            (33_500, QUIT, "[QUIT forwarded], QUIT to leader 2", again),
            (33_500, USR2, "[no recycle: busy]", again),
            (33_500, asked(), "[no recycle: busy], answer 7 busy", again),
            (33_500, succeeded(2), follow, again),
            (33_500, refused(2), "[2 refuses signals]", again),
        ],
    );
}

#[test]
fn a_budget_spent_meanwhile_recycles_when_the_other_one_is_gone() {
    retiring_killed().after(59_000, served(2, 5)).goes(&[
        // Old enough, but two are enough.
        (62_999, TICK, "", "retiring 1 beside 2 until 63s"),
        (62_999, killed(1), KILLED, "retiring 1 beside 2 until 63s"),
        (62_999, gone(1), "shed A", "serving 2 until 60s"),
        (62_999, TICK, "[2 spent 5 of 5 in 32.999s], spawn 3 in A", "handing over 2 to 3"),
    ]);
}

const KILLED: &str = "[1 Recycled with 137: 5 in 62.999s], KILL to group 1, reap 1";

#[test]
fn nothing_is_recycled_while_something_hangs_in_the_kernel() {
    let refusal = "[no recycle: nobody], answer 7 nobody";
    let recycle = "[2 spent 5 of 5 in 70s], spawn 3 in A";
    left().goes(&[
        (64_000, served(2, 5), "", "serving 2"),
        (99_000, TICK, "", "serving 2"),
        (99_000, asked(), refusal, "serving 2"),
        (99_000, USR2, "[no recycle: nobody]", "serving 2"),
        // What SIGKILL had not ended ends after all.
        (99_500, killed(1), "reap 1", "serving 2"),
        (99_600, TICK, "", "serving 2"),
        (100_000, gone(1), "", "serving 2 until 60s"),
        (100_000, TICK, recycle, "handing over 2 to 3"),
    ]);
    // Told in whatever state it ends.
    left().after(70_000, TERM).goes(&[
        (70_500, killed(1), "reap 1", "stopping 2 until 71s"),
        (70_500, gone(1), "", "stopping 2 until 71s"),
    ]);
    // And once: what is gone is not waited for.
    left().after(70_000, gone(1)).goes(&[(71_000, killed(1), "", "serving 2")]);
}

#[test]
fn one_that_stays_is_not_followed_by_a_third() {
    let kill_all = "[grace of 1 over], KILL to leader 1, KILL to group 1";
    let refusal = "[no recycle: nobody], answer 7 nobody";
    retiring().goes(&[
        (33_100, refused(1), "[1 refuses signals]", "retiring 1 beside 2 until 34s"),
        (34_000, TICK, "TERM to gunicorn 1", "retiring 1 beside 2 until 35s"),
        (34_000, refused(1), "", "retiring 1 beside 2 until 35s"),
        (58_000, TICK, kill_all, "retiring 1 beside 2 until 63s"),
        (58_000, refused(1), "", "retiring 1 beside 2 until 63s"),
        (63_000, TICK, "[group of 1 left], shed A", "serving 2"),
        (64_000, served(2, 9), "", "serving 2"),
        (99_000, asked(), refusal, "serving 2"),
        // The next one would be as deaf.
        (99_000, exited(1, 0), "reap 1", "serving 2"),
        (99_000, gone(1), "", "serving 2"),
        (99_000, asked(), refusal, "serving 2"),
    ]);
    // It was found out while it drained.
    draining().after(32_500, refused(1)).after(33_000, empty(Slot::A)).goes(&[
        (33_000, refused(1), "", "retiring 1 beside 2 until 34s"),
        (33_500, exited(1, 0), END, "retiring 1 beside 2 until 58s"),
        (33_500, gone(1), "shed A", "serving 2"),
        (34_000, asked(), refusal, "serving 2"),
    ]);
    // The incumbent's own refusal is its own.
    retiring().after(33_100, refused(2)).after(33_500, exited(1, 0)).after(33_500, gone(1)).goes(&[
        (33_600, refused(2), "", "serving 2"),
        (34_000, TERM, "[TERM stops all in 25s], TERM to leader 2, CONT to group 2", "stopping 2 until 35s"),
    ]);
}

const END: &str = "[1 Recycled with 0: 5 in 33.5s], TERM to group 1, CONT to group 1, reap 1";
