//! The command line of a benchmark that has only to know where its answer goes.

use anyhow::{Result, bail};
use lexopt::{Arg, Parser};
use std::path::PathBuf;

/// What is asked for.
pub(crate) enum Invocation {
    /// A measurement, written into this folder too.
    Bench(Option<PathBuf>),
    /// Help was shown; or it is a test run, which builds and starts benchmarks too, and has no time to spare.
    Other,
}

pub(crate) fn read(help: &str) -> Result<Invocation> {
    let (mut folder, mut bench) = (None, false);
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("bench") => bench = true,
            Arg::Long("help") => {
                print!("{help}");
                return Ok(Invocation::Other);
            }
            Arg::Long("write") => folder = Some(parser.value()?.into()),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => bail!("{}\n\n{help}", argument.unexpected()),
        }
    }
    if !bench {
        println!("nothing is measured without cargo bench");
        return Ok(Invocation::Other);
    }
    Ok(Invocation::Bench(folder))
}
