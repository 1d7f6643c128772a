//! How long is a signal under way from its sender, through the init, to the program?

use crate::figures::Row;
use crate::measure::{median, percentile};
use crate::subject::{Child, Subject};
use crate::support::{Namespace, Setup};
use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, mkfifo};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::thread::sleep;
use std::time::Duration;

const SIGNALS: usize = 2000;

/// An init whose program tells by a pipe when it got a signal.
struct Line {
    namespace: Namespace,
    times: BufReader<File>,
}

impl Line {
    fn new(setup: impl FnOnce(&str) -> Result<Setup>, pipe: &str) -> Result<Self> {
        mkfifo(pipe, Mode::S_IRWXU)?;
        let namespace = setup(pipe)?.start();
        // Waits until the program opens it too.
        let mut times = BufReader::new(File::open(pipe)?);
        times.read_line(&mut String::new())?;
        Ok(Self { namespace, times })
    }

    fn send(&mut self) -> Result<f64> {
        let init = Pid::from_raw(self.namespace.init().cast_signed());
        let sent = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
        kill(init, Signal::SIGUSR1)?;
        let mut line = String::new();
        self.times.read_line(&mut line)?;
        let sent = i128::from(sent.tv_sec()) * 1_000_000_000 + i128::from(sent.tv_nsec());
        let got: i128 = line.trim().parse()?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let microseconds = (got - sent) as f64 / 1e3;
        Ok(microseconds)
    }
}

/// The rows, and what it takes without an init.
pub(crate) fn rows(child: &Child) -> Result<(Vec<Row>, f64)> {
    let pipes = crate::support::Folder::new();
    let pipe = |name: &str| pipes.path(name).display().to_string();
    let mut lines = Vec::new();
    for subject in Subject::ALL {
        lines.push(Line::new(|pipe| child.under(subject, &["signals", pipe]), &pipe(subject.name()))?);
    }
    let mut direct = Line::new(|pipe| Ok(Setup::new(child.path(), ["signals", pipe])), &pipe("direct"))?;
    let mut taken = vec![Vec::new(); lines.len()];
    let mut without = Vec::new();
    for _ in 0..SIGNALS {
        for (line, taken) in lines.iter_mut().zip(&mut taken) {
            taken.push(line.send()?);
            // So that who was woken sleeps again.
            sleep(Duration::from_micros(200));
        }
        without.push(direct.send()?);
        sleep(Duration::from_micros(200));
    }
    let row = |what, of: &dyn Fn(&[f64]) -> f64| Row {
        what,
        unit: "µs",
        figures: taken.iter().map(|taken| of(taken)).collect(),
    };
    let rows = vec![
        row("a signal's way to the program (median)", &median),
        row("the same, 99 % within", &|taken| percentile(taken, 99)),
    ];
    Ok((rows, median(&without)))
}
