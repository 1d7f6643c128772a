//! What the inits beside ostler cannot do, and so have no figure of: a handover, and counting 20,000 requests a second.

use crate::figures::number;
use crate::measure::{median, processor};
use crate::subject::{Child, Subject};
use crate::support::load::both_workers_serve;
use crate::support::recycles::recycle;
use crate::support::venv::Version;
use crate::support::{LIMIT, Setup, field, free_port};
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::time::{Duration, Instant};

const RATE: u32 = 20_000;
const SECONDS: u32 = 10;
const HANDOVERS: usize = 10;

/// A table of its own.
pub(crate) fn table(child: &Child) -> Result<String> {
    let builds = [Subject::Musl, Subject::Glibc];
    let [musl, glibc] = builds.map(|build| counting(child, build));
    let ((share, counted), (glibc_share, glibc_counted)) = (musl?, glibc?);
    let [musl, glibc] = builds.map(handover);
    let rows = [
        ("CPU while 20,000 requests a second are counted by statsd, % of a core", share, Some(glibc_share)),
        ("of 200,000 that were told of, so many were counted", counted, Some(glibc_counted)),
        ("a handover of gunicorn 27, sync, two workers, no load (median of 10), s", musl?, Some(glibc?)),
        ("for comparison: the same gunicorn alone, until its first answer, s", first_answer()?, None),
    ];
    let mut text = "| | ostler (musl) | ostler (glibc) |\n| --- | --- | --- |\n".to_owned();
    for (what, musl, glibc) in rows {
        let glibc = glibc.map(number).unwrap_or_default();
        writeln!(text, "| {what} | {} | {glibc} |", number(musl))?;
    }
    Ok(text)
}

/// Its share of a processor in percent, and how many it counted.
fn counting(child: &Child, subject: Subject) -> Result<(f64, f64)> {
    let words = ["requests", &RATE.to_string(), &SECONDS.to_string()];
    let mut namespace = child
        .under(subject, &words)?
        .env("OSTLER_COUNT", "statsd")
        .env("OSTLER_MAX_REQUESTS", "1000000000000")
        .start();
    namespace.wait_for_err("generation-started");
    let init = namespace.init();
    let (begin, before) = (Instant::now(), processor(init)?);
    namespace.wait_for_out("\n");
    let (taken, cost) = (begin.elapsed(), processor(init)?.saturating_sub(before));
    ensure!(namespace.out() == "1\n", "the child found no address: {}", namespace.out());
    // What is still in the socket's buffer.
    std::thread::sleep(Duration::from_millis(500));
    namespace.signal(15);
    namespace.end();
    let ended = namespace.events("generation-ended");
    let ended = ended.first().context("no end")?;
    #[expect(clippy::cast_precision_loss, reason = "200,000")]
    let counted = field(ended, "requests") as f64;
    Ok((cost.as_secs_f64() / taken.as_secs_f64() * 100.0, counted))
}

/// From the recycle's beginning until the successor has taken over: `took_s` of the log.
fn handover(subject: Subject) -> Result<f64> {
    let port = free_port();
    let command = [vec!["--".to_owned()], Version::New.command("sync")].concat();
    let mut namespace = Setup::new(subject.found()?, command)
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_MIN_AGE", "0s")
        .start();
    both_workers_serve(port);
    recycle(&mut namespace, HANDOVERS);
    let took = namespace.events("handed-over");
    let took = took.iter().map(|line| {
        let (_, rest) = line.split_once(" took_s=").context("no duration")?;
        Ok(rest.split(' ').next().unwrap_or_default().parse::<f64>()?)
    });
    let took = took.collect::<Result<Vec<_>>>()?;
    ensure!(took.len() == HANDOVERS, "{} handovers", took.len());
    Ok(median(&took))
}

fn first_answer() -> Result<f64> {
    let mut taken = Vec::new();
    for _ in 0..HANDOVERS {
        let port = free_port();
        let mut command = Version::New.command("sync");
        command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
        let begin = Instant::now();
        let namespace = Setup::new("env", command).start();
        while crate::support::load::answer(port).is_none() {
            ensure!(begin.elapsed() < LIMIT, "no answer: {}", namespace.err());
            std::thread::sleep(Duration::from_millis(2));
        }
        taken.push(begin.elapsed().as_secs_f64());
    }
    Ok(median(&taken))
}
