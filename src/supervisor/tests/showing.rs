//! What is shown of it: what goes on, when the next recycle is, what is not as it should be, what has happened.

use super::given::*;
use super::*;

const ASKED: Event = Event::PageAsked { client: Client(7), page: Page::Status };

fn next(story: Story, millis: u64) -> Next {
    story.after(millis, TICK).status().next
}

#[test]
fn who_asks_is_shown_at_once_in_every_state_and_changes_nothing() {
    for given in [new, spawning, failed, serving, recycling, ordered, starting, draining, retiring, stopping]
    {
        let (before, now) = (given().state(), given().now.as_millis());
        given().goes(&[(u64::try_from(now).unwrap(), ASKED, "show 7 the Status", before.as_str())]);
    }
}

#[test]
fn what_goes_on_has_a_name() {
    let delayed = Policy { drain_delay: Duration::from_secs(10), ..POLICY };
    let (one, two) = ((1, Role::Incumbent), (2, Role::Incumbent));
    let told = |story: Story| {
        let status = story.status();
        let told =
            status.generations.iter().map(|portrait| (portrait.id.0, portrait.role)).collect::<Vec<_>>();
        (status.phase.name(), status.phase.serves(), told)
    };
    assert_eq!(told(spawning()), ("starting", false, vec![]));
    assert_eq!(told(failed()), ("waiting", false, vec![]));
    assert_eq!(told(serving()), ("serving", true, vec![one]));
    assert_eq!(told(recycling()), ("replacing", false, vec![(1, Role::Leaving)]));
    assert_eq!(told(ordered()), ("handing-over", true, vec![one]));
    assert_eq!(told(starting()), ("handing-over", true, vec![one, (2, Role::Successor)]));
    assert_eq!(told(draining()), ("retiring", true, vec![two, (1, Role::Former)]));
    assert_eq!(told(retiring()), ("retiring", true, vec![two, (1, Role::Leaving)]));
    assert_eq!(told(serving_by(delayed).after(9_000, TERM)), ("draining", false, vec![one]));
    assert_eq!(told(serving().after(9_000, INT)), ("stopping", false, vec![one]), "it was passed on");
    assert_eq!(told(stopping()), ("stopping", false, vec![(1, Role::Leaving)]));
    assert_eq!(told(ended()), ("sweeping", false, vec![]));
}

#[test]
fn the_next_recycle_is_foreseen() {
    let seconds = Duration::from_secs;
    let by_age = |age| Budget { age: Some(seconds(age)), ..POLICY.budget };
    let estimate = |left| Next::Within(Spending::Requests, seconds(left), Certainty::Estimate);
    let exact = |left| Next::Within(Spending::Age, seconds(left), Certainty::Exact);
    assert_eq!(next(serving(), 60_000), Next::Unknown);
    // A request in thirty seconds, five may come.
    let used = |policy| serving_by(policy).after(50_000, served(1, 2));
    assert_eq!(next(used(POLICY), 60_000), estimate(90));
    assert_eq!(next(used(Policy { budget: by_age(100), ..POLICY }), 60_000), exact(40));
    assert_eq!(next(used(Policy { budget: by_age(1_000), ..POLICY }), 60_000), estimate(90));
    // It is spent, but too young.
    assert_eq!(next(spent(), 20_000), estimate(10));
    // At 12 s it had settled at 100 bytes; after 38 s more it holds 150 of 200.
    let memory = Budget { requests: None, memory: Some(200), ..POLICY.budget };
    let grown =
        serving_by(Policy { budget: memory, ready_timeout: Duration::ZERO, min_age: seconds(1), ..POLICY });
    let grown = grown.after(0, holds(1, 100)).after(12_000, holds(1, 100)).after(50_000, holds(1, 150));
    assert_eq!(next(grown, 50_000), Next::Within(Spending::Memory, seconds(38), Certainty::Estimate));
    let none = Policy { budget: Budget { requests: None, ..POLICY.budget }, ..POLICY };
    assert_eq!(next(serving_by(none), 60_000), Next::NoBudget);
    assert_eq!(next(serving().after(9_000, INT), 60_000), Next::AskedToEnd);
    assert_eq!(next(serving().after(9_000, HUP).after(9_000, refused(1)), 60_000), Next::Deaf);
    assert_eq!(next(starting(), 30_000), Next::NotNow);
}

#[test]
fn recycles_are_remembered() {
    let past = |story: Story| {
        let status = story.status();
        let words = |(recycle, ago): &(PastRecycle, Duration)| {
            format!("{} by {:?}, {:?} ago: {:?}", recycle.id, recycle.reason, ago, recycle.course)
        };
        let words: Vec<_> = status.recycles.iter().map(words).collect();
        (words.join("; "), status.totals.recycles, status.totals.recycles_failed)
    };
    let spent = "1 by Requests { used: 5, limit: 5 }";
    assert_eq!(past(starting()), (format!("{spent}, 0ns ago: UnderWay"), 0, 0));
    assert_eq!(past(draining()), (format!("{spent}, 2s ago: Done(2s)"), 1, 0));
    assert_eq!(past(second()), (format!("{spent}, 3s ago: Done(3s)"), 1, 0));
    let failed = starting().after(31_000, exited(2, 1));
    assert_eq!(past(failed), (format!("{spent}, 1s ago: Failed(\"it ended\")"), 0, 1));
    let not_started = ordered().after(30_000, spawn_failed(2));
    assert_eq!(past(not_started), (format!("{spent}, 0ns ago: Failed(\"so it is\")"), 0, 1));
    let stopped = starting().after(31_000, TERM);
    assert_eq!(past(stopped), (format!("{spent}, 1s ago: Failed(\"ostler was told to stop\")"), 0, 0));
    let asked = starting().after(31_000, INT);
    assert_eq!(past(asked), (format!("{spent}, 1s ago: Failed(\"ostler was told to stop\")"), 0, 0));
    // It has served, and ended before the one before it was gone: figures that only grow count both.
    let taken_back = draining().after(32_500, exited(2, 1));
    assert_eq!(past(taken_back).1, 1);
    assert_eq!(past(draining().after(32_500, exited(2, 1))).2, 1);
    // The last ten.
    let reload = Policy { recycle: Recycle::Reload(Signal::HUP), ..POLICY };
    let mut story = serving_by(reload);
    for number in 1..=12 {
        story = story.after(number * 40_000, served(1, 5)).after(number * 40_000, TICK);
    }
    let status = story.status();
    assert_eq!((status.recycles.len(), status.totals.recycles, status.totals.requests), (10, 12, 60));
    assert!(status.recycles[0].1 < status.recycles[9].1, "the newest first");
}

#[test]
fn troubles_are_named_and_go_as_they_came() {
    let troubles = |story: Story| story.status().troubles;
    assert_eq!(troubles(serving()), []);
    assert_eq!(troubles(serving().after(9_000, HUP).after(9_000, refused(1))), [Trouble::Deaf]);
    let failed = || starting().after(31_000, exited(2, 1)).after(31_000, gone(2));
    assert_eq!(troubles(failed()), [Trouble::HandoversFail(1)]);
    let again = failed().after(61_000, TICK).after(61_000, spawned(3)).after(62_000, ready(3));
    assert_eq!(troubles(again), []);
    let unsteered = || alone().after(32_000, not_steered());
    assert!(troubles(unsteered()).contains(&Trouble::SteeringFails));
    assert_eq!(
        troubles(unsteered().after(33_000, TICK)),
        [],
        "it is ordered again, and nobody says that it fails"
    );
    let full = |used| Event::DiskSeen { disk: Some(DiskUse { used, available: 100 - used }) };
    let watched = || serving_by(Policy { disk_warn: Some(80), ..POLICY });
    assert_eq!(troubles(watched().after(1_000, full(79))), []);
    assert_eq!(troubles(watched().after(1_000, full(90))), [Trouble::DiskFills]);
}

#[test]
fn metrics_are_sent_at_equal_steps_and_once_more_at_the_end() {
    let policy = Policy { metrics: Some(Duration::from_mins(1)), ..POLICY };
    let story = || serving_by(policy.clone());
    story().goes(&[
        (59_999, TICK, "", "serving 1 until 60s"),
        (60_000, TICK, "publish", "serving 1 until 120s"),
        (119_000, served(1, 1), "", "serving 1 until 120s"),
        (120_500, TICK, "publish", "serving 1 until 180s"),
    ]);
    let ends = story().after(1_000, TERM).after(2_000, exited(1, 0));
    ends.goes(&[
        (2_000, gone(1), "publish, exit 0", "ended until 60s"),
        (60_000, TICK, "", "ended until 60s"),
    ]);
    // The control: nobody wants them.
    serving().after(1_000, TERM).after(2_000, exited(1, 0)).goes(&[(2_000, gone(1), "exit 0", "ended")]);
}

#[test]
fn the_disk_is_looked_at_whatever_else_goes_on() {
    let story = serving_by(Policy { disk_warn: Some(80), ..POLICY });
    let full = Event::DiskSeen { disk: Some(DiskUse { used: 90, available: 10 }) };
    let goes_on = Event::GrownSearched { search: DiskSearch::GoesOn };
    let done = Event::GrownSearched { search: DiskSearch::Done(Vec::new()) };
    story.goes(&[
        (1_000, full, "[90 % full]", "serving 1 until 1.01s"),
        (1_010, TICK, "search what has grown", "serving 1"),
        (1_010, goes_on, "", "serving 1 until 1.02s"),
        (1_020, TICK, "search what has grown", "serving 1"),
        (1_020, done, "[0 have grown]", "serving 1 until 11.02s"),
        (11_020, TICK, "look at the disk", "serving 1"),
    ]);
}
