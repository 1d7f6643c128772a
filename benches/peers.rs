//! What ostler costs, beside tini, dumb-init and catatonit: size, start, memory, signals, orphans; round by round in
//! one run. `cargo bench --bench peers -- --write docs` puts it into docs/benchmarks.md and docs/benchmarks.svg.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/chart.rs"]
#[allow(dead_code, reason = "bars of its own")]
mod chart;
#[path = "peers/figures.rs"]
mod figures;
#[path = "peers/idle.rs"]
mod idle;
#[path = "common/measure.rs"]
mod measure;
#[path = "peers/orphans.rs"]
mod orphans;
#[path = "peers/own.rs"]
mod own;
#[path = "common/page.rs"]
mod page;
#[path = "peers/plot.rs"]
mod plot;
#[path = "peers/signals.rs"]
mod signals;
#[path = "peers/start.rs"]
mod start;
#[path = "peers/subject.rs"]
mod subject;
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::Result;
use arguments::Invocation;
use figures::{Row, number, table};
use page::Page;
use std::fs;
use std::thread::available_parallelism;
use subject::{Child, Subject};

const HELP: &str = "\
Usage: cargo bench --bench peers -- [OPTIONS]

  --write FOLDER  put the tables into FOLDER/benchmarks.md, between its two
                  comments, and the plot into FOLDER/benchmarks.svg

Needs tests/setup and tools/release. It takes some six minutes.
";

fn main() -> Result<()> {
    let Invocation::Bench(folder) = arguments::read(HELP)? else { return Ok(()) };
    let target = folder.as_ref().map(|folder| folder.join("benchmarks.md"));
    let page = target.as_deref().map(|target| Page::read(target, "peers")).transpose()?;
    let child = Child::build()?;
    let mut rows = vec![bytes()?];
    let mut add = |more: Vec<Row>| {
        // It takes some minutes: whoever waits sees where it is.
        eprint!("{}", table(&more));
        rows.extend(more);
    };
    let (start, least) = start::start(&child)?;
    add(vec![start]);
    add(idle::rows(&child)?);
    let (ways, direct) = signals::rows(&child)?;
    add(ways);
    add(vec![start::stop(&child)?]);
    add(orphans::rows(&child)?);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let (kernel, cpus) = (kernel.trim(), available_parallelism()?);
    let text = format!(
        "{}\nA signal that goes to the program directly takes {} µs; to start it with an init that can do nothing else, {} µs.\n\n{}\nLinux {kernel}, {cpus} CPUs, a virtual machine; \
         `cargo bench --bench peers -- --write docs`\n",
        table(&rows),
        number(direct),
        number(least),
        own::table(&child)?
    );
    print!("{text}");
    if let Some((target, page)) = target.zip(page) {
        fs::write(target.with_extension("svg"), plot::plot(&rows))?;
        fs::write(target, page.with(&text))?;
    }
    Ok(())
}

fn bytes() -> Result<Row> {
    let size = |subject: Subject| -> Result<f64> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let bytes = fs::metadata(subject.found()?)?.len() as f64;
        Ok(bytes)
    };
    let figures = Subject::ALL.into_iter().map(size).collect::<Result<Vec<_>>>()?;
    Ok(Row { what: "on disk", unit: "bytes", figures })
}
