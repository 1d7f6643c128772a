//! How much later does the program start than without an init? And how soon is all gone once it is told to stop?

use crate::figures::Row;
use crate::measure::median;
use crate::subject::{Child, Subject};
use crate::support::{Namespace, Setup};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

const STARTS: usize = 200;
const STOPS: usize = 40;

/// The row, and what as little as an init can do takes.
pub(crate) fn start(child: &Child) -> Result<(Row, f64)> {
    let own = child.path();
    let (mut direct, mut least) = (Vec::new(), Vec::new());
    let mut taken = vec![Vec::new(); Subject::ALL.len()];
    for _ in 0..STARTS {
        direct.push(between(&own, &[&own, "stamp"])?);
        least.push(between(&own, &[&own, "init", "--", &own, "stamp"])?);
        for (subject, taken) in Subject::ALL.into_iter().zip(&mut taken) {
            let init = subject.found()?;
            let init = init.to_str().context("a path in UTF-8")?;
            taken.push(between(&own, &[init, "--", &own, "stamp"])?);
        }
    }
    let direct = median(&direct);
    let figures = taken.iter().map(|taken| (median(taken) - direct) / 1e3).collect();
    let row = Row { what: "start, over executing the program directly (median)", unit: "µs", figures };
    Ok((row, (median(&least) - direct) / 1e3))
}

/// Nanoseconds from just before PID 1 executes this to the first instructions of the program.
fn between(child: &str, command: &[&str]) -> Result<f64> {
    let namespace = Setup::new(child, [&["exec"], command].concat()).run();
    let out = namespace.out();
    let mut times = out.lines().map(str::parse::<f64>);
    let (first, second) = times.next().zip(times.next()).context("the child does not tell the time")?;
    Ok(second? - first?)
}

pub(crate) fn stop(child: &Child) -> Result<Row> {
    let mut taken = vec![Vec::new(); Subject::ALL.len()];
    for _ in 0..STOPS {
        for (subject, taken) in Subject::ALL.into_iter().zip(&mut taken) {
            let namespace = child.under(subject, &["signals", "/dev/stdout"])?.start();
            taken.push(stopped(namespace)?);
        }
    }
    let figures = taken.iter().map(|taken| median(taken)).collect();
    Ok(Row { what: "stop, from SIGTERM until all is gone (median)", unit: "ms", figures })
}

fn stopped(mut namespace: Namespace) -> Result<f64> {
    namespace.wait_for_out("0\n");
    let init = Pid::from_raw(namespace.init().cast_signed());
    let start = Instant::now();
    kill(init, Signal::SIGTERM)?;
    // In smaller steps than those of `eventually`.
    while !namespace.ended() {
        anyhow::ensure!(start.elapsed() < crate::support::LIMIT, "it does not end");
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
