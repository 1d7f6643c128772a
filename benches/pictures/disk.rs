//! The problem itself, on a small scale: gunicorn 20.1.0 with `UvicornWorker`, --max-requests and clients that stay.
//! Its master takes workers that wait for those for hung, and aborts them. The same app three times, at the same time.

use crate::chart::{Curve, Panel, render};
use crate::machine::circumstances;
use crate::run::{ask, stay};
use crate::support::load::answers;
use crate::support::venv::Version;
use crate::support::{Namespace, OSTLER, Setup, eventually, free_port, tini};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const LENGTH: Duration = Duration::from_mins(4);
/// It ends before the disk of whoever runs this is full.
const ENOUGH: f64 = 3000.0;
const SAMPLE: Duration = Duration::from_millis(100);
/// Samples that are one point of the plot.
const POINT: usize = 5;
/// From one request to the next, of each of four clients.
const EVERY: Duration = Duration::from_millis(100);
const STAYING: usize = 6;
const MAX_REQUESTS: u32 = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// ostler's budget in place of gunicorn's.
    Budget,
    /// gunicorn's own, under tini.
    Tini,
    /// gunicorn's own, under ostler.
    Ostler,
}

struct Seen {
    /// Minutes, and MB on the disk.
    disk: Vec<(f64, f64)>,
    /// Minutes, and workers that were aborted.
    aborted: Vec<(f64, f64)>,
}

pub(crate) fn draw() -> String {
    let ways = [Way::Budget, Way::Tini, Way::Ostler];
    let names = ["ostler, its own budget", "tini, --max-requests", "ostler, --max-requests"];
    let seen = thread::scope(|scope| {
        let runs = ways.map(|way| scope.spawn(move || watch(way)));
        runs.map(|run| run.join().expect("a server has failed"))
    });
    for (name, Seen { disk, aborted }) in names.iter().zip(&seen) {
        let last = |curve: &[(f64, f64)]| curve.last().map_or(0.0, |point| point.1);
        eprintln!("{name}: {:.0} MB of core files, {} workers aborted", last(disk), last(aborted));
    }
    let curves = |of: fn(&Seen) -> &Vec<(f64, f64)>| {
        let all = names.iter().zip(&seen);
        all.map(|(name, seen)| Curve { name: (*name).into(), points: of(seen).clone() }).collect()
    };
    let panels = [
        Panel {
            title: "core files in the app's folder: MB".into(),
            curves: curves(|seen| &seen.disk),
            limit: None,
        },
        Panel { title: "workers aborted so far".into(), curves: curves(|seen| &seen.aborted), limit: None },
    ];
    let words = format!(
        "minutes; gunicorn 20.1.0 with --timeout 10, 40 requests a second, {STAYING} clients that stay; {}",
        circumstances()
    );
    render("Disk use of an app whose workers are aborted, with and without ostler", &words, &panels)
}

fn start(way: Way, port: u16) -> Namespace {
    let address = format!("127.0.0.1:{port}");
    let gunicorn = Version::Twenty.command("uvicorn");
    let [most, both] = [MAX_REQUESTS, MAX_REQUESTS * 2].map(|count| count.to_string());
    // Core files are allowed, as in a container.
    let init: &[&str] = if way == Way::Tini { &[tini(), "--"] } else { &[OSTLER, "--"] };
    let own: &[&str] = if way == Way::Budget { &[] } else { &["--max-requests", &most] };
    let bound: &[&str] = if way == Way::Tini { &["-b", &address] } else { &[] };
    let rest = ["--timeout", "10", "--graceful-timeout", "4"];
    let words = init.iter().copied().chain(gunicorn.iter().map(String::as_str));
    let words = ["--core=unlimited:unlimited"].into_iter().chain(words);
    let words = words.chain(rest).chain(own.iter().copied()).chain(bound.iter().copied());
    let mut setup =
        Setup::new("prlimit", words).env("PYTHONWARNINGS", "ignore").env("PYTHONDONTWRITEBYTECODE", "1");
    if way != Way::Tini {
        setup = setup.env("OSTLER_LISTEN", &address);
    }
    if way == Way::Budget {
        setup = setup.env("OSTLER_MAX_REQUESTS", both).env("OSTLER_MIN_AGE", "5s");
    }
    setup.start()
}

fn watch(way: Way) -> Seen {
    let port = free_port();
    let namespace = start(way, port);
    eventually("gunicorn serves", || answers(port));
    let going = AtomicBool::new(true);
    let begin = Instant::now();
    let (mut disk, mut aborted) = (vec![(0.0, 0.0)], vec![(0.0, 0.0)]);
    thread::scope(|scope| {
        for _ in 0..STAYING {
            scope.spawn(|| stay(port, "/stream", &going));
        }
        for _ in 0..4 {
            scope.spawn(|| ask(port, EVERY, &going, |_| {}));
        }
        let mut number = 0;
        for sample in 1_usize.. {
            sleep(SAMPLE);
            let used = cores(&namespace.folder.0, &mut number);
            let minute = begin.elapsed().as_secs_f64() / 60.0;
            if sample.is_multiple_of(POINT) {
                disk.push((minute, used));
                #[expect(clippy::cast_precision_loss, reason = "some dozens")]
                aborted.push((minute, namespace.err().matches("WORKER TIMEOUT").count() as f64));
            }
            if begin.elapsed() > LENGTH || used > ENOUGH {
                break;
            }
        }
        going.store(false, Ordering::Relaxed);
    });
    Seen { disk, aborted }
}

/// MB on the disk. Where the kernel calls every core file `core`, the next one would take its place; on Fargate it is
/// `core.1058`. So each gets a number here as soon as it is there.
fn cores(folder: &Path, number: &mut u32) -> f64 {
    let core = folder.join("core");
    if core.exists() {
        *number += 1;
        let _ = fs::rename(&core, folder.join(format!("core.{number}")));
    }
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let cores = files.filter(|file| file.file_name().to_string_lossy().starts_with("core."));
    #[expect(clippy::cast_precision_loss, reason = "gigabytes at most")]
    cores
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.blocks() as f64 * 512.0 / 1e6)
        .fold(0.0, |sum, size| sum + size)
}
