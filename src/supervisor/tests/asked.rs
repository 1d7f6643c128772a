//! A recycle that somebody asks for, by a command or by SIGUSR2, in every state.

use super::given::*;
use super::*;

#[test]
fn a_recycle_on_command() {
    let recycle = "[1 on command in 40s], spawn 2 in B";
    table(
        alone,
        &[
            (40_000, asked(), &format!("answer 7 started 1, {recycle}"), "handing over 1 to 2"),
            (40_000, USR2, recycle, "handing over 1 to 2"),
            // At any age, and before any budget is spent.
            (1, USR2, "[1 on command in 1ms], spawn 2 in B", "handing over 1 to 2"),
        ],
    );
    alone().after(40_000, asked()).goes(&[
        (40_000, spawned(2), "[2 is process 102 for 5]", "handing over 1 to 2 until 40.05s"),
        (41_000, ready(2), "steer to B, [1 handed over to 2 in 1s]", "draining 1 beside 2 until 41s"),
        (42_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 43s"),
    ]);
    // Nor does it wait until the next try is due.
    let pausing = || alone().after(10_000, served(1, 5)).after(30_000, TICK).after(30_000, spawn_failed(2));
    pausing().goes(&[
        (31_000, asked(), "answer 7 started 1, [1 on command in 31s], spawn 3 in B", "handing over 1 to 3"),
        (31_000, spawn_failed(3), "[3 not started, again in 60s]", "serving 1 until 91s"),
    ]);
}

#[test]
fn there_is_one_recycle_at_a_time() {
    let under_way = [starting, draining, retiring, retiring_reaped, retiring_killed, not_ready, promoted];
    for given in under_way {
        stays(given, &asked(), "[no recycle: busy], answer 7 busy");
        stays(given, &USR2, "[no recycle: busy]");
    }
    for given in [failed, left] {
        stays(given, &asked(), "[no recycle: nobody], answer 7 nobody");
        stays(given, &USR2, "[no recycle: nobody]");
    }
}

#[test]
fn nobody_is_recycled_while_the_last_generation_departs() {
    for (given, answer) in [
        (recycling as fn() -> Story, "busy"),
        (recycling_reaped, "busy"),
        (recycling_killed, "busy"),
        (short, "busy"),
        (stopping, "nobody"),
        (stopping_reaped, "nobody"),
        (by_itself, "nobody"),
        (both_stopping, "nobody"),
    ] {
        // Whoever asks does not wait for an answer that never comes.
        stays(given, &asked(), &format!("[no recycle: {answer}], answer 7 {answer}"));
        // It means a recycle, and gunicorn's own would fail: it is never passed on.
        stays(given, &USR2, &format!("[no recycle: {answer}]"));
    }
}

/// It would not go, whatever took its place.
#[test]
fn a_generation_that_refuses_signals_is_not_replaced() {
    for given in [serving, alone] {
        let deaf = given().after(10_000, served(1, 5)).after(20_000, HUP).after(20_000, refused(1));
        deaf.goes(&[
            (20_001, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1"),
            (99_000, TICK, "", "serving 1"),
        ]);
    }
}

#[test]
fn usr2_may_be_the_childs() {
    let forwarding = || {
        serving_by(Policy {
            signals: Meanings::PLAIN.with(Signal::USR2, Meaning::Other(Signal::USR2)),
            ..HANDOVER
        })
    };
    let story = || forwarding().after(10_000, served(1, 5));
    let to = |id| format!("[USR2 forwarded], USR2 to leader {id}");
    story().goes(&[
        (30_000, USR2, &to(1), "serving 1 until 30s"),
        (30_000, TICK, "[1 spent 5 of 5 in 30s], spawn 2 in B", "handing over 1 to 2"),
        (30_000, spawned(2), "[2 is process 102 for 5]", "handing over 1 to 2 until 30.05s"),
        (30_000, USR2, &to(1), "handing over 1 to 2 until 30.05s"),
        (31_000, ready(2), "steer to B, [1 handed over to 2 in 1s]", "draining 1 beside 2 until 31s"),
        (31_000, USR2, &to(2), "draining 1 beside 2 until 31s"),
        (32_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 33s"),
        (32_000, USR2, &to(2), "retiring 1 beside 2 until 33s"),
        (
            32_500,
            TERM,
            "[TERM stops all in 25s], TERM to leader 2, CONT to group 2",
            "stopping 2 and 1 until 33s",
        ),
        (32_500, USR2, &to(2), "stopping 2 and 1 until 33s"),
    ]);
}

fn rewriting() -> Story {
    let signals = Meanings::PLAIN
        .with(Signal::HUP, Meaning::Nothing)
        .with(Signal::INT, Meaning::Other(Signal::TERM))
        .with(Signal::QUIT, Meaning::Other(Signal::HUP))
        .with(Signal(10), Meaning::Recycle);
    serving_by(Policy { signals, ..HANDOVER })
}

#[test]
fn signals_may_mean_something_else() {
    let recycle = "[1 on command in 40s], spawn 2 in B";
    let stop = "[INT taken for TERM], [TERM stops all in 25s], TERM to leader 1, CONT to group 1";
    table(
        rewriting,
        &[
            (1, HUP, "[HUP taken for nothing]", "serving 1"),
            (1, INT, stop, "stopping 1 until 1.001s"),
            // What it is taken for is not taken for something else again.
            (1, QUIT, "[QUIT taken for HUP], [HUP forwarded], HUP to leader 1", "serving 1"),
            (40_000, Event::Signal(Signal(10)), recycle, "handing over 1 to 2"),
            (40_000, USR2, recycle, "handing over 1 to 2"),
        ],
    );
    let ended = rewriting().after(1, TERM).after(2, exited(1, 0)).after(2, gone(1));
    ended.goes(&[(3, INT, "", "ended"), (3, HUP, "", "ended")]);
}
