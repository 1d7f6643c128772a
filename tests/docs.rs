//! The docs hold together: the manual page tells of every option and variable, links lead somewhere, the two READMEs
//! show the same commands, and the picture of the states has those of the code.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../benches/common/chart.rs"]
#[allow(dead_code)]
mod chart;
#[path = "support/manual.rs"]
mod manual;
#[path = "../benches/pictures/states.rs"]
mod states;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All pages that people read.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![root().join("docs")]);
    for entry in fs::read_dir(root()).unwrap() {
        pages.push(entry.unwrap().path());
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                pages.push(path);
            }
        }
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// A page without its fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What GitHub calls a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(&fs::read_to_string(page).unwrap());
    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// Where the links of a page lead that stay in the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

#[test]
fn every_link_leads_to_what_is_there() {
    let mut count = 0;
    for page in pages() {
        for link in links(&prose(&fs::read_to_string(&page).unwrap())) {
            count += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: there is no {link}", page.display());
            let there = fragment.is_empty() || anchors(&target).contains(fragment);
            assert!(there, "{}: no heading is called {link}", page.display());
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn no_page_names_a_variable_that_is_not_there() {
    let known: BTreeSet<_> = ostler::config::variables().collect();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        // In a mistake that a page shows, one for a family, and Kubernetes' own.
        let others = ["OSTLER_", "OSTLER_ULIMIT_", "OSTLER_MAX_REQUEST", "OSTLER_SERVICE_HOST"];
        for word in words.filter(|word| word.starts_with("OSTLER_") && !others.contains(word)) {
            count += 1;
            assert!(known.contains(word), "{} invents {word}", page.display());
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn anchors_are_githubs() {
    for (heading, expected) in [
        ("## What of tini works?", "what-of-tini-works"),
        ("## gunicorn's own upgrade (SIGUSR2)", "gunicorns-own-upgrade-sigusr2"),
        ("# docker stop, ECS, Kubernetes", "docker-stop-ecs-kubernetes"),
        ("## 何が起きるか", "何が起きるか"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
    assert_eq!(links("a [b](c.md#d) [e](https://example.com) ![f](g.svg)"), ["c.md#d", "g.svg"]);
}

/// The options that --help shows.
fn options(help: &str) -> BTreeSet<String> {
    let words = help.split(|c: char| c.is_whitespace() || "[],;()".contains(c));
    let name = |word: &str| word.trim_start_matches('-').to_owned();
    words
        .filter(|word| {
            let (name, dashes) = (name(word), word.len() - name(word).len());
            name.chars().next().is_some_and(|c| c.is_ascii_lowercase())
                && (dashes == 2 || dashes == 1 && name.len() == 1)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_manual_tells_of_every_option_and_invents_none() {
    let manual = read("docs/ostler.8");
    let section = manual.split("\n.Sh OPTIONS\n").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let mut told = BTreeSet::new();
    for line in section.lines().filter_map(|line| line.strip_prefix(".It ")) {
        for flag in line.split("Fl ").skip(1) {
            let flag = flag.split([' ', ',']).next().unwrap();
            told.insert(format!("-{}", flag.replace('\\', "")));
        }
    }
    assert_eq!(told, options(ostler::cli::HELP));
    assert!(told.len() >= 14, "{told:?}");
}

#[test]
fn the_manuals_variables_are_those_of_the_configuration_page() {
    let path = root().join("docs/ostler.8");
    let manual = read("docs/ostler.8");
    let current = manual::with_variables(&manual, &manual::variables(&read("docs/configuration.md")));
    if std::env::var_os("WRITE").is_some() {
        fs::write(path, &current).unwrap();
    }
    let manual = read("docs/ostler.8");
    assert!(
        manual == current,
        "docs/ostler.8 is behind docs/configuration.md: WRITE=1 cargo test --test docs"
    );
    let known: BTreeSet<_> = ostler::config::variables().map(str::to_owned).collect();
    let text = manual.split("\n.Sh ENVIRONMENT\n").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let items = text.lines().filter_map(|line| line.strip_prefix(".It Ev "));
    let items = items.flat_map(|line| line.split(" Pq ").next().unwrap().split(" , "));
    assert_eq!(items.map(str::to_owned).collect::<BTreeSet<_>>(), known);
    let words = manual.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    for word in words.filter(|word| word.starts_with("OSTLER_") && !word.ends_with('_')) {
        assert!(known.contains(word), "the manual invents {word}");
    }
}

#[test]
fn the_manual_is_well_formed() {
    let manual = root().join("docs/ostler.8");
    let mut checks = 0;
    for (program, arguments) in [
        ("mandoc", &["-T", "lint", "-W", "warning"][..]),
        ("groff", &["-man", "-mdoc", "-ww", "-z", "-Tutf8"]),
    ] {
        let Ok(output) = Command::new(program).args(arguments).arg(&manual).output() else {
            println!("{program} is not installed");
            continue;
        };
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), "", "{program}");
        checks += 1;
    }
    println!("{checks} programs have read it");
    // The least that can be told without them: sections in their order, each once.
    let sections: Vec<_> = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "SIGNALS", "FILES"]
        .into_iter()
        .chain(["EXIT STATUS", "EXAMPLES", "SEE ALSO"])
        .collect();
    let text = read("docs/ostler.8");
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(".Sh ")).collect();
    assert_eq!(found, sections);
}

/// The commands of a page: its fenced blocks without comments, and without what a program has printed (`text`, `json`).
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    let blocks = blocks.filter(|block| !block.starts_with("text") && !block.starts_with("json"));
    let lines = blocks.flat_map(|block| block.lines().skip(1));
    let lines = lines.map(|line| line.split(" #").next().unwrap().trim_end());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn both_readmes_show_the_same() {
    let [english, japanese] = ["README.md", "README.ja.md"].map(read);
    assert_eq!(commands(&english), commands(&japanese));
    assert!(commands(&english).len() >= 10);
    // What a program has printed, word for word.
    let printed = |text: &str| {
        let blocks = text.split("```").skip(1).step_by(2).filter(|block| block.starts_with("text"));
        blocks.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(printed(&english), printed(&japanese));
    // The same pages, pictures and variables, each as often.
    let sorted = |text: &str| {
        let mut links = links(&prose(text));
        links.retain(|link| !link.starts_with("README"));
        // Headings have names of their own in each language.
        links.retain(|link| !link.starts_with('#'));
        links.sort();
        links
    };
    assert_eq!(sorted(&english), sorted(&japanese));
    let code = |text: &str| {
        let text = prose(text);
        let mut spans: Vec<_> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        spans.sort();
        spans
    };
    assert_eq!(code(&english), code(&japanese));
    assert!(english.contains("(README.ja.md)") && japanese.contains("(README.md)"));
}

#[test]
fn the_picture_of_the_states_is_that_of_the_code() {
    let code = read("src/supervisor/mod.rs");
    let body = code.split("\nenum State {\n").nth(1).unwrap().split("\n}").next().unwrap();
    let names = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let names: BTreeSet<_> = names.map(|line| line.split([' ', '(', ',']).next().unwrap()).collect();
    let drawn = states::draw();
    let words = drawn.split("class=\"name\"").skip(1);
    let words: BTreeSet<_> = words.map(|rest| rest.split(['>', '<']).nth(1).unwrap()).collect();
    assert_eq!(words, names);
    assert!(read("docs/states.svg") == drawn, "cargo bench --bench pictures -- --only states --write docs");
}

/// All of src, without the ends of lines within a string.
fn code() -> String {
    let (mut text, mut folders) = (String::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let lines: Vec<_> = text.lines().map(|line| line.trim().trim_end_matches('\\')).collect();
    lines.join("")
}

#[test]
fn what_troubleshooting_says_that_ostler_says_ostler_says() {
    let page = read("docs/troubleshooting.md");
    let first = |page: &str| {
        let rows =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
        rows.collect::<BTreeSet<_>>()
    };
    let names: BTreeSet<_> =
        first(&read("docs/operations.md")).union(&first(&read("docs/doctor.md"))).cloned().collect();
    let text = prose(&page);
    let spans = text.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| {
        span.contains('-')
            && !span.starts_with('-')
            && span.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let told: BTreeSet<_> = spans.filter(is_name).map(str::to_owned).collect();
    let unknown: Vec<_> = told.difference(&names).collect();
    assert!(unknown.is_empty() && told.len() > 15, "{unknown:?} of {told:?}");
    // Sentences, in the tables that begin so; what differs from case to case is an ellipsis or a number there.
    let code = code();
    let mut sentences = 0;
    for table in page
        .split("\n\n")
        .filter(|table| ["| the line says", "| it says"].iter().any(|head| table.starts_with(head)))
    {
        for row in table.lines().skip(2) {
            let cell = row.split(" | ").next().unwrap();
            for sentence in cell.split('`').skip(1).step_by(2) {
                sentences += 1;
                for part in sentence.split(|c: char| c == '…' || c.is_ascii_digit()).map(str::trim) {
                    // The kernel's words, and a file's name that is filled in.
                    let part = part.trim_start_matches("/etc/passwd ");
                    let kernels = ["Address already in use", ": Permission denied"].contains(&part);
                    assert!(kernels || code.contains(part), "ostler does not say {part:?}");
                }
            }
        }
    }
    assert!(sentences >= 14, "{sentences}");
}
