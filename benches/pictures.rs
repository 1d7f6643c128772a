//! The pictures of the docs. Two are drawn from real runs: how a disk fills with core files, and not under ostler; and
//! what a handover looks like in time. The third is the state machine. `cargo bench --bench pictures -- --write docs`.

#[path = "common/chart.rs"]
mod chart;
#[path = "pictures/disk.rs"]
mod disk;
#[path = "pictures/machine.rs"]
mod machine;
#[path = "pictures/run.rs"]
mod run;
#[path = "pictures/states.rs"]
mod states;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "pictures/timeline.rs"]
mod timeline;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use std::fs;
use std::path::PathBuf;

const HELP: &str = "\
Usage: cargo bench --bench pictures -- [OPTIONS]

  --only NAME     disk, timeline or states (all)
  --write FOLDER  put NAME.svg into FOLDER
";

/// Its name, and what draws it.
type Picture = (&'static str, fn() -> String);

const PICTURES: [Picture; 3] = [("states", states::draw), ("timeline", timeline::draw), ("disk", disk::draw)];

fn main() -> Result<()> {
    let (mut only, mut folder, mut bench) = (None, None::<PathBuf>, false);
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("bench") => bench = true,
            Arg::Long("only") => only = Some(parser.value()?.string()?),
            Arg::Long("write") => folder = Some(parser.value()?.into()),
            Arg::Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => bail!("{}\n\n{HELP}", argument.unexpected()),
        }
    }
    if !bench {
        println!("nothing is drawn without cargo bench");
        return Ok(());
    }
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    if !PICTURES.iter().any(|(name, _)| wanted(name)) {
        bail!("there is no such picture\n\n{HELP}");
    }
    for (name, draw) in PICTURES.iter().filter(|(name, _)| wanted(name)) {
        let svg = draw();
        match &folder {
            Some(folder) => fs::write(folder.join(format!("{name}.svg")), svg)?,
            None => println!("{svg}"),
        }
    }
    Ok(())
}
