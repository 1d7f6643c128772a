//! Budgets of age and memory beside that of requests: whichever is spent first. And a source of counts that stays silent.

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
                "[1 older than 100s in 100s], TERM to leader 1, CONT to leader 1",
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
        "[1 spent 5 of 5 in 50s], TERM to leader 1, CONT to leader 1",
        "recycling 1 until 51s",
    )]);
    serving_by(age(10)).goes(&[
        (29_999, TICK, "", "serving 1 until 30s"),
        (
            30_000,
            TICK,
            "[1 older than 10s in 30s], TERM to leader 1, CONT to leader 1",
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

/// 1,000 bytes a generation.
fn memory() -> Story {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    serving_by(Policy { budget, ..POLICY })
}

/// It was asked at this second, and holds so much.
fn measured(story: Story, second: u64, bytes: u64) -> Story {
    story.after(second * 1000, TICK).after(second * 1000, holds(1, bytes))
}

#[test]
fn memory_is_measured_each_second_and_as_seldom_as_it_costs() {
    let dear = |millis| held(1, 999, Duration::from_millis(millis));
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, holds(1, 999), "", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000", "serving 1 until 2s"),
        // 0.1 % of a processor, whatever it takes; but not for ever.
        (1_001, dear(1), "", "serving 1 until 2.001s"),
        (2_001, TICK, "measure 1 up to 1000", "serving 1 until 3.001s"),
        (2_021, dear(20), "", "serving 1 until 22.021s"),
        (22_021, TICK, "measure 1 up to 1000", "serving 1 until 23.021s"),
        (32_021, dear(10_000), "", "serving 1 until 332.021s"),
        // Another's, or nobody's, changes nothing.
        (32_021, holds(2, 5000), "", "serving 1 until 332.021s"),
        (332_021, TICK, "measure 1 up to 1000", "serving 1 until 333.021s"),
        // No answer: it is asked again.
        (333_021, TICK, "measure 1 up to 1000", "serving 1 until 334.021s"),
    ]);
    // Within a row it is measured each second, and the pause for that comes after it.
    let dear = |bytes| held(1, bytes, Duration::from_millis(20));
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, dear(1000), "", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000", "serving 1 until 2s"),
        (1_000, dear(1000), "", "serving 1 until 2s"),
        (2_000, TICK, "measure 1 up to 1000", "serving 1 until 3s"),
        (2_000, dear(999), "", "serving 1 until 62s"),
    ]);
    // Without a budget nothing is measured.
    assert_eq!(serving().after(0, TICK).state(), "serving 1");
}

#[test]
fn memory_recycles_when_it_was_too_much_three_times_in_a_row() {
    let often = [(100, 1000), (101, 5000), (102, 999), (103, 1000), (104, 1000)];
    let story = often
        .into_iter()
        .fold(measured(memory(), 0, 1), |story, (second, bytes)| measured(story, second, bytes));
    story.goes(&[
        (105_000, TICK, "measure 1 up to 1000", "serving 1 until 106s"),
        (105_000, holds(1, 1234), "", "serving 1 until 30s"),
        (
            105_000,
            TICK,
            "[1 holds 1234 of 1000 in 105s], TERM to leader 1, CONT to leader 1",
            "recycling 1 until 106s",
        ),
    ]);
    // What is given back before it is old enough, or while something else hinders, recycles nobody.
    let big = [5, 6, 7].into_iter().fold(memory(), |story, second| measured(story, second, 1000));
    assert_eq!(big.state(), "serving 1 until 8s");
    let small = measured(big, 8, 10);
    assert_eq!(small.after(30_000, TICK).state(), "serving 1 until 31s");
}

#[test]
fn a_budget_that_every_fresh_generation_exceeds_makes_no_storm() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let mut story = Story::new(Policy { budget, ..POLICY }).after(0, TICK);
    let (mut now, mut told) = (0, Vec::new());
    let mut ages = Vec::new();
    for number in 1..=7 {
        let _ = story.step(now, spawned(number));
        let born = now;
        while !story.state().starts_with("recycling") {
            now += 1000;
            let orders = story.step(now, TICK);
            if orders.contains("measure") {
                told.push(story.step(now, holds(number, 2000)));
            }
        }
        ages.push((now - born) / 1000);
        let _ = (story.step(now, exited(number, 0)), story.step(now, gone(number)));
    }
    assert_eq!(ages, [30, 60, 120, 240, 480, 600, 600]);
    told.retain(|orders| !orders.is_empty());
    assert_eq!(told, ["[1 too big: 2000 of 1000]"]);
    // One that was small for long enough (a minute to get ready, half a minute at least) is recycled as soon as it is not,
    // and the next one begins anew.
    for (number, small_until, recycled_at) in [(8, 91, 93), (9, 0, 30)] {
        let _ = story.step(now, spawned(number));
        let born = now;
        for second in 1..=100 {
            now = born + second * 1000;
            let mut orders = story.step(now, TICK);
            if orders.contains("measure") {
                let _ = story.step(now, holds(number, if second < small_until { 1 } else { 2000 }));
                orders = story.step(now, TICK);
            }
            if orders.contains("holds 2000 of 1000") {
                assert_eq!(second, recycled_at, "{number}");
                break;
            }
        }
        let _ = (story.step(now, exited(number, 0)), story.step(now, gone(number)));
    }
    assert_eq!(story.state(), "spawning 10");
}

#[test]
fn a_long_retirement_does_not_hide_that_a_budget_is_too_small() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy =
        Policy { budget, recycle: Recycle::Handover, grace_period: Duration::from_mins(5), ..POLICY };
    let story = serving_by(policy).after(40_000, USR2).after(40_000, spawned(2)).after(41_000, ready(2));
    let story = story.after(42_000, empty(Slot::A)).after(200_000, exited(1, 0)).after(200_000, gone(1));
    // Nobody has measured it before.
    story.goes(&[
        (200_000, TICK, "measure 2 up to 1000", "serving 2 until 201s"),
        (200_000, holds(2, 1500), "", "serving 2 until 201s"),
        (201_000, TICK, "measure 2 up to 1000", "serving 2 until 202s"),
        (201_000, holds(2, 1500), "", "serving 2 until 202s"),
        (202_000, TICK, "measure 2 up to 1000", "serving 2 until 203s"),
        (202_000, holds(2, 1500), "[2 too big: 1500 of 1000]", "serving 2 until 70s"),
    ]);
}

#[test]
fn a_generation_that_fits_breaks_the_row_and_one_that_does_not_counts_once() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy =
        Policy { budget, recycle: Recycle::Reload(Signal::HUP), grace_period: Duration::ZERO, ..POLICY };
    let mut story = serving_by(Policy { ready_timeout: Duration::from_secs(1), ..policy });
    let too_big = |story: &mut Story, from: u64| {
        let mut told = String::new();
        for second in from..from + 3 {
            let _ = story.step(second * 1000, TICK);
            told += &story.step(second * 1000, holds(1, 1500));
        }
        told
    };
    assert_eq!(too_big(&mut story, 0), "[1 too big: 1500 of 1000]");
    // Once is enough for one generation, whatever it does between.
    let _ = (story.step(3_000, TICK), story.step(3_000, holds(1, 1)));
    assert_eq!(too_big(&mut story, 4), "");
    // The second in a row is not told.
    let _ = story.step(8_000, USR2);
    assert_eq!(too_big(&mut story, 9), "");
    // One that fits, and the next that does not.
    let _ = story.step(20_000, USR2);
    for second in [21, 80] {
        let _ = (story.step(second * 1000, TICK), story.step(second * 1000, holds(1, 1)));
    }
    let _ = story.step(90_000, USR2);
    assert_eq!(too_big(&mut story, 91), "[1 too big: 1500 of 1000]");
}

#[test]
fn what_cannot_be_seen_of_memory_is_told_once() {
    let cost = Duration::ZERO;
    let dim = |bytes| Event::MemoryMeasured { id: GenerationId(1), bytes, view: View::Hidden, cost };
    // Below the limit nobody looks so closely.
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, dim(1), "[1 seen dimly]", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000", "serving 1 until 2s"),
        (1_000, holds(1, 1), "", "serving 1 until 2s"),
        (2_000, TICK, "measure 1 up to 1000", "serving 1 until 3s"),
        (2_000, dim(1), "", "serving 1 until 3s"),
    ]);
}

#[test]
fn a_reload_holds_the_memory_of_both_for_a_while() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let story = serving_by(Policy { budget, recycle: Recycle::Reload(Signal::HUP), ..POLICY });
    story.after(40_000, USR2).goes(&[
        (40_000, TICK, "", "serving 1 until 65s"),
        (65_000, TICK, "measure 1 up to 1000", "serving 1 until 66s"),
    ]);
}

#[test]
fn a_successor_is_fresh_from_when_it_serves() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy = Policy { budget, recycle: Recycle::Handover, ..POLICY };
    let story = serving_by(policy).after(40_000, USR2).after(40_000, spawned(2)).after(95_000, ready(2));
    let mut story = story.after(96_000, empty(Slot::A)).after(96_500, exited(1, 0)).after(96_500, gone(1));
    // It had been started at 40 s, and took long; it is measured from 96.5 s on, and so it is fresh until 126.5 s.
    let mut told = Vec::new();
    let _ = story.step(96_500, TICK);
    assert_eq!(story.step(96_500, holds(2, 1)), "");
    for second in [126, 127, 128] {
        let _ = story.step(second * 1000, TICK);
        told.push(story.step(second * 1000, holds(2, 1500)));
    }
    assert_eq!(told, ["", "", "[2 too big: 1500 of 1000]"]);
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
