//! What the command line asks for.

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const HELP: &str = "\
Usage: cargo bench --bench soak -- [OPTIONS]

  --minutes N     how long things go wrong (60)
  --seed N        which things, and when (7)
  --write FOLDER  put the table into FOLDER/reliability.md, between its two
                  comments, and the plot beside it as soak.svg
";

/// One run.
pub(crate) struct Plan {
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) write: Option<PathBuf>,
}

impl Plan {
    /// A file of this run, with what does not belong on a page.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{}-{name}", self.seed))
    }
}

pub(crate) enum Invocation {
    Bench(Plan),
    /// Help was shown; or it is a test run, which builds and starts benchmarks too, and has no hour to spare.
    Other,
}

pub(crate) fn read() -> Result<Invocation> {
    let mut plan = Plan { length: Duration::from_hours(1), seed: 7, write: None };
    let mut bench = false;
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("bench") => bench = true,
            Arg::Long("help") => {
                print!("{HELP}");
                return Ok(Invocation::Other);
            }
            Arg::Long("minutes") => plan.length = Duration::from_mins(parser.value()?.parse()?),
            Arg::Long("seed") => plan.seed = parser.value()?.parse()?,
            Arg::Long("write") => plan.write = Some(parser.value()?.into()),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => bail!("{}\n\n{HELP}", argument.unexpected()),
        }
    }
    if !bench {
        println!("nothing is measured without cargo bench");
        return Ok(Invocation::Other);
    }
    Ok(Invocation::Bench(plan))
}
