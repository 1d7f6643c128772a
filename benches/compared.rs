//! What do ostler, tini, dumb-init and catatonit do, each as a real PID 1? Every cell of the table is what was seen in
//! this run. `cargo bench --bench compared -- --write docs` puts it into docs/compared.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "compared/ending.rs"]
mod ending;
#[path = "compared/given.rs"]
mod given;
#[path = "compared/inits.rs"]
mod inits;
#[path = "compared/orphans.rs"]
mod orphans;
#[path = "common/page.rs"]
mod page;
#[path = "compared/price.rs"]
mod price;
#[path = "compared/signals.rs"]
mod signals;
#[path = "compared/status.rs"]
mod status;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "compared/watch.rs"]
mod watch;

use anyhow::{Context, Result};
use arguments::Invocation;
use inits::Init;
use page::Page;
use std::fmt::Write;
use std::fs;
use std::thread;

const HELP: &str = "\
Usage: cargo bench --bench compared -- [OPTIONS]

  --write FOLDER  put the tables into FOLDER/compared.md, between its two
                  comments
";

/// Behaviours that belong together: a table of their own.
struct Section {
    title: &'static str,
    behaviours: &'static [Behaviour],
}

/// One row.
struct Behaviour {
    /// What is looked at, in Markdown.
    words: &'static str,
    /// Runs one init, and tells in a few words what was seen.
    see: fn(Init) -> Result<String>,
}

const SECTIONS: [Section; 6] =
    [status::SECTION, signals::SECTION, given::SECTION, orphans::SECTION, ending::SECTION, price::SECTION];

fn main() -> Result<()> {
    let folder = match arguments::read(HELP)? {
        Invocation::Bench(folder) => folder,
        Invocation::Other => return Ok(()),
    };
    let target = folder.map(|folder| folder.join("compared.md"));
    let page = target.as_deref().map(|target| Page::read(target, "compared")).transpose()?;
    let mut text = String::new();
    for section in &SECTIONS {
        text.push_str(&table(section)?);
    }
    text.push_str(&made()?);
    print!("{text}");
    if let Some((target, page)) = target.zip(page) {
        fs::write(target, page.with(&text))?;
    }
    Ok(())
}

fn table(section: &Section) -> Result<String> {
    let names = Init::ALL.map(Init::name).join(" | ");
    let rule = "| --- ".repeat(Init::ALL.len());
    let mut text = format!("### {}\n\n| | {names} |\n| --- {rule}|\n", section.title);
    for Behaviour { words, see } in section.behaviours {
        let cells = Init::ALL.map(|init| see(init).with_context(|| format!("{}: {words}", init.name())));
        let cells = cells.into_iter().collect::<Result<Vec<_>>>()?;
        let row = format!("| {words} | {} |\n", cells.join(" | "));
        // It takes some minutes: whoever waits sees where it is.
        eprint!("{row}");
        text.push_str(&row);
    }
    text.push('\n');
    Ok(text)
}

/// Of what, where, and how.
fn made() -> Result<String> {
    let mut text = "How it was made: ".to_owned();
    for init in Init::ALL {
        let _ = write!(text, "`{}`, ", init.version()?);
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let (kernel, cpus) = (kernel.trim(), thread::available_parallelism()?);
    let _ = writeln!(
        text,
        "each as PID 1 of namespaces of its own; Linux {kernel}, {cpus} CPUs; `cargo bench --bench compared -- --write docs`"
    );
    Ok(text)
}
