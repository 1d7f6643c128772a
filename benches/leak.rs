//! The memory of servers that leak, in their workers or in a preloaded master, under load: with a memory budget, and
//! the same without ostler. `cargo bench --bench leak -- --write docs` puts it into docs/budgets.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/chart.rs"]
mod chart;
#[path = "common/page.rs"]
mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::Result;
use arguments::Invocation;
use chart::{Curve, Panel};
use page::Page;
use std::fmt::Write;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use support::load::{answer, answers};
use support::venv::Version;
use support::{Namespace, Setup, children, eventually, fixture, free_port, tini};

const HELP: &str = "\
Usage: cargo bench --bench leak -- [OPTIONS]

  --write FOLDER  put the table into FOLDER/budgets.md and FOLDER/leak.svg
";

const MIB: f64 = 1_048_576.0;
const BUDGET: f64 = 165.0 * MIB;
const RECYCLES: usize = 50;
/// Requests a second, to each server.
const RATE: u32 = 100;
/// What the preloaded app holds from the beginning, in bytes.
const BALLAST: u32 = 108_000_000;
const SAMPLE: Duration = Duration::from_millis(500);
/// The server without ostler is stopped when it holds so much, or after this time.
const ENOUGH: f64 = 400.0 * MIB;
const LONGEST: Duration = Duration::from_mins(40);

struct Leak {
    label: &'static str,
    /// Bytes at each request, in the worker that answers it.
    worker: u32,
    /// Bytes a second, in the master.
    master: u32,
}

/// A megabyte a second, each.
const LEAKS: [Leak; 2] = [
    Leak { label: "in its workers", worker: 10_000, master: 0 },
    Leak { label: "in its preloaded master", worker: 0, master: 1_000_000 },
];

/// What was seen of one server.
struct Seen {
    /// Minutes, and MiB of PSS of all below the init.
    curve: Vec<(f64, f64)>,
    /// The most that a generation held while it served.
    most_alone: f64,
    recycles: usize,
    /// Handovers that were given up, as the successor was not ready in time.
    tried_again: usize,
    answered: u64,
    failed: u64,
}

fn main() -> Result<()> {
    let folder = match arguments::read(HELP)? {
        Invocation::Bench(folder) => folder,
        Invocation::Other => return Ok(()),
    };
    let page = folder.as_ref().map(|folder| Page::read(&folder.join("budgets.md"), "leak")).transpose()?;
    let mut table = "| leak | recycles | tried again | serving, most MiB | of the budget | two together, most MiB | failed requests |\n\
                     | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let mut panels = Vec::new();
    // All of them at once: each takes half an hour.
    let all = thread::scope(|scope| {
        let servers = LEAKS.iter().map(|leak| {
            (leak, [Init::Ostler, Init::Tini].map(|init| scope.spawn(move || measure(leak, init))))
        });
        let servers: Vec<_> = servers.collect();
        servers
            .into_iter()
            .map(|(leak, servers)| (leak, servers.map(|server| server.join().expect("a server has failed"))))
            .collect::<Vec<_>>()
    });
    for (leak, [with, without]) in all {
        let most = with.curve.iter().map(|point| point.1).fold(0.0, f64::max);
        let (alone, share) = (with.most_alone, with.most_alone / (BUDGET / MIB) * 100.0);
        let (recycles, failed, total) = (with.recycles, with.failed, with.answered + with.failed);
        let again = with.tried_again;
        let row = format!(
            "| {} | {recycles} | {again} | {alone:.0} | {share:.0} % | {most:.0} | {failed} of {total} |\n",
            leak.label
        );
        eprint!("{row}");
        table.push_str(&row);
        panels.push(Panel {
            title: format!("a server that leaks {}: MiB", leak.label),
            curves: vec![
                Curve { name: "ostler".into(), points: with.curve },
                Curve { name: "tini".into(), points: without.curve },
            ],
            limit: Some((BUDGET / MIB, "OSTLER_MAX_MEMORY".into())),
        });
    }
    let _ = writeln!(
        table,
        "\ngunicorn 27, gthread, two workers, a leak of 1 MB a second at {RATE} requests a second with a connection each, \
         OSTLER_MAX_MEMORY={}MiB; PSS, twice a second. Without ostler: until 400 MiB. `cargo bench --bench leak -- --write docs`",
        BUDGET / MIB
    );
    print!("{table}");
    if let Some((folder, page)) = folder.zip(page) {
        fs::write(folder.join("budgets.md"), page.with(&table))?;
        fs::write(folder.join("leak.svg"), chart::render("Memory of servers that leak", "minutes", &panels))?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Init {
    Ostler,
    Tini,
}

fn start(leak: &Leak, init: Init, port: u16) -> Namespace {
    let fixtures = fixture("").display().to_string();
    let address = format!("127.0.0.1:{port}");
    let mut command: Vec<String> =
        [&Version::New.gunicorn(), "leaky:app", "--pythonpath", &fixtures, "-w", "2", "-k", "gthread"]
            .into_iter()
            .chain(["--threads", "4", "--worker-tmp-dir", "/dev/shm", "--preload"])
            .map(str::to_owned)
            .collect();
    let setup = match init {
        Init::Ostler => Setup::ostler(command)
            .env("OSTLER_LISTEN", address)
            .env("OSTLER_MAX_MEMORY", format!("{BUDGET}"))
            // A machine on which four such servers run starts one in two to four seconds.
            .env("OSTLER_READY_TIMEOUT", "10s")
            .env("OSTLER_MIN_AGE", "1s"),
        Init::Tini => {
            command.extend(["-b".into(), address]);
            Setup::new(tini(), ["--".to_owned()].into_iter().chain(command))
        }
    };
    setup
        .env("LEAK_WORKER", leak.worker.to_string())
        .env("LEAK_MASTER", leak.master.to_string())
        .env("BALLAST", BALLAST.to_string())
        .start()
}

fn measure(leak: &Leak, init: Init) -> Seen {
    let port = free_port();
    let mut namespace = start(leak, init, port);
    eventually("gunicorn serves", || answers(port));
    let (going, answered, failed) = (AtomicBool::new(true), AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    let (mut curve, mut most_alone) = (Vec::new(), 0.0_f64);
    let recycles = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ask(port, &going, &answered, &failed));
        }
        let recycles = loop {
            sleep(SAMPLE);
            let before = namespace.events("handed-over").len();
            let generations: Vec<_> = children(namespace.init()).into_iter().map(pss_below).collect();
            let all = generations.iter().sum::<f64>();
            curve.push((begin.elapsed().as_secs_f64() / 60.0, all / MIB));
            let recycles = namespace.events("handed-over").len();
            // Who serves: in a handover the older one until it is over, then the younger one. A Python that ends
            // touches what its processes share, and holds more for a moment.
            let serving =
                match (before == recycles, namespace.events("generation-started").len() > recycles + 1) {
                    (true, true) => generations.first(),
                    (true, false) => generations.last(),
                    (false, _) => None,
                };
            most_alone = most_alone.max(serving.copied().unwrap_or(0.0) / MIB);
            if namespace.ended() || recycles >= RECYCLES || begin.elapsed() > LONGEST || all > ENOUGH {
                break recycles;
            }
        };
        going.store(false, Ordering::Relaxed);
        recycles
    });
    let [answered, failed] = [answered, failed].map(AtomicU64::into_inner);
    let tried_again = namespace.events("handover-failed").len();
    Seen { curve, most_alone, recycles, tried_again, answered, failed }
}

fn ask(port: u16, going: &AtomicBool, answered: &AtomicU64, failed: &AtomicU64) {
    let mut next = Instant::now();
    while going.load(Ordering::Relaxed) {
        let count = if answer(port).is_some() { answered } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
        next += Duration::from_secs(4) / RATE;
        sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// The sum of PSS of a process and all below it.
fn pss_below(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let own = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    own.unwrap_or(0.0) * 1024.0 + children(pid).into_iter().map(pss_below).sum::<f64>()
}
