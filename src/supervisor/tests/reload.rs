//! A generation that replaces its processes by itself when it gets a signal.

use super::given::*;
use super::*;

const RELOAD: Policy = Policy { recycle: Recycle::Reload(Signal::HUP), ..POLICY };

#[test]
fn a_spent_budget_reloads() {
    let reload = |used, age| format!("[1 spent {used} of 5 in {age}], HUP to leader 1, [1 got HUP: {used}]");
    serving_by(RELOAD).goes(&[
        (10_000, served(1, 6), "", "serving 1 until 30s"),
        (29_999, TICK, "", "serving 1 until 30s"),
        (30_000, TICK, &reload(6, "30s"), "serving 1"),
        // It begins anew, in age and in requests.
        (31_000, served(1, 4), "", "serving 1"),
        (32_000, served(1, 1), "", "serving 1 until 60s"),
        (60_000, TICK, &reload(5, "30s"), "serving 1"),
        (61_000, TERM, "[TERM stops all in 25s], TERM to leader 1, CONT to group 1", "stopping 1 until 62s"),
    ]);
    let group = Policy { recipient: Recipient::Group, recycle: Recycle::Reload(Signal(10)), ..POLICY };
    let reload = "[1 spent 5 of 5 in 30s], 10 to group 1, [1 got 10: 5]";
    serving_by(group).after(1, served(1, 5)).goes(&[(30_000, TICK, reload, "serving 1")]);
}

#[test]
fn a_command_reloads() {
    let reload = "[1 on command in 40s], HUP to leader 1, [1 got HUP: 2]";
    for (event, orders) in [(asked(), format!("answer 7 started 1, {reload}")), (USR2, reload.to_owned())] {
        let story = serving_by(RELOAD).after(10_000, served(1, 2));
        story.goes(&[(40_000, event, &orders, "serving 1")]);
    }
    let asked_to_end = serving_by(RELOAD).after(10_000, INT);
    asked_to_end.goes(&[(40_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1")]);
}

#[test]
fn every_reload_draws_a_limit_of_its_own() {
    let budget = Budget { requests: Some(5), requests_jitter: 1_000_000, ..Budget::default() };
    let mut story = Story::new(Policy { budget, ..RELOAD }).after(0, TICK).after(0, spawned(1));
    let mut limits = Vec::new();
    for time in [30_000, 60_000] {
        story = story.after(time, served(1, u64::MAX));
        limits.push(story.step(time, TICK).split(' ').nth(4).map(str::to_owned));
    }
    assert_ne!(limits[0], limits[1]);
}

/// What cannot be told to reload is not told so, nor said to have been told, again and again.
#[test]
fn a_signal_that_does_not_arrive_reloads_nothing() {
    serving_by(RELOAD).after(10_000, served(1, 5)).after(30_000, TICK).goes(&[
        (30_000, refused(1), "[1 refuses signals]", "serving 1"),
        (31_000, served(1, 9), "", "serving 1"),
        (99_000, TICK, "", "serving 1"),
        (99_000, asked(), "[no recycle: nobody], answer 7 nobody", "serving 1"),
    ]);
}
