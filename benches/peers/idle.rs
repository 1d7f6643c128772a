//! What does an init take while nothing happens: memory, and wake-ups?

use crate::figures::Row;
use crate::measure::median;
use crate::subject::{Child, Subject};
use crate::support::Namespace;
use anyhow::{Context, Result};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

const INSTANCES: usize = 10;
const QUIET: Duration = Duration::from_secs(10);

pub(crate) fn rows(child: &Child) -> Result<Vec<Row>> {
    let mut columns = Vec::new();
    for subject in Subject::ALL {
        let mut all = Vec::new();
        for _ in 0..INSTANCES {
            let mut namespace = child.under(subject, &["signals", "/dev/stdout"])?.start();
            namespace.wait_for_out("0\n");
            all.push(namespace);
        }
        // What has to do with the start is over.
        sleep(Duration::from_secs(1));
        columns.push(seen(&all)?);
    }
    let names = [
        ("own memory, idle (anonymous)", "KiB"),
        ("share of memory, with ten instances (PSS)", "KiB"),
        ("page tables", "KiB"),
        ("wake-ups in 10 s, idle", "of it"),
    ];
    let row = |(at, (what, unit)): (usize, (&'static str, &'static str))| {
        let figures = columns.iter().map(|column| column.get(at).copied().unwrap_or(f64::NAN)).collect();
        Row { what, unit, figures }
    };
    Ok(names.into_iter().enumerate().map(row).collect())
}

/// The medians of all instances.
fn seen(all: &[Namespace]) -> Result<[f64; 4]> {
    let of = |name: &str, field: &str| -> Result<f64> {
        let each = all.iter().map(|namespace| value(namespace.init(), name, field));
        Ok(median(&each.collect::<Result<Vec<_>>>()?))
    };
    let memory = [of("status", "RssAnon")?, of("smaps_rollup", "Pss")?, of("status", "VmPTE")?];
    let first = all.first().context("no instance")?.init();
    let woken = || value(first, "status", "voluntary_ctxt_switches");
    let before = woken()?;
    sleep(QUIET);
    let [anonymous, share, tables] = memory;
    Ok([anonymous, share, tables, woken()? - before])
}

/// A number of /proc/PID/FILE (proc(5)).
pub(crate) fn value(pid: u32, file: &str, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let line = line.with_context(|| format!("no {field} in {file}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
