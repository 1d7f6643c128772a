//! The figures of a report, as those read them who collect them:
//! CloudWatch's embedded metric format, statsd, Prometheus.

use super::{Crew, Report};
use crate::supervisor::{Portrait, Role};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What fits a packet of an Ethernet, whatever stands before it (the statsd documentation).
const LONGEST_DATAGRAM: usize = 1432;

/// One figure.
#[derive(Clone, Copy, Debug)]
struct Metric {
    /// In small letters with underscores, without its unit.
    name: &'static str,
    kind: Kind,
    unit: Unit,
    value: u64,
    help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It only grows while ostler lives.
    Counter,
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Count,
    Seconds,
    Bytes,
    Percent,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Seconds => "_seconds",
            Self::Bytes => "_bytes",
            Self::Percent => "_percent",
        }
    }

    /// As CloudWatch calls it (`MetricDatum`).
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
            Self::Percent => "Percent",
        }
    }
}

impl Metric {
    /// `generation_age`: `GenerationAge`.
    fn camel_case(&self) -> String {
        let capital = |word: &str| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            first.to_ascii_uppercase() + rest
        };
        self.name.split('_').map(capital).collect()
    }

    fn full_name(&self) -> String {
        format!("{}{}", self.name, self.unit.suffix())
    }
}

/// All figures that are known.
fn metrics(report: &Report) -> Vec<Metric> {
    let Report { status, facts } = report;
    let totals = &status.totals;
    let counter = |name, value, help| Metric { name, kind: Kind::Counter, unit: Unit::Count, value, help };
    let gauge = |name, unit, value, help| Metric { name, kind: Kind::Gauge, unit, value, help };
    let mut all = vec![
        counter("requests", totals.requests, "Requests that were counted."),
        counter("recycles", totals.recycles, "Recycles that were done."),
        counter(
            "recycles_failed",
            totals.recycles_failed,
            "Recycles that failed: the old generation serves on.",
        ),
        counter("restarts", totals.restarts, "Starts of a child that had ended by itself."),
        counter("workers_crashed", totals.workers_crashed, "Workers that ended as they should not."),
        counter("grace_expired", totals.grace_expired, "Generations that had to be killed."),
        counter("orphans", totals.orphans, "Orphans that were reaped."),
        counter(
            "output_lines_dropped",
            totals.output_dropped,
            "Lines of the child's stdout that nobody read.",
        ),
        counter("log_lines_dropped", facts.log_dropped, "Lines of ostler's log that nobody read."),
        counter("core_files", totals.cores, "Core files that were found, where OSTLER_CORES looks for them."),
        gauge("healthy", Unit::Count, report.ailment().is_none().into(), "1 if requests are answered."),
        gauge(
            "degraded",
            Unit::Count,
            report.degraded().len() as u64,
            "States that are not as they should be.",
        ),
    ];
    let incumbent = status.generations.iter().find(|portrait| portrait.role == Role::Incumbent);
    if let Some(Portrait { id, age, requests, memory, .. }) = incumbent {
        all.push(gauge("generation", Unit::Count, id.0.into(), "The number of the generation that serves."));
        all.push(gauge("generation_age", Unit::Seconds, age.as_secs(), "Its age."));
        all.push(gauge("generation_requests", Unit::Count, *requests, "Requests counted for it."));
        let memory = memory.map(|bytes| {
            gauge(
                "generation_memory",
                Unit::Bytes,
                bytes,
                "Its memory, by the last measurement for its budget.",
            )
        });
        all.extend(memory);
    }
    if let Some(Crew { serving, all: there }) = report.crew() {
        all.push(gauge("workers", Unit::Count, there, "Its workers."));
        all.push(gauge("workers_serving", Unit::Count, serving, "Those of them that have begun to serve."));
    }
    let waiting = "Connections that wait to be accepted.";
    all.extend(facts.waiting.map(|number| gauge("connections_waiting", Unit::Count, number, waiting)));
    if let Some(memory) = facts.memory {
        all.push(gauge("memory_used", Unit::Bytes, memory.used, "What the container holds in memory."));
        let limit = "What it may hold.";
        all.extend(memory.limit.map(|bytes| gauge("memory_limit", Unit::Bytes, bytes, limit)));
    }
    if let Some(disk) = facts.disk {
        all.push(gauge("disk_used", Unit::Bytes, disk.used, "What is used of the root file system."));
        all.push(gauge(
            "disk_utilization",
            Unit::Percent,
            disk.percent(),
            "The same, of what could be used.",
        ));
    }
    all
}

/// As Prometheus scrapes it (its text format, version 0.0.4).
#[must_use]
pub fn prometheus(report: &Report) -> String {
    let mut text = String::new();
    for metric in metrics(report) {
        let (kind, total) = match metric.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        let name = format!("ostler_{}{total}", metric.full_name());
        let Metric { help, value, .. } = metric;
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

/// Tells figures again and again: counters by what they have grown since the last time.
#[derive(Debug, Default)]
pub struct Meter {
    told: BTreeMap<&'static str, u64>,
}

impl Meter {
    fn read(&self, report: &Report) -> Vec<Metric> {
        let since = |metric: Metric| match metric.kind {
            Kind::Gauge => metric,
            Kind::Counter => {
                let before = self.told.get(metric.name).copied().unwrap_or(0);
                Metric { value: metric.value.saturating_sub(before), ..metric }
            }
        };
        metrics(report).into_iter().map(since).collect()
    }

    /// That was told, and did not get lost on its way: the next
    /// time counters are told by what they have grown since then.
    pub fn was_told(&mut self, report: &Report) {
        let counters = metrics(report).into_iter().filter(|metric| metric.kind == Kind::Counter);
        self.told.extend(counters.map(|metric| (metric.name, metric.value)));
    }

    /// A line that CloudWatch Logs makes metrics of (its Embedded Metric Format), in the namespace `ostler`; `service`
    /// is their dimension, if there is one; `millis` is the time since 1970.
    #[must_use]
    pub fn emf(&self, report: &Report, service: Option<&str>, millis: u64) -> String {
        let metrics = self.read(report);
        let names: Vec<_> = metrics
            .iter()
            .map(|metric| json!({ "Name": metric.camel_case(), "Unit": metric.unit.name() }))
            .collect();
        let dimensions: Vec<_> = service.map(|_| "Service").into_iter().collect();
        let mut line = Map::new();
        let directive = json!({ "Namespace": "ostler", "Dimensions": [dimensions], "Metrics": names });
        line.insert("_aws".into(), json!({ "Timestamp": millis, "CloudWatchMetrics": [directive] }));
        line.extend(service.map(|service| ("Service".to_owned(), service.into())));
        line.insert("State".into(), report.status.phase.name().into());
        line.extend(metrics.iter().map(|metric| (metric.camel_case(), metric.value.into())));
        format!("{}\n", Value::Object(line))
    }

    /// As statsd and its like take it, in as few datagrams as are
    /// sure to arrive whole. All counters are in the first of them.
    #[must_use]
    pub fn statsd(&self, report: &Report) -> Vec<String> {
        let mut datagrams = vec![String::new()];
        for metric in self.read(report) {
            let kind = match metric.kind {
                Kind::Counter => "c",
                Kind::Gauge => "g",
            };
            let line = format!("ostler.{}:{}|{kind}\n", metric.full_name(), metric.value);
            match datagrams.last_mut() {
                Some(last) if last.len() + line.len() <= LONGEST_DATAGRAM => last.push_str(&line),
                Some(_) | None => datagrams.push(line),
            }
        }
        datagrams
    }
}
