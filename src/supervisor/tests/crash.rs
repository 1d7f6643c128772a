//! What happens when a leader dies, or the kernel does not do what it was told to, while there are two generations.

use super::given::*;
use super::*;

#[test]
fn a_successor_takes_the_place_of_a_dead_incumbent() {
    let dead =
        "steer to B, [1 ByItself with 3: 5 in 31s], TERM to group 1, CONT to group 1, reap 1, [2 promoted]";
    table(starting, &[(31_000, exited(1, 3), dead, "retiring 1 beside 2 until 56s")]);
    promoted().goes(&[
        // It is not looked at any more.
        (31_500, ready(2), "", "retiring 1 beside 2 until 56s"),
        (31_500, HUP, "[HUP forwarded], HUP to leader 2", "retiring 1 beside 2 until 56s"),
        (32_000, gone(1), "shed A", "serving 2"),
        (33_000, served(2, 5), "", "serving 2 until 60s"),
        (60_000, TICK, "[2 spent 5 of 5 in 30s], spawn 3 in A", "handing over 2 to 3"),
    ]);
    // What the dead one has left behind is ended as ever.
    promoted().goes(&[
        (55_999, TICK, "", "retiring 1 beside 2 until 56s"),
        (56_000, TICK, "[grace of 1 over], KILL to group 1", "retiring 1 beside 2 until 61s"),
        (61_000, TICK, "[group of 1 left], shed A", "serving 2"),
    ]);
}

#[test]
fn a_predecessor_that_can_takes_over_again() {
    let dead = "steer to A, [2 ByItself with 3: 0 in 3s], TERM to group 2, CONT to group 2, reap 2, \
                [1 taken back, again in 30s]";
    table(draining, &[(33_000, exited(2, 3), dead, "retiring 2 beside 1 until 58s")]);
    draining().after(33_000, exited(2, 3)).goes(&[
        (33_500, HUP, "[HUP forwarded], HUP to leader 1", "retiring 2 beside 1 until 58s"),
        (33_500, empty(Slot::A), "", "retiring 2 beside 1 until 58s"),
        (34_000, gone(2), "shed B", "serving 1 until 63s"),
        (63_000, TICK, "[1 spent 5 of 5 in 63s], spawn 3 in B", "handing over 1 to 3"),
        (63_000, spawn_failed(3), "[3 not started, again in 60s]", "serving 1 until 123s"),
    ]);
    // By command: nothing calls for another try.
    let taken_back = dead.replace(", again in 30s", "").replace("in 3s", "in 2s");
    alone().after(40_000, asked()).after(40_000, spawned(2)).after(41_000, ready(2)).goes(&[
        (42_000, exited(2, 3), &taken_back, "retiring 2 beside 1 until 67s"),
        (42_000, gone(2), "shed B", "serving 1"),
    ]);
    // A leader that leaves its place to another is not dead.
    draining().after(32_500, succeeded(2)).goes(&[(
        33_000,
        empty(Slot::A),
        "TERM to leader 1, CONT to group 1",
        "retiring 1 beside 2 until 34s",
    )]);
}

/// It is deaf, and was not asked to end: what docs/handover.md says of its death holds.
#[test]
fn a_deaf_incumbent_that_dies_is_followed_by_its_predecessor_all_the_same() {
    let taken_back = "steer to A, [2 ByItself with 3: 0 in 3s], TERM to group 2, CONT to group 2, reap 2, \
                [1 taken back, again in 30s]";
    let deaf = draining().after(32_500, HUP).after(32_500, refused(2));
    deaf.goes(&[(33_000, exited(2, 3), taken_back, "retiring 2 beside 1 until 58s")]);
}

#[test]
fn a_deaf_predecessor_takes_over_for_good() {
    let dead =
        "steer to A, [2 ByItself with 3: 0 in 3s], TERM to group 2, CONT to group 2, reap 2, [1 taken back]";
    starting().after(31_000, HUP).after(31_000, refused(1)).after(32_000, ready(2)).goes(&[
        (33_000, exited(2, 3), dead, "retiring 2 beside 1 until 58s"),
        (33_000, gone(2), "shed B", "serving 1"),
    ]);
}

#[test]
fn when_nobody_is_left_ostler_ends_with_the_last_incumbents_status() {
    let end_of_2 = "[2 ByItself with 3: 0 in 3.5s], TERM to group 2, CONT to group 2, reap 2";
    let end_of_1 = "[1 Recycled with 0: 5 in 35s], TERM to group 1, CONT to group 1, reap 1";
    table(retiring, &[(33_500, exited(2, 3), end_of_2, "stopping 2 and 1 until 34s")]);
    retiring().after(33_500, exited(2, 3)).goes(&[
        (34_000, TICK, "TERM to gunicorn 1", "stopping 2 and 1 until 35s"),
        (34_500, gone(2), "", "stopping 2 and 1 until 35s"),
        (34_500, TERM, "[TERM dropped]", "stopping 2 and 1 until 35s"),
        (35_000, exited(1, 0), end_of_1, "stopping 2 and 1 until 58s"),
        (35_500, gone(1), "exit 3", "ended"),
    ]);
    // The other one goes first.
    retiring()
        .after(33_500, exited(2, 3))
        .after(34_500, exited(1, 0))
        .goes(&[(35_000, gone(1), "", "stopping 2 until 58.5s"), (35_500, gone(2), "exit 3", "ended")]);
    // A successor that was promoted, and dies.
    let end = "[2 ByItself with 4: 0 in 2s], TERM to group 2, CONT to group 2, reap 2";
    promoted().goes(&[
        (32_000, exited(2, 4), end, "stopping 2 and 1 until 56s"),
        (32_000, gone(2), "", "stopping 2 and 1 until 56s"),
        (32_000, gone(1), "exit 4", "ended"),
    ]);
    // An incumbent whose successor has failed, and that dies.
    let end = "[1 ByItself with 4: 5 in 90.5s], TERM to group 1, CONT to group 1, reap 1";
    not_ready().goes(&[
        (90_500, exited(1, 4), end, "stopping 1 and 2 until 91s"),
        (90_500, gone(1), "", "stopping 1 and 2 until 91s"),
        (91_500, exited(2, 0), LATE, "stopping 1 and 2 until 115s"),
        (91_500, gone(2), "exit 4", "ended"),
    ]);
    // One that was taken back, and dies.
    let end = "[1 ByItself with 5: 5 in 34s], TERM to group 1, CONT to group 1, reap 1";
    draining().after(33_000, exited(2, 3)).goes(&[
        (34_000, exited(1, 5), end, "stopping 1 and 2 until 58s"),
        (34_000, gone(2), "", "stopping 1 until 59s"),
        (34_000, gone(1), "exit 5", "ended"),
    ]);
}

const LATE: &str = "[2 NotReady with 0: 0 in 61.5s], TERM to group 2, CONT to group 2, reap 2";

#[test]
fn both_die_at_once() {
    let promoted =
        "steer to B, [1 ByItself with 3: 5 in 31s], TERM to group 1, CONT to group 1, reap 1, [2 promoted]";
    let end_of_2 = "[2 ByItself with 4: 0 in 1s], TERM to group 2, CONT to group 2, reap 2";
    starting().goes(&[
        (31_000, exited(1, 3), promoted, "retiring 1 beside 2 until 56s"),
        (31_000, exited(2, 4), end_of_2, "stopping 2 and 1 until 56s"),
    ]);
    let failed = "steer to A, [2 NotReady with 4: 0 in 1s], TERM to group 2, CONT to group 2, reap 2, \
                  [2 failed: it ended, again in 30s]";
    let end_of_1 = "[1 ByItself with 3: 5 in 31s], TERM to group 1, CONT to group 1, reap 1";
    starting().goes(&[
        (31_000, exited(2, 4), failed, "retiring 2 beside 1 until 56s"),
        (31_000, exited(1, 3), end_of_1, "stopping 1 and 2 until 56s"),
    ]);
    let end_of_1 = "[1 ByItself with 3: 5 in 33s], TERM to group 1, CONT to group 1, reap 1";
    let end_of_2 = "[2 ByItself with 4: 0 in 3s], TERM to group 2, CONT to group 2, reap 2";
    draining().goes(&[
        (33_000, exited(1, 3), end_of_1, "retiring 1 beside 2 until 58s"),
        (33_000, exited(2, 4), end_of_2, "stopping 2 and 1 until 58s"),
    ]);
}

#[test]
fn connections_that_are_not_steered_keep_their_server() {
    let back = "[not steered: so it is], steer to A, TERM to leader 2, CONT to group 2, [1 taken back, again in 30s]";
    draining().goes(&[
        (32_000, not_steered(), back, "retiring 2 beside 1 until 33s"),
        // Nor is it back where it was: that is tried again, each time later.
        (32_000, not_steered(), "[not steered: so it is]", "retiring 2 beside 1 until 33s"),
        (32_500, exited(2, 0), NOT_READY, "retiring 2 beside 1 until 33s"),
        (33_000, TICK, "steer to A", "retiring 2 beside 1 until 57s"),
        (33_000, not_steered(), "[not steered: so it is]", "retiring 2 beside 1 until 35s"),
        (33_500, gone(2), "shed B", "serving 1 until 35s"),
        (34_999, TICK, "", "serving 1 until 35s"),
        (35_000, TICK, "steer to A", "serving 1 until 62s"),
        (35_500, served(1, 1), "", "serving 1 until 62s"),
        (62_000, TICK, "[1 spent 6 of 5 in 62s], spawn 3 in B", "handing over 1 to 3"),
    ]);
    // There is nobody to go back to: it is tried again too.
    promoted().goes(&[
        (31_500, not_steered(), "[not steered: so it is]", "retiring 1 beside 2 until 32.5s"),
        (32_499, TICK, "", "retiring 1 beside 2 until 32.5s"),
        (32_500, TICK, "steer to B", "retiring 1 beside 2 until 56s"),
        (32_500, not_steered(), "[not steered: so it is]", "retiring 1 beside 2 until 34.5s"),
    ]);
    for given in [starting, both_stopping] {
        stays(given, &not_steered(), "[not steered: so it is]");
    }
}

const NOT_READY: &str = "[2 NotReady with 0: 0 in 2.5s], TERM to group 2, CONT to group 2, reap 2";

#[test]
fn a_leader_is_followed_wherever_it_serves() {
    table(alone, &[(40_000, succeeded(1), "follow 1 to 77, [1 led by 77: 0 in 40s]", "serving 1")]);
    // Its heir begins anew, in age and in requests.
    alone().after(10_000, served(1, 5)).goes(&[
        (20_000, succeeded(1), "follow 1 to 77, [1 led by 77: 5 in 20s]", "serving 1"),
        (21_000, served(1, 4), "", "serving 1"),
        (22_000, served(1, 1), "", "serving 1 until 50s"),
        (50_000, TICK, "[1 spent 5 of 5 in 30s], spawn 2 in B", "handing over 1 to 2"),
    ]);
    // What its leader was asked for is not asked of the heir.
    alone().after(10_000, served(1, 5)).after(20_000, QUIT).goes(&[
        (21_000, succeeded(1), "follow 1 to 77, [1 led by 77: 5 in 21s]", "serving 1"),
        (22_000, served(1, 5), "", "serving 1 until 51s"),
    ]);
    // It is dead when nobody has taken its place.
    let end = "[1 ByItself with 3: 0 in 1s], TERM to group 1, CONT to group 1, reap 1";
    alone().after(40_000, succeeded(1)).goes(&[(41_000, exited(1, 3), end, "stopping 1 until 66s")]);
    let follow = "follow 1 to 77, [1 led by 77: 5 in 91s]";
    table(not_ready, &[(91_000, succeeded(1), follow, "retiring 2 beside 1 until 91s")]);
    // Where all is to stop, nobody is followed.
    let end = "[1 Stopped with 0: 5 in 31.5s], TERM to group 1, CONT to group 1, reap 1";
    table(both_stopping, &[(31_500, succeeded(1), end, "stopping 1 and 2 until 32s")]);
}
