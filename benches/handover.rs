//! What do clients lose while real servers are recycled under constant load? Every server with every strategy, side by
//! side in one run: a table and a plot. `cargo bench --bench handover -- --help` tells how.

#[path = "handover/cell.rs"]
mod cell;
#[path = "handover/figures.rs"]
mod figures;
#[path = "handover/load.rs"]
mod load;
#[path = "handover/matrix.rs"]
mod matrix;
#[path = "common/page.rs"]
mod page;
#[path = "handover/plot.rs"]
mod plot;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "handover/table.rs"]
mod table;

use anyhow::{Context, Result, bail};
use cell::Plan;
use figures::{Cell, Figures, Run, grouped};
use lexopt::{Arg, Parser, ValueExt};
use matrix::{Server, Strategy};
use page::Page;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const HELP: &str = "\
Usage: cargo bench --bench handover -- [OPTIONS]

  --servers A,B     20-sync 20-gthread 20-gevent 20-uvicorn new-sync
                    new-gthread new-gevent new-uvicorn new-asgi uvicorn (all)
  --strategies A,B  none handover overlap restart stop-start max-requests
                    hup (all)
  --recycles N      of each cell (20)
  --every TIME      from one recycle to the next (4s)
  --rate N          requests a second (900)
  --write FOLDER    put the table into FOLDER/handover.md, between its two
                    comments, and the plot beside it as handover.svg
  --from FILE       measure nothing: show the raw results of an earlier run
";

/// What the command line asks for.
struct Arguments {
    servers: Vec<Server>,
    strategies: Vec<Strategy>,
    plan: Plan,
    write: Option<PathBuf>,
    from: Option<PathBuf>,
}

enum Invocation {
    Help,
    /// Not by `cargo bench`: a test run builds and starts it too, and has no hour to spare.
    Test,
    Bench(Arguments),
}

fn read_arguments() -> Result<Invocation> {
    let plan = Plan { recycles: 20, every: Duration::from_secs(4), rate: 900 };
    let (servers, strategies) = (Server::ALL.to_vec(), Strategy::ALL.to_vec());
    let mut arguments = Arguments { servers, strategies, plan, write: None, from: None };
    let mut bench = false;
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("bench") => bench = true,
            Arg::Long("help") => return Ok(Invocation::Help),
            Arg::Long("servers") => arguments.servers = list(&mut parser, Server::by_name)?,
            Arg::Long("strategies") => arguments.strategies = list(&mut parser, Strategy::by_name)?,
            Arg::Long("recycles") => arguments.plan.recycles = parser.value()?.parse()?,
            Arg::Long("every") => {
                arguments.plan.every = parser.value()?.parse_with(humantime::parse_duration)?;
            }
            Arg::Long("rate") => arguments.plan.rate = parser.value()?.parse()?,
            Arg::Long("write") => arguments.write = Some(parser.value()?.into()),
            Arg::Long("from") => arguments.from = Some(parser.value()?.into()),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => bail!("{}\n\n{HELP}", argument.unexpected()),
        }
    }
    Ok(if bench { Invocation::Bench(arguments) } else { Invocation::Test })
}

/// Names, comma-separated.
fn list<T>(parser: &mut Parser, by_name: fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let names = parser.value()?.string()?;
    names
        .split(',')
        .map(|name| by_name(name).with_context(|| format!("there is no {name:?}\n\n{HELP}")))
        .collect()
}

fn main() -> Result<()> {
    let arguments = match read_arguments()? {
        Invocation::Bench(arguments) => arguments,
        Invocation::Help => {
            print!("{HELP}");
            return Ok(());
        }
        Invocation::Test => {
            println!("nothing is measured without cargo bench");
            return Ok(());
        }
    };
    // Before the work of an hour, not after it.
    let target = arguments.write.as_ref().map(|folder| folder.join("handover.md"));
    let page = target.as_deref().map(|target| Page::read(target, "table")).transpose()?;
    let run = match &arguments.from {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Run::from_json_lines(&text).with_context(|| format!("{} holds no raw results", file.display()))?
        }
        None => measure(&arguments)?,
    };
    let table = table::render(&run);
    print!("{table}");
    if let Some((target, page)) = target.zip(page) {
        fs::write(&target, page.with(&table))?;
        fs::write(target.with_extension("svg"), plot::render(&run))?;
    }
    Ok(())
}

/// The whole matrix. What is measured is on disk at once.
fn measure(arguments: &Arguments) -> Result<Run> {
    let Arguments { servers, strategies, plan, .. } = arguments;
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handover-{now}.jsonl"));
    let mut raw = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut run = Run { circumstances: circumstances(&now, *plan)?, cells: Vec::new() };
    writeln!(raw, "{}", Run::head(&run.circumstances))?;
    // The base line is the last, as it takes as long as the others do.
    let mut order = strategies.clone();
    order.sort_by_key(|strategy| *strategy == Strategy::Never);
    let pairs: Vec<_> =
        servers.iter().flat_map(|server| order.iter().map(|strategy| (*server, *strategy))).collect();
    let cells: Vec<_> = pairs.into_iter().filter(|(server, strategy)| server.has(*strategy)).collect();
    eprintln!("{} cells of about {:?} each; raw results in {}", cells.len(), plan.length(), path.display());
    for (server, strategy) in cells {
        let label = server.label();
        let length = run.median_length(&label).unwrap_or_else(|| plan.length());
        let cell = cell::measure(server, &label, strategy, *plan, length);
        writeln!(raw, "{}", cell.to_json())?;
        tell(&cell);
        run.cells.push(cell);
    }
    Ok(run)
}

fn tell(cell: &Cell) {
    let words = match &cell.result {
        Ok(measured) => {
            let failed = |figures: &Figures| {
                let [failed, total] = [figures.failed(), figures.total()].map(|count| grouped(count.into()));
                format!("{failed} of {total}")
            };
            let (fresh, reused) = (failed(&measured.fresh), failed(&measured.reused));
            let (seconds, worst) = (measured.seconds, grouped(measured.fresh.worst_ms));
            format!("{seconds} s, failures: {fresh} fresh, {reused} reused; worst fresh latency {worst} ms")
        }
        Err(error) => format!("NOT MEASURED: {error}"),
    };
    eprintln!("{} {}: {words}", cell.server, cell.strategy.name());
}

/// When, where, with what, and by which command.
fn circumstances(now: &str, plan: Plan) -> Result<String> {
    let Plan { recycles, every, rate } = plan;
    let date = now.get(..10).unwrap_or(now);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cpus = std::thread::available_parallelism()?;
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let command: Vec<_> =
        ["cargo bench --bench handover --".to_owned()].into_iter().chain(arguments).collect();
    Ok(format!(
        "{recycles} recycles a cell, one every {every:?}, {rate} requests a second. {date}, Linux {}, {cpus} CPUs, {}; \
         `{}`",
        kernel.trim(),
        matrix::releases(),
        command.join(" ")
    ))
}
