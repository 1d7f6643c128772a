//! The workers of a gunicorn, whose deaths only their master hears of.

use super::given::*;
use super::*;

fn gunicorn() -> Story {
    serving_by(Policy { workers: Workers::Watched, ..HANDOVER })
}

fn found(pids: &[i32]) -> Event {
    Event::WorkersWatched { id: GenerationId(1), new: pids.iter().copied().map(Pid).collect() }
}

fn ended(pid: i32, status: Option<ExitStatus>) -> Event {
    Event::WorkerEnded { id: GenerationId(1), pid: Pid(pid), status }
}

const ABORTED: Option<ExitStatus> = Some(ExitStatus::Dumped(Signal(6)));

#[test]
fn workers_are_looked_for_until_none_are_new() {
    gunicorn().goes(&[
        (250, TICK, "watch workers of 1", "serving 1 until 750ms"),
        (250, found(&[50, 51]), "", "serving 1 until 500ms"),
        (500, TICK, "watch workers of 1", "serving 1 until 1s"),
        (500, found(&[]), "", "serving 1 until 1s"),
        (1_000, TICK, "watch workers of 1", "serving 1 until 2s"),
        (2_000, TICK, "watch workers of 1", "serving 1 until 4s"),
        (64_000, TICK, "watch workers of 1", "serving 1 until 68s"),
        // Something happens: there may be new ones.
        (65_000, HUP, "[HUP forwarded], HUP to leader 1", "serving 1 until 65.25s"),
        (
            65_100,
            ended(50, Some(ExitStatus::Exited(0))),
            "[worker 50 of 1 ended with 0, Normal]",
            "serving 1 until 65.35s",
        ),
        (65_350, TICK, "watch workers of 1", "serving 1 until 65.85s"),
    ]);
    // It dies out.
    let mut story = gunicorn();
    let looks = (0..4_000_u64).filter(|tenths| story.step(tenths * 100, TICK).contains("watch")).count();
    assert_eq!((looks, story.state().as_str()), (9, "serving 1"));
    // Of what is no gunicorn nothing is known.
    serving().goes(&[
        (5_000, TICK, "", "serving 1"),
        (6_000, HUP, "[HUP forwarded], HUP to leader 1", "serving 1"),
    ]);
}

#[test]
fn how_a_worker_ended_says_whether_it_was_to() {
    let young = || gunicorn().after(5_000, TICK).after(5_000, found(&[50]));
    for (at, status, words) in [
        (60_000, Some(ExitStatus::Exited(0)), "with 0, Normal"),
        (60_000, Some(ExitStatus::Signaled(Signal::TERM)), "with 143, Normal"),
        (60_000, Some(ExitStatus::Exited(3)), "with 3, Fault"),
        (60_000, Some(ExitStatus::Signaled(Signal::KILL)), "with 137, Fault"),
        (60_000, ABORTED, "with 134, Fault"),
        // Nobody can know how.
        (60_000, None, "somehow, Normal"),
        (14_999, None, "somehow, Fault"),
    ] {
        let told = young().step(at, ended(50, status));
        assert_eq!(told, format!("[worker 50 of 1 ended {words}]"), "{at} {status:?}");
    }
    // Another generation's is nobody's here.
    let other = Event::WorkerEnded { id: GenerationId(9), pid: Pid(50), status: ABORTED };
    assert_eq!(young().step(60_000, other), "");
}

#[test]
fn workers_that_die_again_and_again_are_told_of_once_a_minute() {
    let mut story = gunicorn();
    let mut told = Vec::new();
    for number in 0..20_i32 {
        let at = 10_000 * u64::from(number.unsigned_abs());
        let orders = story.step(at, ended(number, ABORTED));
        if let Some((_, crash)) = orders.split_once("], [") {
            told.push(format!("{}s: {crash}", at / 1000));
        }
    }
    let crash = "6 workers of 1 in 60s]";
    assert_eq!(
        told,
        ["40s: 5 workers of 1 in 60s]".to_owned(), format!("100s: {crash}"), format!("160s: {crash}")]
    );
    // Now and then is no loop.
    let mut story = gunicorn();
    for number in 0..20_i32 {
        let orders = story.step(16_000 * u64::from(number.unsigned_abs()), ended(number, ABORTED));
        assert!(!orders.contains("in 60s"), "{orders}");
    }
}

#[test]
fn a_successor_s_workers_are_its_own() {
    let story = gunicorn().after(5_000, TICK).after(5_000, found(&[50])).after(40_000, USR2);
    let story = story.after(40_000, spawned(2)).after(41_000, ready(2));
    story.goes(&[
        (
            41_500,
            ended(50, ABORTED),
            "[worker 50 of 1 ended with 134, Fault]",
            "draining 1 beside 2 until 41s",
        ),
        (
            41_600,
            Event::WorkerEnded { id: GenerationId(2), pid: Pid(60), status: ABORTED },
            "[worker 60 of 2 ended with 134, Fault]",
            "draining 1 beside 2 until 41s",
        ),
        (42_000, empty(Slot::A), "TERM to leader 1, CONT to group 1", "retiring 1 beside 2 until 43s"),
        // Its master aborts who does not come to an end; who does is expected to.
        (
            42_500,
            ended(51, ABORTED),
            "[worker 51 of 1 ended with 134, Fault]",
            "retiring 1 beside 2 until 43s",
        ),
        (42_500, ended(52, None), "", "retiring 1 beside 2 until 43s"),
    ]);
}
