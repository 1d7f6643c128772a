//! What a health check takes, as a whole process: `ostler --health` beside what images carry for it otherwise, round by
//! round in one run, against a real gunicorn. `cargo bench --bench health -- --write docs` puts it into docs/status.md.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/page.rs"]
mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::{Context, Result};
use arguments::Invocation;
use page::Page;
use std::fmt::Write;
use std::fs;
use support::load::answers;
use support::venv::Version;
use support::{OSTLER, Setup, eventually, fixture, free_port};

const HELP: &str = "\
Usage: cargo bench --bench health -- [OPTIONS]

  --write FOLDER  put the table into FOLDER/status.md, between its two
                  comments
";

const ROUNDS: usize = 300;

fn main() -> Result<()> {
    let Invocation::Bench(folder) = arguments::read(HELP)? else { return Ok(()) };
    let file = folder.map(|folder| folder.join("status.md"));
    let page = file.as_deref().map(|file| Page::read(file, "health")).transpose()?;
    let table = measure()?;
    print!("{table}");
    if let (Some(file), Some(page)) = (file, page) {
        fs::write(file, page.with(&table))?;
    }
    Ok(())
}

fn measure() -> Result<String> {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/healthz");
    let python = Version::New.program("python");
    let urlopen = format!("{python} -c 'import urllib.request as u; u.urlopen(\"{url}\", timeout=3)'");
    let commands = [
        ("`true`, which does nothing", "/bin/true".to_owned()),
        ("`ostler --version`", format!("{OSTLER} --version")),
        ("`ostler --health`", format!("{OSTLER} --health")),
        ("`busybox wget -q -O- URL`", format!("/bin/busybox wget -q -O- {url}")),
        ("`curl -fsS URL`", format!("curl -fsS {url}")),
        ("`python -c 'urllib…'`", urlopen),
    ];
    let quoted = commands.iter().map(|(_, command)| format!("\"{}\"", command.replace('"', "\\\"")));
    let all = quoted.collect::<Vec<_>>().join(" ");
    let server = Version::New.command("sync").join(" ");
    let timing = format!(
        "until [ -e go ]; do sleep 0.1; done; {python} {} {ROUNDS} {all}",
        fixture("times.py").display()
    );
    let mut namespace = Setup::ostler(["sh", "-c", &format!("({timing}) & exec {server}")])
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .start();
    eventually("gunicorn serves", || answers(port));
    fs::write(namespace.folder.path("go"), "")?;
    let begin = std::time::Instant::now();
    while !namespace.out().contains("]]") {
        anyhow::ensure!(begin.elapsed().as_secs() < 300 && !namespace.ended(), "{}", namespace.err());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let out = namespace.out();
    let line = out.lines().find(|line| line.starts_with("[[")).context("no times")?;
    let mut taken: Vec<Vec<f64>> = serde_json::from_str::<serde_json::Value>(line)?
        .as_array()
        .context("no list")?
        .iter()
        .map(|times| times.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect())
        .collect();
    for times in &mut taken {
        times.sort_unstable_by(f64::total_cmp);
    }
    let at = |times: &[f64], share: usize| times.get(times.len() * share / 100).copied().unwrap_or(f64::NAN);
    let base = taken.get(2).map_or(f64::NAN, |times| at(times, 50));
    let mut table =
        "| a whole process | median, ms | 99 % within, ms | of `ostler --health` |\n|---|---|---|---|\n"
            .to_owned();
    for ((label, _), times) in commands.iter().zip(&taken) {
        let median = at(times, 50);
        let ratio = median / base;
        writeln!(table, "| {label} | {median:.1} | {:.1} | {ratio:.1} x |", at(times, 99))?;
    }
    Ok(table)
}
