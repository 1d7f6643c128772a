//! What does ostler do when system calls fail, and when parts of the server are killed in
//! the midst of a handover? The same cases as tests/faults.rs and tests/killed.rs have.
//! `cargo bench --bench faults -- --write docs` puts the tables into docs/reliability.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/page.rs"]
mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::{Result, anyhow};
use arguments::Invocation;
use page::Page;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::Instant;
use support::at_once;
use support::faults::calls::{CALLS, Call, LEFT_ALONE};
use support::faults::{self, Cell, Seen, When};
use support::killed::{self, CASES, Case, End, Stage, Victim, Whose};

const HELP: &str = "\
Usage: cargo bench --bench faults -- [OPTIONS]

  --write FOLDER  put the tables into FOLDER/reliability.md, between its
                  comments
";

/// A worker is killed in every cell, and a successor that fails ends.
const USUAL: [&str; 2] = ["worker-ended", "generation-ended"];

fn main() -> Result<()> {
    let folder = match arguments::read(HELP)? {
        Invocation::Bench(folder) => folder,
        Invocation::Other => return Ok(()),
    };
    let target = folder.map(|folder| folder.join("reliability.md"));
    for (name, table) in [("faults", faults as fn() -> Result<String>), ("killed", killed)] {
        let page = target.as_deref().map(|target| Page::read(target, name)).transpose()?;
        let text = table()?;
        print!("{text}");
        if let Some((target, page)) = target.as_deref().zip(page) {
            fs::write(target, page.with(&text))?;
        }
    }
    Ok(())
}

fn faults() -> Result<String> {
    let (cells, start) = (faults::cells(), Instant::now());
    let seen = at_once::run(&cells, faults::run).into_iter().zip(&cells);
    let all: Vec<(&Cell, Seen)> = seen
        .map(|(seen, cell)| {
            seen.map(|seen| (cell, seen)).map_err(|why| anyhow!("{} {}: {why}", cell.call.names, cell.errno))
        })
        .collect::<Result<_>>()?;
    let mut text = "| system call | errors, one at a time | calls that failed | recycled meanwhile | the log told of it | \
                    when it fails without end |\n| --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for call in &CALLS {
        let of: Vec<_> = all.iter().filter(|(cell, _)| cell.call.names == call.names).collect();
        let _ = writeln!(text, "{}", row(call, &of));
    }
    let injected: usize = all.iter().map(|(_, seen)| seen.injected).sum();
    let left =
        LEFT_ALONE.iter().map(|(name, why)| format!("`{name}` ({why})")).collect::<Vec<_>>().join(", ");
    let _ = write!(
        text,
        "\n{} runs, {injected} calls failed, {} s. Not made to fail: {left}.\n\n{}",
        all.len(),
        start.elapsed().as_secs(),
        made()?
    );
    Ok(text)
}

fn row(call: &Call, seen: &[&(&Cell, Seen)]) -> String {
    let name = call.names.split(',').next().unwrap_or_default();
    let errnos = call.errnos.join(" ");
    let injected: usize = seen.iter().map(|(_, seen)| seen.injected).sum();
    let (for_ever, passing): (Vec<_>, Vec<_>) =
        seen.iter().copied().partition(|(cell, _)| cell.when == When::Always);
    let recycled = passing.iter().filter(|(_, seen)| seen.recycled).count();
    let told: BTreeSet<_> = passing.iter().flat_map(|(_, seen)| events(seen)).collect();
    let told =
        if told.is_empty() { "–".to_owned() } else { told.into_iter().collect::<Vec<_>>().join(" ") };
    let for_ever = match (for_ever.first(), call.unbearable) {
        (Some((_, seen)), _) if seen.recycled => "recycled".to_owned(),
        (Some((_, seen)), _) => {
            let told = events(seen).collect::<Vec<_>>().join(" ");
            format!("the incumbent serves on{}{told}", if told.is_empty() { "" } else { ": " })
        }
        (None, why) => format!("not tried: {}", why.unwrap_or_default()),
    };
    format!("| `{name}` | {errnos} | {injected} | {recycled} of {} | {told} | {for_ever} |", passing.len())
}

fn events(seen: &Seen) -> impl Iterator<Item = String> {
    seen.told.iter().filter(|event| !USUAL.contains(&event.as_str())).map(|event| format!("`{event}`"))
}

fn killed() -> Result<String> {
    let start = Instant::now();
    for (seen, case) in at_once::run(&CASES, killed::run).into_iter().zip(&CASES) {
        seen.map_err(|why| anyhow!("{case:?}: {why}"))?;
    }
    let mut text =
        "| when | of which generation | its leader | a worker | all of it |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (stage, when) in [
        (Stage::Alone, "no handover is under way"),
        (Stage::Starting, "generation 2 starts"),
        (Stage::Lingering, "it has taken over, and 1 lingers"),
        (Stage::Departing, "1 has been told to stop, and has a request still"),
    ] {
        for (whose, words) in [
            (Whose::Incumbent, "the incumbent"),
            (Whose::Successor, "the successor"),
            (Whose::Outgoing, "the outgoing"),
        ] {
            let of = |victim| {
                let is_it =
                    |case: &&Case| case.stage == stage && case.whose == whose && case.victim == victim;
                let ends: Vec<_> = CASES.iter().filter(is_it).map(end).collect();
                ends.join("; ")
            };
            let cells = [Victim::Leader, Victim::Worker, Victim::All].map(of);
            if !cells[0].is_empty() {
                let _ = writeln!(text, "| {when} | {words} | {} |", cells.join(" | "));
            }
        }
    }
    let _ = write!(text, "\n{} runs, {} s. {}", CASES.len(), start.elapsed().as_secs(), made()?);
    Ok(text)
}

fn end(case: &Case) -> String {
    let end = match case.end {
        End::Serves(generation) => format!("{generation} serves"),
        End::ServesThen(generation) => format!("{} serves, then {generation}", generation - 1),
        End::Ends => "ends with 137".into(),
    };
    match (case.restart, case.told) {
        ("always", told) => format!("with `OSTLER_RESTART=always`: {end} (`{told}`)"),
        (_, "") => end,
        (_, told) => format!("{end} (`{told}`)"),
    }
}

/// Where, and how.
fn made() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let (kernel, cpus) = (kernel.trim(), thread::available_parallelism()?);
    Ok(format!("Linux {kernel}, {cpus} CPUs; `cargo bench --bench faults -- --write docs`\n"))
}
