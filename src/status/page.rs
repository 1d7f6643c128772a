//! A report for people: from the JSON object that the running ostler has answered with.

use crate::doctor::{Text, percent, size};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// How wide a bar is, in characters.
const BAR: u64 = 20;

/// May bars be drawn?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// A terminal shows them.
    Bars,
    /// Words are all there is room for: a file, a pipe.
    Words,
}

/// The page.
#[must_use]
pub fn page(report: &Value, drawing: Drawing) -> String {
    let mut page = String::new();
    let state = text(report, "state");
    let health = report["unhealthy"].as_str().map_or("healthy".to_owned(), |why| {
        if why == state { "not healthy".into() } else { format!("not healthy: {why}") }
    });
    let uptime = time(&report["uptime_s"]);
    let left =
        report["state_left_s"].as_f64().map(|_| format!(" for {} more", time(&report["state_left_s"])));
    let left = left.unwrap_or_default();
    let _ = writeln!(page, "ostler {}, up {uptime}: {state}{left}, {health}", text(report, "version"));
    for trouble in list(report, "degraded") {
        row(&mut page, "degraded", trouble.as_str().unwrap_or_default());
    }
    for generation in list(report, "generations") {
        of_generation(&mut page, generation, report, drawing);
    }
    row(&mut page, "next", &next(&report["next_recycle"]));
    row(&mut page, "counting", &counting(report));
    if let Some(addresses) = report["listening"].as_array().filter(|addresses| !addresses.is_empty()) {
        let names: Vec<_> = addresses.iter().filter_map(Value::as_str).collect();
        let waiting = report["connections_waiting"].as_u64();
        let waiting = waiting.map(|number| format!("; {} waiting to be accepted", grouped(number)));
        row(&mut page, "listening", &format!("{}{}", names.join(", "), waiting.unwrap_or_default()));
    }
    let memory = &report["memory"];
    if let Some(used) = memory["used"].as_u64() {
        gauge(&mut page, "memory", used, memory["limit"].as_u64(), size, drawing);
    }
    let disk = &report["disk"];
    if let (Some(used), Some(available)) = (disk["used"].as_u64(), disk["available"].as_u64()) {
        gauge(&mut page, "disk", used, Some(used.saturating_add(available)), size, drawing);
    }
    row(&mut page, "since start", &totals(&report["totals"]));
    let mut head = "recycles";
    for recycle in list(report, "recycles") {
        row(&mut page, head, &past(recycle));
        head = "";
    }
    page
}

fn of_generation(page: &mut String, generation: &Value, report: &Value, drawing: Drawing) {
    let pid = generation["pid"].as_i64().map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let number = generation["generation"].as_u64().unwrap_or_default();
    let role = text(generation, "role");
    let crew = &report["workers"];
    let crew = match (role, crew["serving"].as_u64(), crew["all"].as_u64()) {
        ("incumbent", Some(serving), Some(all)) => format!("; {serving} of {all} workers serve"),
        _ => String::new(),
    };
    let ready = generation["ready_after_s"].as_f64();
    let ready = ready.map(|_| format!(", ready after {}", time(&generation["ready_after_s"])));
    let ready = ready.unwrap_or_default();
    let words = format!("{number}: {role}{pid}, up {}{ready}{crew}", time(&generation["age_s"]));
    row(page, "generation", &words);
    let requests = generation["requests"].as_u64().unwrap_or_default();
    if let Some(limit) = generation["max_requests"].as_u64() {
        gauge(page, "  requests", requests, Some(limit), grouped, drawing);
    }
    if let (Some(age), Some(limit)) = (whole(&generation["age_s"]), whole(&generation["max_age_s"])) {
        gauge(page, "  age", age, Some(limit), |seconds| time(&seconds.into()), drawing);
    }
    if let Some(used) = generation["memory"].as_u64() {
        gauge(page, "  memory", used, generation["max_memory"].as_u64(), size, drawing);
    }
}

/// A figure, of its limit, as a bar where that may be drawn.
fn gauge(
    page: &mut String,
    name: &str,
    used: u64,
    limit: Option<u64>,
    show: impl Fn(u64) -> String,
    drawing: Drawing,
) {
    let Some(limit) = limit else { return row(page, name, &show(used)) };
    let words = format!("{} of {}, {} %", show(used), show(limit), percent(used, limit));
    match drawing {
        Drawing::Words => row(page, name, &words),
        Drawing::Bars => {
            let share = u128::from(used) * u128::from(BAR) / u128::from(limit.max(1));
            let full = usize::try_from(share.min(BAR.into())).unwrap_or_default();
            let rest = usize::try_from(BAR).unwrap_or_default().saturating_sub(full);
            row(page, name, &format!("{}{}  {words}", "█".repeat(full), "░".repeat(rest)));
        }
    }
}

fn next(next: &Value) -> String {
    match (next["budget"].as_str(), next["certainty"].as_str()) {
        (Some(budget), Some("exact")) => format!("recycle by {budget} in {}", time(&next["within_s"])),
        (Some(budget), _) => format!("recycle by {budget} in about {}", time(&next["within_s"])),
        (None, _) => format!("no recycle: {}", text(next, "why_none")),
    }
}

fn counting(report: &Value) -> String {
    let requests = report.pointer("/totals/requests").and_then(Value::as_u64).unwrap_or_default();
    report["counting"].as_str().map_or("no requests".into(), |source| {
        format!("requests by {source}: {} since ostler has started", grouped(requests))
    })
}

fn totals(totals: &Value) -> String {
    let of = |name: &str| totals[name].as_u64().unwrap_or_default();
    let mut words =
        format!("{} recycles, {} failed", grouped(of("recycles")), grouped(of("recycles_failed")));
    for (name, what) in [
        ("restarts", "restarts"),
        ("workers_crashed", "workers crashed"),
        ("grace_expired", "generations killed"),
        ("core_files", "core files"),
        ("output_lines_dropped", "lines of stdout dropped"),
        ("log_lines_dropped", "lines of the log dropped"),
    ] {
        if of(name) > 0 {
            let _ = write!(words, ", {} {what}", grouped(of(name)));
        }
    }
    words
}

fn past(recycle: &Value) -> String {
    let reason = text(recycle, "reason");
    let (used, limit) = (&recycle["used"], &recycle["limit"]);
    let show = |value: &Value| match (reason, value.as_u64()) {
        ("memory", Some(bytes)) => size(bytes),
        ("requests", Some(number)) => grouped(number),
        _ => time(value),
    };
    let figures = match (used.is_null(), limit.is_null()) {
        (false, false) => format!(" ({} of {})", show(used), show(limit)),
        (false, true) => format!(" ({})", show(used)),
        (true, _) => String::new(),
    };
    let result = match text(recycle, "result") {
        "done" => format!("done in {}", time(&recycle["took_s"])),
        "failed" => format!("failed: {}", text(recycle, "why_failed")),
        _ => "under way".into(),
    };
    let number = recycle["generation"].as_u64().unwrap_or_default();
    format!("{} ago, generation {number}: {reason}{figures}, {result}", time(&recycle["ago_s"]))
}

fn row(page: &mut String, name: &str, words: &str) {
    // Some of it others have said: the first line of a health answer, say.
    let _ = writeln!(page, "{name:<12} {}", Text::of(words.as_bytes()));
}

fn list<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(report: &'a Value, name: &str) -> &'a str {
    report[name].as_str().unwrap_or_default()
}

/// To the second, or to a tenth of it where that matters.
fn time(seconds: &Value) -> String {
    let duration = Duration::try_from_secs_f64(seconds.as_f64().unwrap_or_default()).unwrap_or_default();
    let step = if duration < Duration::from_secs(10) { 100 } else { 1000 };
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if step == 100 {
        return format!("{}.{}s", millis / 1000, millis % 1000 / 100);
    }
    humantime::format_duration(Duration::from_secs(millis / 1000)).to_string()
}

fn whole(seconds: &Value) -> Option<u64> {
    Duration::try_from_secs_f64(seconds.as_f64()?).ok().map(|duration| duration.as_secs())
}

/// `1234567`: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}
