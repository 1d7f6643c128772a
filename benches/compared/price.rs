//! What does it take: of the image, of memory, of time?

use crate::inits::{Init, Offer, yes};
use crate::signals::SLEEPS;
use crate::support::{Folder, Namespace, Setup};
use crate::watch::{LIMIT, end, median, start};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

pub(crate) const SECTION: Section = Section {
    title: "What it costs",
    behaviours: &[
        Behaviour { words: "size of the binary, KiB", see: |init| both(init, size) },
        Behaviour {
            words: "runs in an image that holds only it and its program: no C library, no /proc",
            see: |init| both(init, alone),
        },
        Behaviour { words: "idle: resident memory, KiB", see: |init| memory(init, "VmRSS") },
        Behaviour { words: "idle: of that its own (anonymous), KiB", see: |init| memory(init, "RssAnon") },
        Behaviour { words: "idle: wake-ups in 3 s", see: wake_ups },
        Behaviour {
            words: "the child executes its program so much later than without an init, ms",
            see: delay,
        },
        Behaviour { words: "lines on stderr by default, for `true`", see: lines },
    ],
};

/// Of the binary, and of a static one that comes with it.
fn both(init: Init, see: fn(&Path) -> Result<String>) -> Result<String> {
    let mut cell = see(init.path())?;
    if let Some(path) = init.static_path() {
        let name = path.file_name().context("a path with a name")?.display();
        let _ = write!(cell, "; {name}: {}", see(path)?);
    }
    Ok(cell)
}

fn size(path: &Path) -> Result<String> {
    Ok(fs::metadata(path)?.len().div_ceil(1024).to_string())
}

fn alone(path: &Path) -> Result<String> {
    let root = Folder::new();
    fs::copy(path, root.path("init"))?;
    fs::copy("/bin/busybox", root.path("busybox"))?;
    let root = root.0.to_str().context("a path in UTF-8")?;
    let mut namespace =
        Setup::new("unshare", ["--root", root, "/init", "--", "/busybox", "sh", "-c", "exit 5"]).start();
    Ok(yes(end(&mut namespace, LIMIT).context("it does not end")? == 5))
}

/// It after half a second with a child that sleeps.
fn idle(init: Init) -> Result<Namespace> {
    let namespace = start(init.run(Offer::DEFAULT, &SLEEPS), "ready", 1);
    sleep(Duration::from_millis(500));
    namespace.context("the child is not started")
}

fn memory(init: Init, field: &str) -> Result<String> {
    let namespace = idle(init)?;
    let status = fs::read_to_string(format!("/proc/{}/status", namespace.init()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no such field")?.to_owned())
}

fn wake_ups(init: Init) -> Result<String> {
    let namespace = idle(init)?;
    let path = format!("/proc/{}/status", namespace.init());
    let count = || -> Result<u64> {
        let status = fs::read_to_string(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(line.context("no such field")?.trim().parse()?)
    };
    let before = count()?;
    sleep(Duration::from_secs(3));
    Ok((count()? - before).to_string())
}

/// The median of 50 rounds, in each of which the same is done without an init.
fn delay(init: Init) -> Result<String> {
    let with = [&["sh", "-c", "date +%s%N; exec \"$@\"", "sh"][..], &init.line(Offer::DEFAULT)].concat();
    let without = ["sh", "-c", "date +%s%N; exec \"$@\"", "sh"];
    let mut differences = Vec::new();
    for _ in 0..50 {
        differences.push(between_dates(&with)? - between_dates(&without)?);
    }
    let nanoseconds = median(differences).context("nothing was measured")?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let milliseconds = nanoseconds as f64 / 1e6;
    Ok(format!("{milliseconds:.1}"))
}

/// From when PID 1 has said what time it is to when the program that it becomes or starts says so.
fn between_dates(command: &[&str]) -> Result<i64> {
    let mut namespace = Setup::new("env", [command, &["date", "+%s%N"]].concat()).start();
    end(&mut namespace, LIMIT).context("it does not end")?;
    let out = namespace.out();
    let mut dates = out.lines().map(str::parse::<i64>);
    let (first, second) = dates.next().zip(dates.next()).context("it does not tell the time")?;
    Ok(second? - first?)
}

fn lines(init: Init) -> Result<String> {
    let mut namespace = init.run(Offer::DEFAULT, &["true"]).start();
    end(&mut namespace, LIMIT).context("it does not end")?;
    Ok(namespace.err().lines().count().to_string())
}
