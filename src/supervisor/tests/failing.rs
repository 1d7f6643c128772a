//! A successor that does not become ready: the incumbent stays, and the next try comes later each time.

use super::given::*;
use super::*;

/// What is told of a successor that was not ready in time, and the time of the next try.
const LATE: &str = "steer to A, [2 failed: it has not accepted a connection, again in 30s], TERM to leader 2, CONT to group 2";

#[test]
fn a_successor_has_so_much_time() {
    let stays = "retiring 2 beside 1 until 91s";
    let starting_and = |event| starting().after(30_050, event);
    let late =
        |why| format!("steer to A, [2 failed: {why}, again in 30s], TERM to leader 2, CONT to group 2");
    for (seen, why) in [
        (TICK, "it is too young"),
        (closed(2), "it has not accepted a connection"),
        (saw(2, Door::Unhealthy("HTTP/1.1 503".into()), &[]), "the health path: HTTP/1.1 503"),
        (saw(2, Door::Open, &[(1, true), (2, false)]), "1 of its 2 workers serve"),
    ] {
        starting_and(seen).goes(&[(90_000, TICK, &late(why), stays)]);
    }
    // The last look is what counts.
    let story = starting_and(saw(2, Door::Unhealthy("HTTP/1.1 503".into()), &[]));
    story.after(89_999, closed(2)).goes(&[(90_000, TICK, LATE, stays)]);
}

#[test]
fn one_that_is_not_ready_in_time_goes_and_the_incumbent_stays() {
    let end = "[2 NotReady with 0: 3 in 60.4s], TERM to group 2, CONT to group 2, reap 2";
    starting().goes(&[
        (30_050, closed(2), "", "handing over 1 to 2 until 30.05s"),
        (40_000, served(2, 3), "", "handing over 1 to 2 until 30.05s"),
        (90_000, TICK, LATE, "retiring 2 beside 1 until 91s"),
        (90_100, ready(2), "", "retiring 2 beside 1 until 91s"),
        (90_400, exited(2, 0), end, "retiring 2 beside 1 until 115s"),
        (90_500, gone(2), "shed B", "serving 1 until 120s"),
        (119_999, TICK, "", "serving 1 until 120s"),
        (120_000, TICK, "[1 spent 5 of 5 in 120s], spawn 3 in B", "handing over 1 to 3"),
    ]);
}

#[test]
fn one_that_will_not_be_ready_fails_at_once() {
    let end = "[2 NotReady with 3: 0 in 1s], TERM to group 2, CONT to group 2, reap 2";
    let ended = format!("steer to A, {end}, [2 failed: it ended, again in 30s]");
    let never = "steer to A, [2 not started], TERM to group 2, CONT to group 2, reap 2, \
                 [2 failed: it ended, again in 30s]";
    let heir = ended.replace("with 3", "with 0");
    let dead = "retiring 2 beside 1 until 56s";
    table(
        starting,
        &[
            (31_000, exited(2, 3), &ended, dead),
            (31_000, succeeded(2), &heir, dead),
            (31_000, never_ran(2, SpawnCause::NotFound), never, dead),
            (31_000, never_ran(2, SpawnCause::NotExecutable), never, dead),
            (31_000, never_ran(2, SpawnCause::Resources), never, dead),
        ],
    );
    let lost = "steer to A, [2 failed: a worker ended before all of them served, again in 30s], TERM to leader 2, CONT to group 2";
    starting().after(30_500, saw(2, Door::Closed, &[(1, true), (2, false)])).goes(&[(
        31_000,
        saw(2, Door::Open, &[(1, true), (3, false)]),
        lost,
        "retiring 2 beside 1 until 32s",
    )]);
    // Its end is not the end of ostler, whatever its status.
    starting().after(31_000, exited(2, 3)).goes(&[(31_000, gone(2), "shed B", "serving 1 until 61s")]);
}

#[test]
fn the_next_try_comes_later_each_time() {
    let mut story = alone().after(10_000, served(1, 5));
    let mut now = 30;
    for (successor, pause) in [30, 60, 120, 240, 480, 600, 600].into_iter().enumerate() {
        let successor = u32::try_from(successor).unwrap() + 2;
        let due = now + pause;
        story = story.goes(&[
            (
                now * 1000,
                TICK,
                &format!("[1 spent 5 of 5 in {now}s], spawn {successor} in B"),
                &format!("handing over 1 to {successor}"),
            ),
            (
                now * 1000,
                spawn_failed(successor),
                &format!("[{successor} not started, again in {pause}s]"),
                &format!("serving 1 until {due}s"),
            ),
            (due * 1000 - 1, TICK, "", &format!("serving 1 until {due}s")),
        ]);
        now = due;
    }
    // All kinds of failures count.
    let story = alone().after(10_000, served(1, 5)).after(30_000, TICK).after(30_000, spawn_failed(2));
    let lost = "steer to A, [3 NotReady with 1: 0 in 1s], TERM to group 3, CONT to group 3, reap 3, \
                [3 failed: it ended, again in 60s]";
    story.after(60_000, TICK).after(60_000, spawned(3)).goes(&[
        (61_000, exited(3, 1), lost, "retiring 3 beside 1 until 86s"),
        (61_000, gone(3), "shed B", "serving 1 until 121s"),
    ]);
}

#[test]
fn a_handover_makes_the_pauses_short_again() {
    let story = alone().after(10_000, served(1, 5)).after(30_000, TICK).after(30_000, spawn_failed(2));
    let story = story.after(60_000, TICK).after(60_000, spawned(3)).after(61_000, ready(3));
    let story = story.after(62_000, empty(Slot::A)).after(62_500, exited(1, 0)).after(62_500, gone(1));
    story.after(63_000, served(3, 5)).goes(&[
        (90_000, TICK, "[3 spent 5 of 5 in 30s], spawn 4 in A", "handing over 3 to 4"),
        (90_000, spawn_failed(4), "[4 not started, again in 30s]", "serving 3 until 120s"),
    ]);
}

#[test]
fn what_nothing_calls_for_is_not_tried_again() {
    let lost = "steer to A, [2 NotReady with 1: 0 in 1s], TERM to group 2, CONT to group 2, reap 2, \
                [2 failed: it ended]";
    alone().after(40_000, asked()).after(40_000, spawned(2)).goes(&[
        (41_000, exited(2, 1), lost, "retiring 2 beside 1 until 66s"),
        (41_000, gone(2), "shed B", "serving 1"),
        (99_000, TICK, "", "serving 1"),
    ]);
    alone().after(40_000, USR2).goes(&[(40_000, spawn_failed(2), "[2 not started]", "serving 1")]);
    // Nor is one for a leader that has left its place to another, and with it what it had used.
    starting().after(31_000, succeeded(1)).goes(&[
        (32_000, exited(2, 1), &lost.replace("in 1s", "in 2s"), "retiring 2 beside 1 until 57s"),
        (32_000, gone(2), "shed B", "serving 1"),
    ]);
    // A budget that is spent before the pause is over waits for it.
    alone().after(40_000, USR2).after(40_000, spawn_failed(2)).goes(&[
        (41_000, served(1, 5), "", "serving 1 until 70s"),
        (70_000, TICK, "[1 spent 5 of 5 in 70s], spawn 3 in B", "handing over 1 to 3"),
    ]);
}

#[test]
fn a_generation_that_is_too_young_waits_for_its_age_all_the_same() {
    let policy = Policy { min_age: Duration::from_hours(1), ..HANDOVER };
    serving_by(policy).after(10_000, served(1, 5)).after(20_000, USR2).goes(&[
        // An hour after the failure, which is later than an hour after the start.
        (20_000, spawn_failed(2), "[2 not started, again in 3600s]", "serving 1 until 3620s"),
    ]);
    let policy = Policy { min_age: Duration::ZERO, ..HANDOVER };
    serving_by(policy).after(10_000, served(1, 5)).after(10_000, TICK).goes(&[
        (10_000, spawn_failed(2), "[2 not started, again in 1s]", "serving 1 until 11s"),
        (11_000, TICK, "[1 spent 5 of 5 in 11s], spawn 3 in B", "handing over 1 to 3"),
        (11_000, spawn_failed(3), "[3 not started, again in 2s]", "serving 1 until 13s"),
    ]);
}

#[test]
fn one_that_does_not_go_keeps_the_next_one_away() {
    let kill_all = "[grace of 2 over], KILL to leader 2, KILL to group 2";
    not_ready().goes(&[
        (115_000, TICK, kill_all, "retiring 2 beside 1 until 120s"),
        (120_000, TICK, "[group of 2 left], shed B", "serving 1"),
        (130_000, TICK, "", "serving 1"),
        (130_000, killed(2), "reap 2", "serving 1"),
        (130_000, gone(2), "", "serving 1 until 120s"),
        (130_000, TICK, "[1 spent 5 of 5 in 130s], spawn 3 in B", "handing over 1 to 3"),
    ]);
    // One that refuses signals, for good.
    not_ready().goes(&[
        (90_000, refused(2), "[2 refuses signals]", "retiring 2 beside 1 until 91s"),
        (91_000, exited(2, 0), DEAF, "retiring 2 beside 1 until 115s"),
        (91_000, gone(2), "shed B", "serving 1"),
        (130_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1"),
    ]);
}

const DEAF: &str = "[2 NotReady with 0: 0 in 61s], TERM to group 2, CONT to group 2, reap 2";
