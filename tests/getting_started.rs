//! docs/getting-started.md, done as it says: its files, its commands in their order, and what they print. Needs a
//! Docker engine, an image python:3.12-slim, and a network that pip reaches, so it is ignored until it is asked for.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Folder, OSTLER, free_port};

/// The fenced blocks of the page: language and text.
fn blocks() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/getting-started.md");
    let page = fs::read_to_string(path).unwrap();
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').unwrap())
        .map(|(name, text)| (name.into(), text.into()))
        .collect()
}

/// Image and container, removed with this.
struct Names {
    name: String,
    port: u16,
    folder: Folder,
}

impl Names {
    /// What commands print, without the ids and names that docker prints. The page's name and port are others' too.
    fn run(&self, script: &str) -> Vec<String> {
        let Self { name, port, .. } = self;
        let script = script
            .replace("hello", name)
            .replace("8000:8000", &format!("{port}:8000"))
            .replace("localhost:8000", &format!("localhost:{port}"));
        let output = Command::new("bash").args(["-c", &script]).current_dir(&self.folder.0).output().unwrap();
        let is_id =
            |line: &str| line.len() >= 64 && line.chars().all(|c| c.is_ascii_alphanumeric() || c == ':');
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        // Of stderr what ostler says: docker and curl tell of their progress there.
        let err = err.lines().filter(|line| line.starts_with("ostler: "));
        let lines = out.lines().filter(|line| *line != name && !is_id(line)).chain(err);
        lines.map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for arguments in [["rm", "-f", &self.name], ["rmi", "-f", &self.name]] {
            let _ = Command::new("docker").args(arguments).output();
        }
    }
}

/// Without what differs from run to run: times, pids, counts. What stands alone is left as it is.
fn shape(line: &str) -> String {
    let differs = line.contains("ostler info") || line.starts_with("/proc/") || line.contains("recycling");
    // Of the page that --status prints: what each line is about.
    let is_status =
        line.starts_with("ostler 0.1.0, up") || line.get(..13).is_some_and(|name| name.ends_with(' '));
    if !differs && is_status {
        return line.chars().take(13).collect();
    }
    if !differs {
        return line.trim_end().to_owned();
    }
    let marked: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let mut short = String::new();
    for c in marked.trim_end().chars() {
        if !(c == '0' && short.ends_with('0')) {
            short.push(c);
        }
    }
    short
}

/// Of what a shell lists by pid, the order differs too.
fn shapes<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<_> = lines.map(shape).collect();
    if lines.iter().all(|line| line.starts_with("/proc/")) {
        lines.sort();
    }
    lines
}

#[test]
#[ignore = "needs a Docker engine, python:3.12-slim, and pip"]
fn it_goes_as_the_page_says() {
    let name = format!("ostler-test-{}-hi", std::process::id());
    let names = Names { name, port: free_port(), folder: Folder::new() };
    fs::copy(OSTLER, names.folder.path("ostler")).unwrap();
    let mut blocks = blocks().into_iter().peekable();
    let mut compared = 0;
    while let Some((language, text)) = blocks.next() {
        match language.as_str() {
            "python" => fs::write(names.folder.path("main.py"), text).unwrap(),
            "dockerfile" => fs::write(names.folder.path("Dockerfile"), text).unwrap(),
            "sh" if text.starts_with("cargo build") => {}
            "sh" => {
                let Some((_, expected)) = blocks.next_if(|(language, _)| language == "text") else {
                    names.run(&text);
                    continue;
                };
                let expected = shapes(expected.lines());
                // What is under way when a person reads on is over; nothing else is asked for twice.
                let again = text.starts_with("docker logs");
                let end = Instant::now() + Duration::from_mins(1);
                loop {
                    let seen = shapes(names.run(&text).iter().map(String::as_str));
                    if seen == expected {
                        break;
                    }
                    assert!(again && Instant::now() < end, "{text}\nprints {seen:#?}\nand not {expected:#?}");
                    std::thread::sleep(Duration::from_secs(1));
                }
                compared += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(compared, 9);
}
