//! The end: whoever is left beside the generations; and a leader that a pid file names another for.

use super::given::*;
use super::*;

fn swept(signal: Option<Signal>, left: usize) -> Event {
    Event::Swept { signal, left: vec![Left { pid: Pid(500), name: "daemon".into(), kin: Kin::Own }; left] }
}

/// Nobody but who came from outside.
fn guests(signal: Option<Signal>) -> Event {
    Event::Swept { signal, left: vec![Left { pid: Pid(600), name: "bash".into(), kin: Kin::Guest }] }
}

const T: Option<Signal> = Some(Signal::TERM);

/// The child has ended by itself, with 3, at 5 s.
fn sweeping() -> Story {
    serving().with_others().after(5_000, exited(1, 3)).after(5_000, gone(1))
}

#[test]
fn whoever_is_left_gets_what_is_left_of_the_grace_period() {
    let ended = serving().with_others().after(5_000, exited(1, 3));
    ended.goes(&[
        (5_000, gone(1), "TERM to all", "sweeping until 5.1s"),
        (5_000, swept(T, 2), "[2 others left for 25s], CONT to all", "sweeping until 5.1s"),
        (5_000, swept(Some(Signal::CONT), 2), "", "sweeping until 5.1s"),
        (5_100, TICK, "look who is left", "sweeping until 5.2s"),
        (5_100, swept(None, 1), "", "sweeping until 5.2s"),
        // Somebody has ended: not only each tenth of a second.
        (5_150, orphan(), "[orphan 77]", "sweeping until 5.15s"),
        (5_150, TICK, "look who is left", "sweeping until 5.25s"),
        (5_150, swept(None, 0), "exit 3", "ended"),
    ]);
    table(
        sweeping,
        &[
            (5_000, swept(T, 0), "exit 3", "ended"),
            (29_999, TICK, "look who is left", "sweeping until 30s"),
            (30_000, TICK, "KILL to all", "sweeping until 30.1s"),
            (6_000, HUP, "[HUP dropped]", "sweeping until 5.1s"),
            (6_000, asked(), "[no recycle: nobody], answer 7 nobody", "sweeping until 5.1s"),
        ],
    );
    ignores(sweeping, &[spawned(2), spawn_failed(2), exited(1, 1), gone(1), served(1, 9), refused(1)]);
    sweeping().after(30_000, TICK).goes(&[
        (30_000, swept(Some(Signal::KILL), 2), "[2 others killed]", "sweeping until 30.1s"),
        (30_100, TICK, "look who is left", "sweeping until 30.2s"),
        (30_100, swept(None, 1), "", "sweeping until 30.2s"),
        // The kernel has it.
        (31_000, TICK, "exit 3", "ended"),
    ]);
}

#[test]
fn who_is_in_a_hurry_asks_again() {
    sweeping().after(5_000, swept(T, 1)).goes(&[
        (6_000, TERM, "[TERM stops all in 0ns]", "sweeping until 5.1s"),
        (6_000, TICK, "KILL to all", "sweeping until 6.1s"),
        (6_000, swept(Some(Signal::KILL), 1), "[1 others killed]", "sweeping until 6.1s"),
        (6_050, INT, "[INT stops all in 0ns]", "sweeping until 6.1s"),
        (6_100, TICK, "look who is left", "sweeping until 6.2s"),
        (6_100, swept(None, 0), "exit 3", "ended"),
    ]);
}

#[test]
fn who_came_from_outside_is_told_and_waited_for_only_a_moment() {
    sweeping().goes(&[
        (5_000, guests(T), "[1 others left for 25s], CONT to all", "sweeping until 5.1s"),
        (5_999, TICK, "look who is left", "sweeping until 6.099s"),
        (5_999, guests(None), "", "sweeping until 6.099s"),
        (6_099, TICK, "look who is left", "sweeping until 6.199s"),
        (6_099, guests(None), "exit 3", "ended"),
    ]);
}

#[test]
fn a_stop_leaves_them_only_what_it_was_given() {
    let stopped = serving().with_others().after(5_000, TERM).after(15_000, exited(1, 0));
    stopped.goes(&[
        (15_000, gone(1), "TERM to all", "sweeping until 15.1s"),
        (15_000, swept(T, 1), "[1 others left for 15s], CONT to all", "sweeping until 15.1s"),
        (30_000, TICK, "KILL to all", "sweeping until 30.1s"),
    ]);
    // Nothing is left of it after SIGKILL.
    let killed = serving().with_others().after(5_000, TERM).after(30_000, TICK).after(30_500, exited(1, 9));
    killed.goes(&[
        // They were never asked before: a second, whatever is left.
        (30_500, gone(1), "TERM to all", "sweeping until 30.6s"),
        (30_500, swept(T, 1), "[1 others left for 1s], CONT to all", "sweeping until 30.6s"),
        (31_500, TICK, "KILL to all", "sweeping until 31.6s"),
    ]);
}

fn daemons() -> Story {
    serving_by(Policy { follow: Follow::PidFile, ..POLICY })
}

fn heir(pid: Option<i32>) -> Event {
    Event::HeirSought { id: GenerationId(1), heir: pid.map(Pid) }
}

#[test]
fn a_leader_that_has_put_a_daemon_in_its_place_is_followed() {
    daemons().goes(&[
        (1_000, exited(1, 0), "seek heir of 1", "searching for 1 until 1.1s"),
        (1_000, heir(None), "", "searching for 1 until 1.1s"),
        (1_000, HUP, "[HUP dropped]", "searching for 1 until 1.1s"),
        (1_000, asked(), "[no recycle: nobody], answer 7 nobody", "searching for 1 until 1.1s"),
        (1_100, TICK, "seek heir of 1", "searching for 1 until 1.2s"),
        (1_100, heir(Some(55)), "follow 1 to 55, [1 led by 55: 0 in 1.1s]", "serving 1"),
        // When that one ends it is sought again: a daemon may replace itself too.
        (9_000, exited(1, 0), "seek heir of 1", "searching for 1 until 9.1s"),
    ]);
}

#[test]
fn what_was_asked_to_end_has_left_nobody() {
    let asked = || daemons().after(1_000, QUIT).after(2_000, exited(1, 0));
    // One look is for a server that upgrades itself by QUIT.
    asked().goes(&[(2_000, heir(Some(55)), "follow 1 to 55, [1 led by 55: 0 in 2s]", "serving 1")]);
    asked().goes(&[
        (2_000, heir(None), "", "searching for 1 until 2s"),
        (
            2_000,
            TICK,
            "[1 Asked with 0: 0 in 2s], TERM to group 1, CONT to group 1, reap 1",
            "stopping 1 until 27s",
        ),
    ]);
}

#[test]
fn nobody_is_followed_who_is_not_there() {
    let end = "[1 ByItself with 3: 0 in 1s], TERM to group 1, CONT to group 1, reap 1";
    // What has failed has left no daemon.
    daemons().goes(&[(1_000, exited(1, 3), end, "stopping 1 until 26s")]);
    let searching = || daemons().after(1_000, exited(1, 0));
    searching().after(10_999, TICK).goes(&[
        (
            11_000,
            TICK,
            "[nobody leads 1 on], [1 ByItself with 0: 0 in 11s], TERM to group 1, CONT to group 1, reap 1",
            "stopping 1 until 36s",
        ),
        (11_000, gone(1), "exit 0", "ended"),
    ]);
    searching().goes(&[
        (
            2_000,
            TERM,
            "[TERM stops all in 25s], [1 Stopped with 0: 0 in 2s], TERM to group 1, CONT to group 1, reap 1",
            "stopping 1 until 27s",
        ),
        (2_000, gone(1), "exit 0", "ended"),
    ]);
    // Without a pid file it is the end.
    serving().goes(&[(
        1_000,
        exited(1, 0),
        "[1 ByItself with 0: 0 in 1s], TERM to group 1, CONT to group 1, reap 1",
        "stopping 1 until 26s",
    )]);
}
