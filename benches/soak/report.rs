//! What came of it, as a table and a plot.

use crate::chart::{Curve, Panel, render};
use crate::clients::RATE;
use crate::plan::Plan;
use crate::run::Outcome;
use crate::subject::SETTINGS;
use crate::watch::Sample;
use std::fmt::Write;
use std::time::SystemTime;

/// Samples that are one point of the plot.
const POINT: usize = 10;

pub(crate) fn table(plan: &Plan, outcome: &Outcome) -> String {
    let mut text = "| what went wrong | how often |\n| --- | --- |\n".to_owned();
    for (kind, varieties) in &outcome.journal.acts {
        let named = varieties.iter().filter(|(variety, _)| !variety.is_empty());
        let named: Vec<_> = named.map(|(variety, count)| format!("{variety} {count}")).collect();
        let colon = if named.is_empty() { "" } else { ": " };
        row(&mut text, kind, &format!("{}{colon}{}", varieties.values().sum::<u32>(), named.join(", ")));
    }
    text.push_str("\n| what came of it | |\n| --- | --- |\n");
    for (name, value) in results(outcome) {
        row(&mut text, name, &value);
    }
    let _ = writeln!(text, "\n{}", circumstances(plan));
    text
}

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "| {name} | {value} |");
}

fn results(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let Outcome { journal, watch, heard, tally, ends, last } = outcome;
    let event = |name: &str| heard.events.get(name).copied().unwrap_or(0);
    let failed = tally.refused + tally.dropped + tally.timed_out;
    let acts: u32 = journal.acts.values().flat_map(|varieties| varieties.values()).sum();
    let statuses: Vec<_> = ends.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    let statuses = if statuses.is_empty() { "0".to_owned() } else { statuses.join(", ") };
    let use_of = |of: fn(&Sample) -> u64, unit: &str| {
        let most = watch.samples.iter().map(of).max().unwrap_or(0);
        let compared = watch.windows().and_then(|(first, last)| {
            Some(format!("{}{unit} / {}{unit}", watch.least(first, of)?, watch.least(last, of)?))
        });
        format!("{} / {most}{unit}", compared.unwrap_or_else(|| "too short a run".into()))
    };
    let gap = watch.gap.as_ref().map_or_else(String::new, |(at, length, acts)| {
        let minute = at.as_secs_f64() / 60.0;
        format!("{:.1} s, at minute {minute:.1}, after: {acts}", length.as_secs_f64())
    });
    vec![
        ("acts", acts.to_string()),
        (
            "requests answered / failed",
            format!(
                "{} / {failed} ({} refused, {} dropped, {} not answered within 5 s)",
                tally.answered, tally.refused, tally.dropped, tally.timed_out
            ),
        ),
        ("the longest time without an answer", gap),
        (
            "recycles begun / handed over / failed and tried again",
            format!("{} / {} / {}", event("recycle-started"), event("handed-over"), event("handover-failed")),
        ),
        (
            "leaders that ended by themselves; successors promoted / taken back",
            format!("{}; {} / {}", heard.died, event("promoted"), event("taken-back")),
        ),
        ("ostler ended by itself", statuses),
        (
            "stops that took the whole grace period / that clients still waited for / that SIGKILL did not end",
            format!("{} / {} / {}", event("grace-expired"), event("drain-expired"), event("group-left")),
        ),
        (
            "zombies seen; the oldest",
            format!("{}; {:.1} s", watch.zombies_seen, watch.oldest_zombie.as_secs_f64()),
        ),
        (
            "orphans reaped, as far as the log tells; lines of the log / not written",
            format!("{}; {} / {}", event("orphan-reaped"), heard.lines, heard.dropped),
        ),
        (
            "anonymous memory of ostler: least of the third minute / of the last / most of all",
            use_of(|sample| sample.memory, " KiB"),
        ),
        (
            "descriptors of ostler: least of the third minute / of the last / most of all",
            use_of(|sample| sample.descriptors as u64, ""),
        ),
        ("CPU time of ostler", format!("{:.1} s", watch.cpu().as_secs_f64())),
        ("SIGTERM at the end", last.clone()),
        ("violations", journal.violations.len().to_string()),
    ]
}

/// When, with what, and by which command.
fn circumstances(plan: &Plan) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let settings = SETTINGS.iter();
    let settings: Vec<_> = settings.map(|(name, value)| format!("`{name}={value}`")).collect();
    let minutes = plan.length.as_secs() / 60;
    format!(
        "gunicorn 27, gthread, two workers, `--timeout 6`, a held socket, {RATE} requests a second with a connection each; {}. \
         {}, Linux {}, {cpus} CPUs; `cargo bench --bench soak -- --minutes {minutes} --seed {} --write docs`",
        settings.join(" "),
        now.get(..10).unwrap_or(&now),
        kernel.trim(),
        plan.seed
    )
}

/// What was seen each second, for whoever wants to know more than the table tells.
pub(crate) fn samples(outcome: &Outcome) -> String {
    let mut text = "seconds,answered,descriptors,memory_kib\n".to_owned();
    for Sample { at, answered, descriptors, memory } in &outcome.watch.samples {
        let _ = writeln!(text, "{:.1},{answered},{descriptors},{memory}", at.as_secs_f64());
    }
    text
}

pub(crate) fn plot(outcome: &Outcome) -> String {
    let curve = |name: &str, of: fn(&[Sample]) -> f64| {
        let points = outcome.watch.samples.chunks(POINT).filter_map(|chunk| {
            let minute = chunk.first()?.at.as_secs_f64() / 60.0;
            Some((minute, of(chunk)))
        });
        Curve { name: name.into(), points: points.collect() }
    };
    #[expect(clippy::cast_precision_loss, reason = "hundreds of requests, and of KiB")]
    let panels = [
        Panel {
            title: "requests answered a second".into(),
            curves: vec![curve("answered", |chunk| {
                chunk.iter().map(|sample| sample.answered).sum::<u64>() as f64 / chunk.len() as f64
            })],
            limit: None,
        },
        Panel {
            title: "anonymous memory of ostler: KiB".into(),
            curves: vec![curve("ostler", |chunk| {
                chunk.iter().map(|sample| sample.memory).max().unwrap_or(0) as f64
            })],
            limit: None,
        },
    ];
    render("ostler while everything around it goes wrong", "minutes", &panels)
}
