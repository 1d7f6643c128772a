//! The budget of age beside that of requests: whichever is spent first. And a source of counts that stays silent.

use super::*;

fn age(seconds: u64) -> Policy {
    let budget = Budget { age: Some(Duration::from_secs(seconds)), ..POLICY.budget };
    Policy { budget, ..POLICY }
}

#[test]
fn age_recycles_at_its_time_and_not_before_the_minimum() {
    let old = || serving_by(age(100));
    assert_eq!(old().state(), "serving 1 until 100s");
    table(
        old,
        &[
            (99_999, TICK, "", "serving 1 until 100s"),
            (
                100_000,
                TICK,
                "[1 older than 100s in 100s], TERM to leader 1, CONT to group 1",
                "recycling 1 until 101s",
            ),
            // Whichever is first.
            (50_000, served(1, 5), "", "serving 1 until 30s"),
        ],
    );
    let story = old().after(50_000, served(1, 5));
    story.goes(&[(
        50_000,
        TICK,
        "[1 spent 5 of 5 in 50s], TERM to leader 1, CONT to group 1",
        "recycling 1 until 51s",
    )]);
    serving_by(age(10)).goes(&[
        (29_999, TICK, "", "serving 1 until 30s"),
        (
            30_000,
            TICK,
            "[1 older than 10s in 30s], TERM to leader 1, CONT to group 1",
            "recycling 1 until 31s",
        ),
    ]);
    let asked_to_end = old().after(1_000, INT);
    assert_eq!(asked_to_end.state(), "serving 1");
}

#[test]
fn a_failed_handover_for_age_is_tried_again_after_a_pause() {
    let policy = Policy { recycle: Recycle::Handover, ..age(100) };
    let story = serving_by(policy).after(100_000, TICK).after(100_000, spawned(2));
    story.goes(&[
        (
            101_000,
            exited(2, 3),
            "steer to A, [2 NotReady with 3: 0 in 1s], TERM to group 2, CONT to group 2, reap 2, \
             [2 failed: it ended, again in 30s]",
            "retiring 2 beside 1 until 126s",
        ),
        (101_000, gone(2), "shed B", "serving 1 until 131s"),
        (131_000, TICK, "[1 older than 100s in 131s], spawn 3 in B", "handing over 1 to 3"),
    ]);
}

#[test]
fn ages_are_drawn_for_every_generation() {
    let budget =
        Budget { age: Some(Duration::from_secs(100)), age_jitter: Duration::from_secs(50), ..POLICY.budget };
    let mut story = Story::new(Policy { budget, ..POLICY }).after(0, TICK);
    let first = story.step(0, spawned(1));
    let mut story = story.after(150_000, TICK).after(150_000, exited(1, 0)).after(150_000, gone(1));
    let second = story.step(150_000, spawned(2));
    let age = |started: &str| started.split(" or ").nth(1).map(str::to_owned);
    assert_ne!(age(&first), age(&second));
}

fn listening() -> Story {
    serving_by(Policy { cure: Some(Cure("so".into())), ..POLICY })
}

#[test]
fn silence_is_told_once_when_connections_come() {
    listening().goes(&[
        (0, TICK, "count connections", "serving 1 until 10s"),
        (0, opened(100), "", "serving 1 until 10s"),
        (10_000, TICK, "count connections", "serving 1 until 30s"),
        (10_000, opened(119), "", "serving 1 until 30s"),
        (30_000, TICK, "count connections", "serving 1 until 70s"),
        (30_000, opened(120), "[20 connections, silence: so]", "serving 1"),
        (31_000, opened(999), "", "serving 1"),
    ]);
}

#[test]
fn who_speaks_is_not_silent() {
    // Nor who tells of requests that are left out of the count.
    for count in [1, 0] {
        let heard = listening().after(0, TICK).after(0, opened(0)).after(1, served(1, count));
        assert_eq!(heard.after(10_000, TICK).after(10_000, opened(500)).state(), "serving 1");
    }
    // Where nothing can be known there is no answer.
    assert_eq!(listening().after(0, TICK).after(10_000, TICK).state(), "serving 1 until 30s");
    // The pause grows to five minutes.
    let mut story = listening();
    let mut asked = Vec::new();
    for second in 0..1500 {
        if story.step(second * 1000, TICK) == "count connections" {
            asked.push(second);
            let _ = story.step(second * 1000, opened(7));
        }
    }
    assert_eq!(asked, [0, 10, 30, 70, 150, 310, 610, 910, 1210]);
}
