//! What counting costs: requests a second of a real gunicorn with each source and without any, round by round in one
//! run, and ostler's own processor time. `cargo bench --bench counting -- --write docs` puts it into docs/counting.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/measure.rs"]
mod measure;
#[path = "common/page.rs"]
mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::Result;
use arguments::Invocation;
use measure::{median, processor};
use page::Page;
use std::fmt::Write;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use support::load::{answer, answers};
use support::venv::Version;
use support::{Namespace, Setup, eventually, fixture, free_port};

const HELP: &str = "\
Usage: cargo bench --bench counting -- [OPTIONS]

  --write FOLDER  put the table into FOLDER/counting.md, between its two
                  comments
";

const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 9;
/// Enough to keep one worker busy.
const CLIENTS: usize = 2;
/// No generation is recycled for it.
const BUDGET: &str = "1000000000000";

/// A gunicorn with one worker, and the sources that count it.
struct Server {
    label: &'static str,
    version: Version,
    class: &'static str,
    app: &'static str,
    sources: &'static [&'static str],
}

const SERVERS: [Server; 3] = [
    Server {
        label: "20.1.0 sync",
        version: Version::Twenty,
        class: "sync",
        app: "busy:wsgi",
        sources: &["statsd", "access-log", "connections"],
    },
    Server {
        label: "27 gthread",
        version: Version::New,
        class: "gthread",
        app: "busy:wsgi",
        sources: &["statsd", "access-log", "connections"],
    },
    Server {
        label: "27 UvicornWorker",
        version: Version::New,
        class: "uvicorn",
        app: "busy:asgi",
        sources: &["access-log", "connections"],
    },
];

fn main() -> Result<()> {
    let folder = match arguments::read(HELP)? {
        Invocation::Bench(folder) => folder,
        Invocation::Other => return Ok(()),
    };
    let target = folder.map(|folder| folder.join("counting.md"));
    let page = target.as_deref().map(|target| Page::read(target, "cost")).transpose()?;
    let mut table =
        "| server | source | requests a second | against none | ostler, s of CPU per million requests |\n\
                     | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for server in &SERVERS {
        for row in measure(server)? {
            eprint!("{row}");
            table.push_str(&row);
        }
    }
    let cpus = thread::available_parallelism()?;
    let _ = writeln!(
        table,
        "\nAn app that takes 1 ms of CPU, one worker, {CLIENTS} clients with a connection for each request, medians of \
         {ROUNDS} rounds of {ROUND:?} in turn; {cpus} CPUs. `cargo bench --bench counting -- --write docs`"
    );
    print!("{table}");
    if let Some((target, page)) = target.zip(page) {
        fs::write(target, page.with(&table))?;
    }
    Ok(())
}

/// One ostler with its gunicorn, and what it has shown.
struct Subject {
    source: &'static str,
    port: u16,
    namespace: Namespace,
    rates: Vec<f64>,
    requests: u64,
    processor: Duration,
}

fn measure(server: &Server) -> Result<Vec<String>> {
    let sources = ["none"].iter().chain(server.sources);
    let mut subjects: Vec<_> = sources.map(|source| Subject::start(server, source)).collect();
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.round()?;
        }
    }
    let rate = |subject: &Subject| median(&subject.rates);
    let base = subjects.first().map(|none| none.rates.clone()).unwrap_or_default();
    Ok(subjects
        .iter()
        .map(|subject| {
            let ratio =
                median(&subject.rates.iter().zip(&base).map(|(own, none)| own / none).collect::<Vec<_>>());
            let ratio = if subject.source == "none" {
                "–".to_owned()
            } else {
                format!("{:+.1} %", (ratio - 1.0) * 100.0)
            };
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let processor = subject.processor.as_secs_f64() / subject.requests as f64 * 1e6;
            format!(
                "| {} | {} | {:.0} | {ratio} | {processor:.2} |\n",
                server.label,
                subject.source,
                rate(subject)
            )
        })
        .collect())
}

impl Subject {
    fn start(server: &Server, source: &'static str) -> Self {
        let port = free_port();
        let class = if server.class == "uvicorn" { server.version.uvicorn_worker() } else { server.class };
        let fixtures = fixture("").display().to_string();
        let bind = format!("127.0.0.1:{port}");
        let command = [
            &server.version.gunicorn(),
            server.app,
            "--pythonpath",
            &fixtures,
            "-w",
            "1",
            "-k",
            class,
            "--worker-tmp-dir",
            "/dev/shm",
            "-b",
            &bind,
        ];
        let mut setup = Setup::ostler(command);
        if source != "none" {
            setup = setup.env("OSTLER_MAX_REQUESTS", BUDGET).env("OSTLER_COUNT", source);
        }
        let namespace = setup.start();
        eventually("gunicorn serves", || answers(port));
        Self { source, port, namespace, rates: Vec::new(), requests: 0, processor: Duration::ZERO }
    }

    fn round(&mut self) -> Result<()> {
        let before = processor(self.namespace.init())?;
        let end = Instant::now() + ROUND;
        let client = || {
            let mut answered = 0_u32;
            while Instant::now() < end {
                answered += u32::from(answer(self.port).is_some());
            }
            answered
        };
        let answered: u32 = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().expect("a client has panicked")).sum()
        });
        self.rates.push(f64::from(answered) / ROUND.as_secs_f64());
        self.requests += u64::from(answered);
        self.processor += processor(self.namespace.init())?.saturating_sub(before);
        Ok(())
    }
}
