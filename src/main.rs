//! The command: signals first, then arguments; all else is the library's.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use ostler::cli::{HELP, Invocation, parse};
use ostler::system::Signals;
use std::io::{self, Write};
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const VERSION: &str = concat!("ostler version ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    // Before anything else: a signal that comes now is kept for the child.
    let signals = Signals::catch();
    let result = match parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => ostler::print(HELP.as_bytes()),
        Ok(Invocation::Version) => ostler::print(VERSION.as_bytes()),
        Ok(Invocation::Licence) => ostler::print(include_bytes!("../LICENSE-MIT")),
        Ok(Invocation::Check(overrides, command)) => ostler::check(&overrides, &command),
        Ok(Invocation::Doctor(folder, form)) => patiently(signals, || ostler::doctor(&folder, form)),
        Ok(Invocation::Status(form, show)) => patiently(signals, || ostler::status(form, show)),
        Ok(Invocation::Health) => patiently(signals, ostler::health),
        Ok(Invocation::Metrics) => patiently(signals, ostler::metrics),
        Ok(Invocation::Recycle) => patiently(signals, ostler::recycle),
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

/// It may take seconds, and Ctrl-C or SIGTERM is to end it. Not inlined: PID 1 never leaves the stack of `main`, which
/// is to have no room for what else ostler might have been asked.
#[inline(never)]
fn patiently<T>(signals: io::Result<Signals>, ask: impl FnOnce() -> T) -> T {
    let _ = signals.map(|signals| signals.give_back());
    ask()
}
