//! The house holds: imports run one way, the pure rooms stay pure, the docs tell of everything and invent nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of a room, with its text; of all rooms if `room` is empty.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join("src").join(room)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

/// The rooms of the library that a text names.
fn rooms_named(text: &str) -> BTreeSet<&'static str> {
    let rooms = ["boot", "cli", "config", "count", "doctor", "log", "sink", "status", "supervisor", "system"];
    rooms.into_iter().filter(|room| text.contains(&format!("crate::{room}"))).collect()
}

#[test]
fn imports_run_one_way() {
    for (room, below) in [
        ("supervisor", &[][..]),
        ("count", &[]),
        ("config", &["count", "supervisor"]),
        ("doctor", &["config"]),
        ("log", &["config", "sink", "supervisor"]),
        ("status", &["count", "doctor", "supervisor"]),
        ("system", &["config", "count", "doctor", "sink", "status", "supervisor"]),
    ] {
        for (path, text) in sources(room) {
            for named in rooms_named(&text) {
                assert!(named == room || below.contains(&named), "{} imports {named}", path.display());
            }
        }
    }
    let cli = fs::read_to_string(root().join("src/cli.rs")).unwrap();
    assert_eq!(rooms_named(&cli), ["config", "supervisor"].into());
}

#[test]
fn the_pure_rooms_know_nothing_of_the_system() {
    let forbidden = [
        "nix::",
        "libc",
        "signal_hook",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "std::os",
        "Instant::now",
        "SystemTime",
        "unsafe",
        "println!",
    ];
    for (path, text) in
        [sources("supervisor"), sources("count"), sources("doctor"), sources("status")].concat()
    {
        // Test modules read the clock once, to have an instant to begin with.
        let code = text.split("#[cfg(test)]").next().unwrap();
        if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests")) {
            continue;
        }
        for word in forbidden {
            assert!(!code.contains(word), "{} knows {word}", path.display());
        }
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    let all: String = sources("")
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("tests"))
        .map(|(_, text)| text.split("#[cfg(test)]").next().unwrap().to_owned())
        .collect();
    let calls = all.matches("Instant::now()").count();
    // The loop's, and the supervisor's birth; and that of `--health`, which is a process of its own.
    assert_eq!(calls, 3);
}

#[test]
fn unsafe_is_counted() {
    let count = |text: &str| text.matches("unsafe {").count();
    let blocks: Vec<_> =
        sources("").iter().map(|(path, text)| (path.clone(), count(text))).filter(|(_, n)| *n > 0).collect();
    // kill, sigaction, waitid, fork, ioctl.
    assert_eq!(blocks.iter().map(|(_, n)| n).sum::<usize>(), 5, "{blocks:?}");
    assert!(blocks.iter().all(|(path, _)| path.starts_with(root().join("src/system"))));
}

#[test]
fn files_have_one_job() {
    for (path, text) in sources("") {
        assert!(text.starts_with("//! "), "{} does not say its job", path.display());
        assert!(text.lines().count() <= 420, "{} is long", path.display());
    }
}

#[test]
fn comments_are_no_wider_than_120() {
    // rustfmt leaves them alone.
    for (path, text) in sources("") {
        for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
            assert!(line.chars().count() <= 120, "{}: {line}", path.display());
        }
    }
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// All words of a text that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with(prefix) && word.len() > prefix.len())
        .collect()
}

#[test]
fn every_variable_is_documented_and_none_is_invented() {
    let known: BTreeSet<_> = ostler::config::variables().collect();
    let page = page("docs/configuration.md");
    let documented = words(&page, "OSTLER_");
    for name in &known {
        assert!(documented.contains(name), "docs/configuration.md does not tell of {name}");
    }
    for name in [
        "README.md",
        "docs/configuration.md",
        "docs/operations.md",
        "docs/counting.md",
        "docs/doctor.md",
        "docs/budgets.md",
        "docs/handover.md",
        "docs/reliability.md",
        "docs/signals.md",
        "docs/security.md",
        "docs/deploy/README.md",
        "Dockerfile.example",
    ] {
        let text = self::page(name);
        for word in words(&text, "OSTLER_") {
            assert!(
                known.contains(word) || ["OSTLER_ULIMIT_", "OSTLER_SERVICE_HOST"].contains(&word),
                "{name} invents {word}"
            );
        }
    }
    for (path, text) in sources("doctor") {
        for word in words(&text, "OSTLER_") {
            assert!(known.contains(word), "a hint of {} invents {word}", path.display());
        }
    }
    let help: BTreeSet<_> = words(ostler::cli::HELP, "").into_iter().collect();
    for name in &known {
        let tail = name.strip_prefix("OSTLER_").unwrap();
        let one_for_all = tail.starts_with("ULIMIT_") || tail.ends_with("_JITTER");
        assert!(help.contains(tail) || one_for_all, "--help does not tell of {name}");
    }
}

#[test]
fn every_finding_of_the_doctor_is_documented_and_none_is_invented() {
    let mut findings = BTreeSet::new();
    for (_, text) in sources("doctor/findings") {
        let names = text.split("const NAME: &str = \"").skip(1);
        findings.extend(names.map(|name| name.split('"').next().unwrap().to_owned()));
    }
    assert!(findings.len() >= 15, "{findings:?}");
    let page = page("docs/doctor.md");
    for section in ["## The findings", "## JSON"] {
        let table = page.split(section).nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), findings, "{section}");
    }
}

#[test]
fn every_log_event_is_documented_and_none_is_invented() {
    let mut events = BTreeSet::new();
    for (_, text) in sources("") {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in code.split("::new(").skip(1) {
            let call: String = call.split_whitespace().collect();
            let level = ["Level::", "level,", "orphans,"].iter().any(|word| call.starts_with(word));
            if let (true, Some(name)) = (level, call.split('"').nth(1)) {
                events.insert(name.to_owned());
            }
        }
    }
    assert!(events.len() >= 14, "{events:?}");
    let page = page("docs/operations.md");
    let table = page.split("## Log events").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<_> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    assert_eq!(events, documented);
}
