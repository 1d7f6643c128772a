//! The budget of memory: how often it is measured, what is a leak, and what a generation is that never fitted.

use super::given::*;
use super::*;

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
    // Within a row it is measured each second; what is cheap after
    // it pays for itself alone, and leaves the debt to what is dear.
    let dear = |bytes| held(1, bytes, Duration::from_millis(20));
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, dear(1000), "", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000", "serving 1 until 2s"),
        (1_000, dear(1000), "", "serving 1 until 2s"),
        (2_000, TICK, "measure 1 up to 1000", "serving 1 until 3s"),
        (2_000, dear(999), "", "serving 1 until 22s"),
        (22_000, TICK, "measure 1 up to 1000", "serving 1 until 23s"),
        (22_000, dear(1000), "", "serving 1 until 23s"),
        (23_000, TICK, "measure 1 up to 1000", "serving 1 until 24s"),
        (23_000, dear(999), "", "serving 1 until 100s"),
    ]);
    // Without a budget nothing is measured.
    assert_eq!(serving().after(0, TICK).state(), "serving 1");
}

#[test]
fn what_is_shared_is_measured_at_its_cost_and_the_rest_each_second() {
    let dear = |bytes, shared| shares(1, bytes, shared, Duration::from_millis(5));
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, dear(900, 2000), "", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000 less 2000", "serving 1 until 2s"),
        (1_000, holds(1, 950), "", "serving 1 until 2s"),
        (5_000, TICK, "measure 1 up to 1000", "serving 1 until 6s"),
        (5_000, dear(950, 2100), "", "serving 1 until 6s"),
        // Not due, but what is cheap has called for it, and is wrong: another one at once, as it is so near.
        (6_000, TICK, "measure 1 up to 1000 less 2100", "serving 1 until 7s"),
        (6_000, dear(960, 2400), "", "serving 1 until 7s"),
        (7_000, TICK, "measure 1 up to 1000 less 2400", "serving 1 until 8s"),
        (7_000, shares(1, 960, 2400, Duration::from_millis(50)), "", "serving 1 until 8s"),
        // But not for ever: that was a minute's worth of it.
        (8_000, TICK, "measure 1 up to 1000 less 2400", "serving 1 until 9s"),
        (8_000, dear(960, 2400), "", "serving 1 until 70s"),
        (70_000, TICK, "measure 1 up to 1000", "serving 1 until 71s"),
    ]);
}

#[test]
fn what_is_cheap_does_not_pay_for_what_was_dear() {
    let dear = |bytes, shared| shares(1, bytes, shared, Duration::from_millis(9));
    memory().goes(&[
        (0, TICK, "measure 1 up to 1000", "serving 1 until 1s"),
        (0, dear(900, 2000), "", "serving 1 until 1s"),
        (1_000, TICK, "measure 1 up to 1000 less 2000", "serving 1 until 2s"),
        (1_000, dear(960, 2400), "", "serving 1 until 2s"),
        (2_000, TICK, "measure 1 up to 1000 less 2400", "serving 1 until 3s"),
        // Nine or eighteen seconds later whoever leaks would be over the limit.
        (2_000, holds(1, 970), "", "serving 1 until 3s"),
    ]);
}

#[test]
fn a_leak_is_replaced_before_it_has_reached_the_limit() {
    // 100 bytes, and 10 more each second once it has settled. It is gone 10 s after it is over the line at the
    // latest: three measurements and its end, 5 s for a successor that nobody has seen yet, and the linger.
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy = Policy { budget, ready_timeout: Duration::ZERO, linger: Duration::from_secs(1), ..POLICY };
    let holds_at = |second: u64| 100 + 10 * second.saturating_sub(30);
    let mut story = serving_by(policy.clone());
    let mut second = 0;
    while !story.state().starts_with("recycling") {
        let _ = story.step(second * 1000, TICK);
        let _ = story.step(second * 1000, holds(1, holds_at(second)));
        let _ = story.step(second * 1000, TICK);
        second += 1;
        assert!(second < 200, "it is never recycled");
    }
    let used = holds_at(second - 1);
    assert!((910..=940).contains(&used), "{used}");
    // What grows by nothing has the whole budget, up to its limit; what has been over it for less than three
    // measurements, too, and a jump counts twice as long as it is new.
    let steady = [0, 30, 31, 100]
        .into_iter()
        .fold(serving_by(policy.clone()), |story, second| measured(story, second, 999));
    steady.goes(&[(101_000, TICK, "measure 1 up to 1000", "serving 1 until 102s")]);
    let jump = [(0, 100), (30, 100), (31, 500)]
        .into_iter()
        .fold(serving_by(policy), |story, (second, bytes)| measured(story, second, bytes));
    jump.goes(&[
        (32_000, TICK, "measure 1 up to 600", "serving 1 until 33s"),
        (32_000, holds(1, 500), "", "serving 1 until 33s"),
        (70_000, TICK, "measure 1 up to 900", "serving 1 until 71s"),
    ]);
}

#[test]
fn a_leak_that_goes_by_fits_and_starts_is_not_left_alone_at_the_line() {
    // It stands still for three seconds just when it is over the line, and each measurement costs a pause of 7 s.
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy = Policy { budget, ready_timeout: Duration::ZERO, linger: Duration::from_secs(1), ..POLICY };
    let holds_at = |second: u64| 909 + 10 * second.saturating_sub(94);
    let mut story =
        (1..=90).fold(serving_by(policy), |story, second| measured(story, second, 10 * second - 1));
    let mut second = 91;
    while story.state().starts_with("serving") {
        if story.step(second * 1000, TICK).contains("measure") {
            let dear = held(1, holds_at(second), Duration::from_millis(7));
            let _ = (story.step(second * 1000, dear), story.step(second * 1000, TICK));
        }
        second += 1;
        assert!(second < 200, "it is never recycled");
    }
    assert!(story.state().starts_with("recycling"), "{}", story.state());
    assert!(holds_at(second - 1) <= 960, "{}", holds_at(second - 1));
}

#[test]
fn one_step_is_no_leak() {
    let budget = Budget { memory: Some(1000), ..POLICY.budget };
    let policy = || Policy { budget: budget.clone(), ready_timeout: Duration::ZERO, ..POLICY };
    let story = |after: fn(u64) -> u64| {
        let mut story = serving_by(policy());
        for second in 0..200 {
            let holds_now = if second <= 30 { 100 } else { after(second) };
            let _ = (story.step(second * 1000, TICK), story.step(second * 1000, holds(1, holds_now)));
            let _ = story.step(second * 1000, TICK);
            if !story.state().starts_with("serving") {
                break;
            }
        }
        story.state()
    };
    assert!(story(|_| 950).starts_with("serving 1"), "a step, and no more");
    assert!(story(|second| 950 + second % 2).starts_with("serving 1"), "up and down is no growth");
    assert!(story(|_| 1000).starts_with("recycling 1"), "the limit is the limit");
    // It goes on more slowly than before, and has its budget until it is there.
    assert!(story(|second| 950 + second / 10).starts_with("serving 1"), "hardly any growth");
    assert!(story(|second| 6 * second - 80).starts_with("recycling 1"), "the control: it grows");
}

#[test]
fn memory_recycles_when_it_was_too_much_three_times_in_a_row() {
    let often = [(100, 1000), (101, 5000), (102, 999), (103, 1000), (104, 1000)];
    let story = often
        .into_iter()
        .fold(measured(memory(), 0, 1), |story, (second, bytes)| measured(story, second, bytes));
    story.goes(&[
        // It was 999 when it had settled, and is 1000 now.
        (105_000, TICK, "measure 1 up to 999", "serving 1 until 106s"),
        (105_000, holds(1, 1234), "", "serving 1 until 30s"),
        (
            105_000,
            TICK,
            "[1 holds 1234 of 1000 in 105s], TERM to leader 1, CONT to group 1",
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
    // One that was small for long enough (a minute to get ready, half a minute
    // at least) is recycled as soon as it is not, and the next one begins anew.
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
    let dim =
        |bytes| Event::MemoryMeasured { id: GenerationId(1), bytes, shared: None, view: View::Hidden, cost };
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
