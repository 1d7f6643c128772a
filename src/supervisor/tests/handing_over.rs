//! A successor is being started beside the incumbent, and takes over.

use super::given::*;
use super::*;

#[test]
fn a_whole_handover() {
    let end = "[1 Recycled with 0: 8 in 34.4s], TERM to group 1, CONT to group 1, reap 1";
    let story = alone().goes(&[
        (10_000, served(1, 5), "", "serving 1 until 30s"),
        (30_000, TICK, "[1 spent 5 of 5 in 30s], spawn 2 in B", "handing over 1 to 2"),
        (30_000, spawned(2), "[2 is process 102 for 5]", "handing over 1 to 2 until 30.05s"),
        (30_050, TICK, "look at 2", "handing over 1 to 2 until 30.1s"),
        (30_050, closed(2), "", "handing over 1 to 2 until 30.1s"),
        (31_000, served(1, 2), "", "handing over 1 to 2 until 30.1s"),
        (32_000, TICK, "look at 2", "handing over 1 to 2 until 32.05s"),
        (32_000, ready(2), "steer to B, [1 handed over to 2 in 2s]", "draining 1 beside 2 until 32s"),
        (32_000, TICK, "check drain of A", "draining 1 beside 2 until 32.05s"),
        (32_000, busy(Slot::A), "", "draining 1 beside 2 until 32.05s"),
        (32_500, served(1, 1), "", "draining 1 beside 2 until 32.05s"),
        (32_500, served(2, 4), "", "draining 1 beside 2 until 32.05s"),
        (33_000, TICK, "check drain of A", "draining 1 beside 2 until 33.05s"),
        (33_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 34s"),
        (34_000, TICK, "TERM to gunicorn 1", "retiring 1 beside 2 until 35s"),
        (34_400, exited(1, 0), end, "retiring 1 beside 2 until 58s"),
        (34_500, gone(1), "shed A", "serving 2"),
        (34_500, shed(), "[3 shed]", "serving 2"),
        // The other way round: what was counted before it was the incumbent counts.
        (40_000, served(2, 1), "", "serving 2 until 60s"),
        (60_000, TICK, "[2 spent 5 of 5 in 30s], spawn 3 in A", "handing over 2 to 3"),
        (60_000, spawned(3), "[3 is process 103 for 5]", "handing over 2 to 3 until 60.05s"),
        (60_050, ready(3), "steer to A, [2 handed over to 3 in 50ms]", "draining 2 beside 3 until 60.05s"),
        (61_050, empty(Slot::B), "TERM to leader 2, CONT to group 2", "retiring 2 beside 3 until 62.05s"),
        (61_051, exited(2, 0), REAPED, "retiring 2 beside 3 until 86.05s"),
        (61_051, gone(2), "shed B", "serving 3"),
    ]);
    assert_eq!(story.after(99_000, TICK).state(), "serving 3");
}

const REAPED: &str = "[2 Recycled with 0: 5 in 31.051s], TERM to group 2, CONT to group 2, reap 2";

#[test]
fn nothing_is_told_before_the_answer() {
    let again = "[2 not started, again in 30s]";
    table(
        ordered,
        &[
            (30_000, spawned(2), "[2 is process 102 for 5]", "handing over 1 to 2 until 30.05s"),
            // Nobody has seen the successor, so there is nothing to be taken back.
            (30_000, spawn_failed(2), again, "serving 1 until 60s"),
            (30_000, orphan(), "[orphan 77]", "handing over 1 to 2"),
        ],
    );
    ignores(ordered, &[TICK, spawned(1), spawned(3), spawn_failed(3), TERM, INT, HUP, USR2, asked()]);
    ignores(
        ordered,
        &[exited(1, 3), succeeded(1), exited(2, 3), gone(1), gone(2), served(1, 9), served(2, 9)],
    );
    ignores(ordered, &[refused(1), ready(2), empty(Slot::A), waiting(Slot::A, &[1]), shed(), not_steered()]);
}

#[test]
fn what_is_told_before_the_answer_comes_after_it() {
    let started = "[2 is process 102 for 5]";
    let stopped =
        "[TERM stops all in 25s], TERM to leader 1, CONT to group 1, TERM to leader 2, CONT to group 2";
    let dead =
        "steer to B, [1 ByItself with 3: 5 in 30s], TERM to group 1, CONT to group 1, reap 1, [2 promoted]";
    let busy = "[no recycle: busy], answer 7 busy";
    let again = "[2 not started, again in 30s]";
    let alone = "[1 ByItself with 3: 5 in 30s], TERM to group 1, CONT to group 1, reap 1";
    for (told, answer, orders, next) in [
        (TERM, spawned(2), format!("{started}, {stopped}"), "stopping 1 and 2 until 31s"),
        (exited(1, 3), spawned(2), format!("{started}, {dead}"), "retiring 1 beside 2 until 55s"),
        (asked(), spawned(2), format!("{started}, {busy}"), "handing over 1 to 2 until 30.05s"),
        (exited(1, 3), spawn_failed(2), format!("{again}, {alone}"), "stopping 1 until 55s"),
        (
            asked(),
            spawn_failed(2),
            format!("{again}, answer 7 started 1, [1 on command in 30s], spawn 3 in B"),
            "handing over 1 to 3",
        ),
    ] {
        ordered().after(30_000, told).goes(&[(30_000, answer, &orders, next)]);
    }
}

#[test]
fn a_successor_is_looked_at_until_it_is_ready() {
    let again = "handing over 1 to 2 until 30.05s";
    let taken = |took| format!("steer to B, [1 handed over to 2 in {took}]");
    table(
        starting,
        &[
            (30_049, TICK, "", again),
            (30_050, TICK, "look at 2", "handing over 1 to 2 until 30.1s"),
            (89_999, TICK, "look at 2", "handing over 1 to 2 until 90s"),
            (31_000, closed(2), "", again),
            (31_000, saw(2, Door::Unhealthy("503".into()), &[]), "", again),
            (31_000, saw(2, Door::Blind, &[]), "", again),
            (31_000, saw(2, Door::Open, &[(1, true), (2, false)]), "", again),
            (31_000, ready(2), &taken("1s"), "draining 1 beside 2 until 31s"),
            (89_999, ready(2), &taken("59.999s"), "draining 1 beside 2 until 89.999s"),
        ],
    );
    // Workers come one after another.
    starting().goes(&[
        (31_000, saw(2, Door::Open, &[(1, true)]), "", again),
        (31_100, saw(2, Door::Open, &[(1, true), (2, true)]), "", again),
        (31_599, saw(2, Door::Open, &[(1, true), (2, true)]), "", again),
        (
            31_600,
            saw(2, Door::Open, &[(1, true), (2, true)]),
            &taken("1.6s"),
            "draining 1 beside 2 until 31.6s",
        ),
    ]);
}

#[test]
fn the_incumbent_is_served_meanwhile() {
    let again = "handing over 1 to 2 until 30.05s";
    let follow = "follow 1 to 77, [1 led by 77: 5 in 31s]";
    table(
        starting,
        &[
            (31_000, HUP, "[HUP forwarded], HUP to leader 1", again),
            (31_000, USR2, "[no recycle: busy]", again),
            (31_000, asked(), "[no recycle: busy], answer 7 busy", again),
            (31_000, succeeded(1), follow, again),
            (31_000, refused(1), "[1 refuses signals]", again),
        ],
    );
    tells(starting);
    ignores(starting, &[TICK, spawned(2), spawned(3), spawn_failed(2), exited(3, 0), gone(1), gone(2)]);
    ignores(
        starting,
        &[served(1, 9), served(2, 9), served(3, 9), refused(2), refused(3), ready(1), ready(3)],
    );
    ignores(starting, &[empty(Slot::A), empty(Slot::B), waiting(Slot::A, &[1]), waiting(Slot::B, &[1])]);
}

#[test]
fn a_handover_needs_no_budget_to_be_spent_any_more() {
    // The former leader had spent it. Its heir has not, but the successor is on its way.
    starting().after(31_000, succeeded(1)).goes(&[
        (32_000, ready(2), "steer to B, [1 handed over to 2 in 2s]", "draining 1 beside 2 until 32s"),
        (33_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 34s"),
    ]);
}

#[test]
fn what_makes_ready_is_configured() {
    let starting_by = |ready| {
        let story = serving_by(Policy { ready, ..HANDOVER }).after(10_000, served(1, 5));
        story.after(30_000, TICK).after(30_000, spawned(2))
    };
    let again = "handing over 1 to 2 until 30.05s";
    let said = |door| {
        let sight = Sight { door, said_ready: true, workers: Vec::new(), view: View::Clear };
        Event::Looked { id: GenerationId(2), sight }
    };
    starting_by(Ready::Notify).goes(&[
        (31_000, ready(2), "", again),
        (31_050, said(Door::Closed), "", again),
        (
            31_100,
            said(Door::Open),
            "steer to B, [1 handed over to 2 in 1.1s]",
            "draining 1 beside 2 until 31.1s",
        ),
    ]);
    starting_by(Ready::Delay(Duration::from_secs(10))).goes(&[
        (39_999, ready(2), "", again),
        (40_000, closed(2), "steer to B, [1 handed over to 2 in 10s]", "draining 1 beside 2 until 40s"),
    ]);
}
