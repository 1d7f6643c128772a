//! What happens to ostler when everything around it goes wrong? A real gunicorn under it,
//! under load, for an hour, while processes are killed and stopped, signals rain and the
//! log is stuck; and all the while what must hold is checked. `cargo bench --bench soak
//! -- --minutes 60 --seed 7 --write docs` puts what came of it into docs/reliability.md.

#[path = "soak/acts.rs"]
mod acts;
#[path = "common/chart.rs"]
mod chart;
#[path = "soak/clients.rs"]
mod clients;
#[path = "soak/hands.rs"]
mod hands;
#[path = "soak/journal.rs"]
mod journal;
#[path = "soak/log.rs"]
mod log;
#[path = "common/page.rs"]
mod page;
#[path = "soak/plan.rs"]
mod plan;
#[path = "soak/processes.rs"]
mod processes;
#[path = "soak/report.rs"]
mod report;
#[path = "soak/run.rs"]
mod run;
#[path = "soak/subject.rs"]
mod subject;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "soak/watch.rs"]
mod watch;

use anyhow::{Result, ensure};
use page::Page;
use plan::Invocation;
use run::Run;
use std::fs;

fn main() -> Result<()> {
    let plan = match plan::read()? {
        Invocation::Bench(plan) => plan,
        Invocation::Other => return Ok(()),
    };
    // Before the work of an hour, not after it.
    let target = plan.write.as_ref().map(|folder| folder.join("reliability.md"));
    let page = target.as_deref().map(|target| Page::read(target, "soak")).transpose()?;
    let outcome = Run::start(&plan)?.finish();
    fs::write(plan.file("samples.csv"), report::samples(&outcome))?;
    let table = report::table(&plan, &outcome);
    print!("{table}");
    ensure!(outcome.journal.elapsed() >= plan.length, "interrupted: nothing is written");
    if let Some((target, page)) = target.zip(page) {
        fs::write(&target, page.with(&table))?;
        fs::write(target.with_file_name("soak.svg"), report::plot(&outcome))?;
    }
    ensure!(outcome.journal.violations.is_empty(), "{} violations", outcome.journal.violations.len());
    Ok(())
}
