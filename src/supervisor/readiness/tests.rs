//! What is seen of a successor over time, and what that says.
//!
//! A row is `(milliseconds since its start, sight, verdict)`.

use super::super::terms::{Signal, View, Worker};
use super::super::{Budget, Expected, Follow, Meanings, Recipient, Recycle, Restart, RestartLimit, Workers};
use super::*;

fn policy(ready: Ready) -> Policy {
    Policy {
        budget: Budget::default(),
        min_age: Duration::ZERO,
        stop_signal: Signal::TERM,
        grace_period: Duration::ZERO,
        drain_delay: Duration::ZERO,
        restart: Restart::Never,
        cores: None,
        metrics: None,
        disk_warn: None,
        restart_limit: RestartLimit { ends: 5, window: Duration::from_mins(1) },
        follow: Follow::Nobody,
        workers: Workers::Unwatched,
        recipient: Recipient::Leader,
        recycle: Recycle::Handover,
        ready,
        ready_timeout: Duration::ZERO,
        linger: Duration::ZERO,
        watchdog: None,
        signals: Meanings::PLAIN,
        expected: Expected::default(),
        cure: None,
    }
}

/// Workers by their files; those that beat are written as positive numbers.
fn sight(door: Door, workers: &[i64]) -> Sight {
    let worker = |file: &i64| Worker { file: file.unsigned_abs(), beats: *file > 0 };
    Sight { door, said_ready: false, workers: workers.iter().map(worker).collect(), view: View::Clear }
}

fn said(sight: Sight) -> Sight {
    Sight { said_ready: true, ..sight }
}

/// One look after the other, at one successor.
fn looks(ready: Ready, rows: &[(u64, Sight, &str)]) {
    let (policy, started) = (policy(ready), Instant::now());
    let mut readiness = Readiness::new(started);
    for (millis, sight, expected) in rows {
        let now = started + Duration::from_millis(*millis);
        let verdict = match readiness.judge(sight, &policy, now) {
            Verdict::Ready => "ready".into(),
            Verdict::NotYet(lack) => format!("not yet: {lack}"),
            Verdict::Failed(lack) => format!("never: {lack}"),
        };
        assert_eq!(verdict, *expected, "{sight:?} at {millis} ms");
    }
}

const NOT_ACCEPTED: &str = "not yet: it has not accepted a connection";
const NO_WORD: &str = "not yet: it has not said READY=1";
const TOO_YOUNG: &str = "not yet: it is too young";
const LOST: &str = "never: a worker ended before all of them served";
const DARK: &str =
    "not yet: the sockets are shared, so nobody can tell from outside; write OSTLER_READY=delay:10s";

fn unhealthy() -> Door {
    Door::Unhealthy("HTTP/1.1 503".into())
}

#[test]
fn whoever_accepts_is_ready() {
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Closed, &[]), NOT_ACCEPTED),
            (60_000, said(sight(Door::Closed, &[])), NOT_ACCEPTED),
            (60_050, sight(unhealthy(), &[]), "not yet: the health path: HTTP/1.1 503"),
            (
                60_060,
                sight(Door::Unreachable("it is mute".into()), &[]),
                "not yet: it cannot be reached: it is mute",
            ),
            (60_100, sight(Door::Open, &[]), "ready"),
        ],
    );
    looks(Ready::Accept, &[(0, sight(Door::Open, &[]), "ready")]);
}

#[test]
fn all_workers_of_a_gunicorn_serve() {
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Closed, &[-1]), NOT_ACCEPTED),
            (100, sight(Door::Closed, &[-1, -2]), NOT_ACCEPTED),
            (900, sight(Door::Open, &[1, -2]), "not yet: 1 of its 2 workers serve"),
            (950, sight(Door::Open, &[1, -2, -3]), "not yet: 1 of its 3 workers serve"),
            (5_000, sight(Door::Open, &[1, 2, -3]), "not yet: 2 of its 3 workers serve"),
            (5_050, sight(Door::Closed, &[1, 2, 3]), NOT_ACCEPTED),
            (5_100, sight(Door::Open, &[3, 2, 1]), "ready"),
        ],
    );
}

#[test]
fn a_worker_more_may_come_for_half_a_second() {
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Open, &[1]), "not yet: 1 of its 1 workers serve"),
            (549, sight(Door::Open, &[1]), "not yet: 1 of its 1 workers serve"),
            (549, sight(Door::Open, &[1, 2]), "not yet: 2 of its 2 workers serve"),
            (1_048, sight(Door::Open, &[1, 2]), "not yet: 2 of its 2 workers serve"),
            (1_049, sight(Door::Open, &[1, 2]), "ready"),
        ],
    );
    // Only a new one is waited for, not the first beat of one that is there.
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Open, &[-1]), "not yet: 0 of its 1 workers serve"),
            (600, sight(Door::Open, &[1]), "ready"),
        ],
    );
}

#[test]
fn a_worker_that_ends_will_not_serve() {
    for (before, after) in [(&[1, 2][..], &[2][..]), (&[1], &[]), (&[1], &[2]), (&[-1, 2], &[2, 3])] {
        for ready in [Ready::Accept, Ready::Notify, Ready::Delay(Duration::from_secs(10))] {
            for door in [Door::Closed, Door::Open, Door::Blind] {
                let (policy, now) = (policy(ready), Instant::now());
                let mut readiness = Readiness::new(now);
                let first = readiness.judge(&said(sight(door.clone(), before)), &policy, now);
                assert!(matches!(first, Verdict::NotYet(_)), "{first:?}");
                let then = readiness.judge(&said(sight(door, after)), &policy, now);
                assert_eq!(then, Verdict::Failed(Lack::WorkerLost), "{before:?} {after:?}");
            }
        }
    }
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Open, &[1, -2]), "not yet: 1 of its 2 workers serve"),
            (100, sight(Door::Open, &[1, -3]), LOST),
        ],
    );
}

#[test]
fn where_sockets_are_shared_workers_tell() {
    looks(
        Ready::Accept,
        &[
            (50, sight(Door::Blind, &[]), DARK),
            (30_000, said(sight(Door::Blind, &[])), DARK),
            (30_050, sight(Door::Blind, &[-1]), "not yet: 0 of its 1 workers serve"),
            (30_500, sight(Door::Blind, &[1]), "not yet: 1 of its 1 workers serve"),
            (30_550, sight(Door::Blind, &[1]), "ready"),
        ],
    );
}

#[test]
fn whoever_has_to_say_so_accepts_too() {
    looks(
        Ready::Notify,
        &[
            (50, sight(Door::Open, &[]), NO_WORD),
            (60_000, sight(unhealthy(), &[]), NO_WORD),
            (60_050, said(sight(Door::Closed, &[])), NOT_ACCEPTED),
            (60_100, said(sight(unhealthy(), &[])), "not yet: the health path: HTTP/1.1 503"),
            (60_150, said(sight(Door::Open, &[])), "ready"),
        ],
    );
    // gunicorn says it before its workers have begun.
    looks(
        Ready::Notify,
        &[
            (50, sight(Door::Closed, &[-1]), NO_WORD),
            (100, said(sight(Door::Closed, &[-1])), NOT_ACCEPTED),
            (150, said(sight(Door::Open, &[-1])), "not yet: 0 of its 1 workers serve"),
            (500, said(sight(Door::Open, &[1])), "not yet: 1 of its 1 workers serve"),
            (600, said(sight(Door::Open, &[1])), "ready"),
        ],
    );
}

#[test]
fn where_sockets_are_shared_the_word_counts() {
    // Half a second is left to it to show workers.
    looks(
        Ready::Notify,
        &[
            (50, sight(Door::Blind, &[]), NO_WORD),
            (5_000, said(sight(Door::Blind, &[])), TOO_YOUNG),
            (5_499, said(sight(Door::Blind, &[])), TOO_YOUNG),
            (5_500, said(sight(Door::Blind, &[])), "ready"),
        ],
    );
    looks(
        Ready::Notify,
        &[
            (5_000, said(sight(Door::Blind, &[])), TOO_YOUNG),
            (5_100, said(sight(Door::Blind, &[-1])), "not yet: 0 of its 1 workers serve"),
            (9_000, said(sight(Door::Blind, &[1])), "ready"),
        ],
    );
}

#[test]
fn a_delay_asks_for_nothing_else_but_workers() {
    let delay = Ready::Delay(Duration::from_secs(10));
    looks(
        delay,
        &[
            (50, sight(Door::Open, &[]), TOO_YOUNG),
            (9_999, said(sight(Door::Open, &[])), TOO_YOUNG),
            (10_000, sight(Door::Closed, &[]), "ready"),
        ],
    );
    for door in [Door::Closed, Door::Blind, Door::Open, unhealthy()] {
        looks(delay, &[(10_000, sight(door, &[]), "ready")]);
    }
    looks(
        delay,
        &[
            (9_000, sight(Door::Blind, &[-1, 2]), TOO_YOUNG),
            (10_000, sight(Door::Blind, &[-1, 2]), "not yet: 1 of its 2 workers serve"),
            (10_050, sight(Door::Blind, &[1, 2]), "ready"),
        ],
    );
    looks(Ready::Delay(Duration::ZERO), &[(0, sight(Door::Closed, &[]), "ready")]);
}
