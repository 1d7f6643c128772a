//! One report in every form.

use super::*;
use crate::supervisor::{
    Certainty, Course, Limits, Next, PastRecycle, Phase, Portrait, RecycleReason, Role, Spending, Totals,
};
use serde_json::Value;
use std::time::{Duration, Instant};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server in the midst of its second generation.
fn report() -> Report {
    let limits = Limits { requests: Some(5000), age: Some(seconds(7200)), memory: Some(800 << 20) };
    let incumbent = Portrait {
        id: GenerationId(2),
        role: Role::Incumbent,
        age: Duration::from_millis(1_800_500),
        requests: 1250,
        limits: limits.clone(),
        memory: Some(200 << 20),
        ready_after: Some(Duration::from_millis(2345)),
    };
    let past = |id, reason, course| PastRecycle {
        id: GenerationId(id),
        reason,
        age: seconds(3600),
        course,
        began: Instant::now(),
    };
    let done = Course::Done(Duration::from_millis(1024));
    let first = past(1, RecycleReason::Requests { used: 5003, limit: 5000 }, done);
    let failed = past(1, RecycleReason::Command, Course::Failed("it has not accepted a connection".into()));
    let totals =
        Totals { requests: 1_234_567, recycles: 1, recycles_failed: 1, restarts: 2, ..Totals::default() };
    Report {
        status: Status {
            phase: Phase::Serving,
            uptime: seconds(5400),
            generations: vec![incumbent],
            next: Next::Within(Spending::Requests, seconds(5402), Certainty::Estimate),
            troubles: Vec::new(),
            workers: Workers::Watched,
            totals,
            recycles: vec![(first, seconds(1801)), (failed, seconds(1900))],
        },
        facts: Facts {
            leaders: vec![(GenerationId(2), Pid(42))],
            crew: Some(Crew { serving: 4, all: 4 }),
            source: Some(Source::Statsd),
            waiting: Some(3),
            log_dropped: 7,
            disk: Some(DiskUse { used: 15 << 30, available: 5 << 30 }),
            memory: Some(MemoryUse { used: 300 << 20, limit: Some(1 << 30) }),
            addresses: vec!["0.0.0.0:8000".into()],
            health_path: None,
        },
    }
}

#[test]
fn people_read_this() {
    let page_of = |report: &Report, drawing| page(&json(report), drawing);
    assert_eq!(
        page_of(&report(), Drawing::Bars),
        "\
ostler 0.1.0, up 1h 30m: serving, healthy
generation   2: incumbent, pid 42, up 30m, ready after 2.3s; 4 of 4 workers serve
  requests   █████░░░░░░░░░░░░░░░  1,250 of 5,000, 25 %
  age        █████░░░░░░░░░░░░░░░  30m of 2h, 25 %
  memory     █████░░░░░░░░░░░░░░░  200.0 MiB of 800.0 MiB, 25 %
next         recycle by requests in about 1h 30m 2s
counting     requests by statsd: 1,234,567 since ostler has started
listening    0.0.0.0:8000; 3 waiting to be accepted
memory       █████░░░░░░░░░░░░░░░  300.0 MiB of 1.0 GiB, 30 %
disk         ███████████████░░░░░  15.0 GiB of 20.0 GiB, 75 %
since start  1 recycles, 1 failed, 2 restarts, 7 lines of the log dropped
recycles     30m 1s ago, generation 1: requests (5,003 of 5,000), done in 1.0s
             31m 40s ago, generation 1: command, failed: it has not accepted a connection
"
    );
    let mut other = report();
    other.status = Status {
        phase: Phase::Draining(seconds(5)),
        generations: Vec::new(),
        next: Next::NoBudget,
        troubles: vec![Trouble::WorkersCrash],
        recycles: Vec::new(),
        totals: Totals::default(),
        ..other.status
    };
    other.facts = Facts { memory: Some(MemoryUse { used: 5 << 20, limit: None }), ..Facts::default() };
    assert_eq!(
        page_of(&other, Drawing::Words),
        "\
ostler 0.1.0, up 1h 30m: draining for 5.0s more, not healthy
degraded     workers crash again and again
next         no recycle: there is no budget
counting     no requests
memory       5.0 MiB
since start  0 recycles, 0 failed
"
    );
    // What others have said is shown, not obeyed.
    let mut hostile = report();
    hostile.status.recycles[1].0.course = Course::Failed("HTTP/1.1 503 \u{1b}[2J\nrecycles".into());
    let shown = page_of(&hostile, Drawing::Words);
    assert!(
        !shown.contains('\u{1b}')
            && shown.lines().count() == page_of(&report(), Drawing::Words).lines().count(),
        "{shown}"
    );
    // What is over its limit fills the bar, and no more.
    let mut over = report();
    over.status.generations[0].requests = 6000;
    assert!(page_of(&over, Drawing::Bars).contains(&format!("{}  6,000 of 5,000, 120 %\n", "█".repeat(20))));
}

#[test]
fn programs_read_this() {
    let report = report();
    let value = json(&report);
    for (path, expected) in [
        ("/state", Value::from("serving")),
        ("/healthy", true.into()),
        ("/unhealthy", Value::Null),
        ("/generations/0/pid", 42.into()),
        ("/generations/0/age_s", 1800.5.into()),
        ("/generations/0/max_memory", (800 << 20).into()),
        ("/next_recycle/budget", "requests".into()),
        ("/next_recycle/certainty", "estimate".into()),
        ("/recycles/0/result", "done".into()),
        ("/recycles/0/took_s", 1.024.into()),
        ("/recycles/1/why_failed", "it has not accepted a connection".into()),
        ("/totals/log_lines_dropped", 7.into()),
        ("/disk/percent", 75.into()),
        ("/workers/serving", 4.into()),
    ] {
        assert_eq!(value.pointer(path), Some(&expected), "{path}");
    }
    // It has to go into one datagram, with ten recycles that all tell why they have failed.
    let mut long = report;
    let failed = long.status.recycles[1].clone();
    long.status.recycles = vec![failed; 10];
    assert!(json(&long).to_string().len() < 8 << 10);
}

#[test]
fn who_does_not_serve_is_not_healthy_and_who_serves_badly_is_degraded() {
    let with = |phase, crew, workers| {
        let mut report = report();
        (report.status.phase, report.facts.crew, report.status.workers) = (phase, crew, workers);
        (report.ailment(), report.degraded())
    };
    let crew = |serving, all| Some(Crew { serving, all });
    let none: (Option<String>, Vec<String>) = (None, Vec::new());
    let ill = |why: &str| (Some(why.to_owned()), Vec::new());
    for phase in [Phase::Serving, Phase::HandingOver, Phase::Retiring] {
        assert_eq!(with(phase, crew(2, 2), Workers::Watched), none);
    }
    for (phase, name) in [
        (Phase::Waiting(seconds(1)), "waiting"),
        (Phase::Starting, "starting"),
        (Phase::Draining(seconds(1)), "draining"),
        (Phase::Searching, "searching"),
        (Phase::Replacing, "replacing"),
        (Phase::Stopping, "stopping"),
        (Phase::Sweeping, "sweeping"),
    ] {
        assert_eq!(with(phase, crew(2, 2), Workers::Watched), ill(name));
    }
    assert_eq!(with(Phase::Serving, crew(0, 2), Workers::Watched), ill("0 of 2 workers serve"));
    assert_eq!(with(Phase::Serving, crew(0, 0), Workers::Watched), ill("there is no worker yet"));
    // No gunicorn, and one that cannot be seen: they run, and more is not known.
    assert_eq!(with(Phase::Serving, crew(0, 0), Workers::Unwatched), none);
    assert_eq!(with(Phase::Serving, None, Workers::Watched), none);
    let short = with(Phase::Serving, crew(1, 2), Workers::Watched);
    assert_eq!(short, (None, vec!["1 of 2 workers serve".to_owned()]));
    let mut report = report();
    report.status.troubles = vec![
        Trouble::HandoversFail(3),
        Trouble::MemoryBudgetSmall(2),
        Trouble::Deaf,
        Trouble::Left(1),
        Trouble::SteeringFails,
        Trouble::CountSilent,
        Trouble::WorkersCrash,
        Trouble::DiskFills,
    ];
    assert_eq!((report.ailment(), report.degraded().len()), (None, 8));
    assert_eq!(report.degraded()[7], "the disk is 75 % full");
}

#[test]
fn counters_are_told_by_what_they_have_grown_and_gauges_as_they_are() {
    let mut report = report();
    let mut meter = Meter::default();
    let mut told = |report: &Report, name: &str| {
        let line = meter.emf(report, None, 0);
        meter.was_told(report);
        serde_json::from_str::<Value>(&line).unwrap()[name].clone()
    };
    assert_eq!(told(&report, "Requests"), 1_234_567);
    report.status.totals.requests += 5;
    assert_eq!(told(&report, "Requests"), 5);
    assert_eq!(told(&report, "Requests"), 0);
    // What got lost on its way is told again.
    let mut meter = Meter::default();
    meter.was_told(&report);
    report.status.totals.requests += 5;
    for sum in [5, 12] {
        assert!(meter.emf(&report, None, 0).contains(&format!("\"Requests\":{sum},")));
        assert!(meter.statsd(&report)[0].contains(&format!("ostler.requests:{sum}|c")));
        report.status.totals.requests += 7;
    }
    report.status.totals.requests -= 14;
    let mut meter = Meter::default();
    let mut told = |report: &Report, name: &str| {
        let line = meter.emf(report, None, 0);
        meter.was_told(report);
        serde_json::from_str::<Value>(&line).unwrap()[name].clone()
    };
    assert_eq!(told(&report, "GenerationRequests"), 1250);
    assert_eq!(told(&report, "DiskUtilization"), 75);
}

#[test]
fn cloudwatch_reads_this() {
    let line = Meter::default().emf(&report(), Some("shop"), 1_700_000_000_123);
    assert!(line.len() < 4096 && line.ends_with('\n') && line.lines().count() == 1);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["_aws"]["Timestamp"], 1_700_000_000_123_u64);
    let directive = &value["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &value["Service"]), (&"ostler".into(), &"shop".into()));
    assert_eq!(directive["Dimensions"], serde_json::json!([["Service"]]));
    let metrics = directive["Metrics"].as_array().unwrap();
    // Its quota: 100 metrics in a directive. Each has its value beside it.
    assert!((20..100).contains(&metrics.len()));
    for metric in metrics {
        let name = metric["Name"].as_str().unwrap();
        assert!(value[name].is_u64() && name.chars().all(char::is_alphanumeric), "{name}");
        assert!(["Count", "Seconds", "Bytes", "Percent"].contains(&metric["Unit"].as_str().unwrap()));
    }
    let alone: Value = serde_json::from_str(&Meter::default().emf(&report(), None, 0)).unwrap();
    assert_eq!(alone["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([[]]));
    assert!(alone.get("Service").is_none());
}

#[test]
fn statsd_reads_this() {
    let datagrams = Meter::default().statsd(&report());
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1432));
    let lines: Vec<_> = datagrams.iter().flat_map(|datagram| datagram.lines()).collect();
    for line in [
        "ostler.requests:1234567|c",
        "ostler.recycles:1|c",
        "ostler.generation_age_seconds:1800|g",
        "ostler.disk_utilization_percent:75|g",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:#?}");
    }
}

#[test]
fn prometheus_reads_this() {
    let text = prometheus(&report());
    for line in [
        "# TYPE ostler_requests_total counter\nostler_requests_total 1234567\n",
        "# TYPE ostler_generation_age_seconds gauge\nostler_generation_age_seconds 1800\n",
        "# TYPE ostler_memory_used_bytes gauge\nostler_memory_used_bytes 314572800\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Three lines for each, and no name twice.
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!((text.lines().count(), different.len()), (3 * names.len(), names.len()));
}
