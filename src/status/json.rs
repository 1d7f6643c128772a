//! A report as one JSON object: what `--status --json` prints, and what all other views are drawn from.

use super::{Crew, MemoryUse, Report};
use crate::supervisor::{
    Certainty, Course, DiskUse, GenerationId, Next, PastRecycle, Portrait, RecycleReason, Role, Spending,
    Totals,
};
use serde_json::{Value, json};
use std::time::Duration;

/// The object. Times are in seconds, sizes in bytes; what is not known or not limited is `null`.
#[must_use]
pub fn json(report: &Report) -> Value {
    let Report { status, facts } = report;
    let generations = status.generations.iter().map(|portrait| generation(portrait, report));
    let recycles = status.recycles.iter().map(|(recycle, ago)| past(recycle, *ago));
    let crew = report.crew().map(|Crew { serving, all }| json!({ "serving": serving, "all": all }));
    let disk = facts.disk.map(|disk| {
        let DiskUse { used, available } = disk;
        json!({ "used": used, "available": available, "percent": disk.percent() })
    });
    let memory = facts.memory.map(|MemoryUse { used, limit }| json!({ "used": used, "limit": limit }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": status.phase.name(),
        "state_left_s": status.phase.left().map(seconds),
        "healthy": report.ailment().is_none(),
        "unhealthy": report.ailment(),
        "degraded": report.degraded(),
        "uptime_s": seconds(status.uptime),
        "generations": generations.collect::<Vec<_>>(),
        "workers": crew,
        "next_recycle": next(status.next),
        "recycles": recycles.collect::<Vec<_>>(),
        "totals": totals(&status.totals, facts.log_dropped),
        "counting": facts.source.map(crate::count::Source::name),
        "connections_waiting": facts.waiting,
        "disk": disk,
        "memory": memory,
        "listening": facts.addresses,
        "health_path": facts.health_path,
    })
}

fn generation(portrait: &Portrait, report: &Report) -> Value {
    let Portrait { id, role, age, requests, limits, memory, ready_after } = portrait;
    json!({
        "generation": id.0,
        "role": match role {
            Role::Incumbent => "incumbent",
            Role::Successor => "successor",
            Role::Former => "former",
            Role::Leaving => "leaving",
        },
        "pid": leader(*id, report),
        "age_s": seconds(*age),
        "ready_after_s": ready_after.map(seconds),
        "requests": requests,
        "memory": memory,
        "max_requests": limits.requests,
        "max_age_s": limits.age.map(seconds),
        "max_memory": limits.memory,
    })
}

fn leader(wanted: GenerationId, report: &Report) -> Option<i32> {
    report.facts.leaders.iter().find(|(id, _)| *id == wanted).map(|(_, pid)| pid.0)
}

fn next(next: Next) -> Value {
    let none = |why: &str| json!({ "budget": null, "within_s": null, "certainty": null, "why_none": why });
    match next {
        Next::Within(spending, within, certainty) => json!({
            "budget": match spending {
                Spending::Requests => "requests",
                Spending::Age => "age",
                Spending::Memory => "memory",
            },
            "within_s": seconds(within),
            "certainty": match certainty {
                Certainty::Exact => "exact",
                Certainty::Estimate => "estimate",
            },
            "why_none": null,
        }),
        Next::Unknown => none("nothing tells yet when a budget is spent"),
        Next::NoBudget => none("there is no budget"),
        Next::AskedToEnd => none("the child was asked to end"),
        Next::Deaf => none("signals do not reach the child"),
        Next::Blocked => none("a generation hangs in the kernel"),
        Next::NotNow => none("nobody serves alone now"),
    }
}

fn past(recycle: &PastRecycle, ago: Duration) -> Value {
    let PastRecycle { id, reason, age, course, .. } = recycle;
    let (result, took, why) = match course {
        Course::UnderWay => ("under-way", None, None),
        Course::Done(took) => ("done", Some(seconds(*took)), None),
        Course::Failed(why) => ("failed", None, Some(why)),
    };
    let (reason, used, limit) = match reason {
        RecycleReason::Requests { used, limit } => ("requests", json!(used), json!(limit)),
        RecycleReason::Age { limit } => ("age", json!(seconds(*age)), json!(seconds(*limit))),
        RecycleReason::Memory { used, limit } => ("memory", json!(used), json!(limit)),
        RecycleReason::Command => ("command", Value::Null, Value::Null),
        RecycleReason::Hung(standing) => ("hung", json!(seconds(*standing)), Value::Null),
    };
    json!({
        "generation": id.0,
        "reason": reason,
        "used": used,
        "limit": limit,
        "age_s": seconds(*age),
        "ago_s": seconds(ago),
        "result": result,
        "took_s": took,
        "why_failed": why,
    })
}

fn totals(totals: &Totals, log_dropped: u64) -> Value {
    let Totals {
        requests,
        recycles,
        recycles_failed,
        restarts,
        workers_crashed,
        grace_expired,
        orphans,
        output_dropped,
        cores,
    } = totals;
    json!({
        "requests": requests,
        "recycles": recycles,
        "recycles_failed": recycles_failed,
        "restarts": restarts,
        "workers_crashed": workers_crashed,
        "grace_expired": grace_expired,
        "orphans": orphans,
        "output_lines_dropped": output_dropped,
        "log_lines_dropped": log_dropped,
        "core_files": cores,
    })
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}
