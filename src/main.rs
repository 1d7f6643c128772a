//! The command: signals first, then arguments; all else is the library's.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use ostler::cli::{HELP, Invocation, parse};
use ostler::system::Signals;
use std::io::{self, Write};
use std::process::ExitCode;

const VERSION: &str = concat!("ostler version ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    // Before anything else: a signal that comes now is kept for the child.
    let signals = Signals::catch();
    let result = match parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => ostler::print(HELP.as_bytes()),
        Ok(Invocation::Version) => ostler::print(VERSION.as_bytes()),
        Ok(Invocation::Licence) => ostler::print(include_bytes!("../LICENSE-MIT")),
        Ok(Invocation::Check(overrides, command)) => ostler::check(&overrides, &command),
        Ok(Invocation::Recycle) => ostler::recycle(),
        Ok(Invocation::Run(overrides, command)) => {
            ostler::boot(signals, &overrides, command).map(ostler::run)
        }
        Err(error) => Err(anyhow::Error::msg(error)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody may be there to read it; the status tells too.
            for line in format!("{error:#}").lines() {
                let _ = writeln!(io::stderr(), "ostler: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
