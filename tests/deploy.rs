//! docs/deploy without an engine: each file is what its published schema allows,
//! ostler takes what it says, its times add up. tests/deployed.rs starts what it says.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::venv::Version;
use support::{Folder, OSTLER};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All that is to be deployed, Dockerfile.example first, by its path from here.
fn files() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs/deploy")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> =
        names.filter(|name| name != "README.md").map(|name| format!("docs/deploy/{name}")).collect();
    files.sort();
    files.insert(0, "Dockerfile.example".to_owned());
    assert!(files.len() >= 7, "{files:?}");
    files
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn python(verb: &str, files: &[String]) -> Output {
    let mut python = Command::new(Version::Deploy.program("python"));
    python.arg(support::fixture("deploy.py")).arg(verb).args(files).current_dir(root()).output().unwrap()
}

fn facts() -> BTreeMap<String, Value> {
    let output = python("facts", &files());
    assert!(output.status.success(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// The environment and the command that ostler is started with
/// by a file. Dockerfile.example is the image of who names none.
fn started<'a>(facts: &'a BTreeMap<String, Value>, file: &str) -> (BTreeMap<&'a str, &'a str>, Vec<&'a str>) {
    let (image, own) = (&facts["Dockerfile.example"], &facts[file]);
    let of_the_image = own["command"].is_null();
    let environments = if of_the_image { vec![image, own] } else { vec![own] };
    let pairs = environments.iter().flat_map(|facts| facts["environment"].as_object().unwrap());
    let environment = pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    (environment, strings(if of_the_image { &image["command"] } else { &own["command"] }))
}

/// What `--check` says; it starts nothing.
fn check(environment: &BTreeMap<&str, &str>, command: &[&str]) -> Output {
    let mut ostler = Command::new(OSTLER);
    ostler.env_clear().envs(environment).args(["--check", "--"]).args(command).output().unwrap()
}

/// A duration of `--check`.
fn seconds(page: &str, variable: &str) -> u64 {
    let line = page.lines().find(|line| line.split_whitespace().next() == Some(variable)).unwrap();
    let value = line.split_whitespace().nth(1).unwrap();
    value.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{line}"))
}

fn is_json(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

#[test]
fn ostler_takes_what_each_file_says_and_has_nothing_to_add() {
    let facts = facts();
    for file in files() {
        let (environment, command) = started(&facts, &file);
        let output = check(&environment, &command);
        let page = words(&output);
        assert!(output.status.success() && !page.contains("\nwarning"), "{file}: {page}");
        assert!(page.contains("recycle  handover"), "{file}: {page}");
        let health = &facts[&file]["health"];
        assert!(health.is_null() || strings(health) == ["/ostler", "--health"], "{file}");
    }
    // The control: a word that is misspelt, and times that do not fit together.
    let (mut environment, command) = started(&facts, "docs/deploy/compose.yaml");
    environment.insert("OSTLER_GRACE_PERIOD", "5s");
    assert!(words(&check(&environment, &command)).contains("\nwarning"));
    environment.insert("OSTLER_DRAIN_DELAI", "5s");
    assert!(!check(&environment, &command).status.success());
}

#[test]
fn the_times_of_each_file_add_up() {
    let facts = facts();
    let mut limits = 0;
    for file in files() {
        let (environment, command) = started(&facts, &file);
        let page = words(&check(&environment, &command));
        let [drain, grace] = ["OSTLER_DRAIN_DELAY", "OSTLER_GRACE_PERIOD"].map(|name| seconds(&page, name));
        let graceful = command.iter().position(|word| *word == "--graceful-timeout").unwrap();
        let graceful: u64 = command[graceful + 1].parse().unwrap();
        assert!(graceful < grace, "{file}: gunicorn is to end by itself, {graceful} s, {grace} s");
        if let Some(limit) = facts[&file]["limit"].as_u64() {
            limits += 1;
            // Some seconds more, for what is left beside the child, and for the engine itself.
            assert!(drain + grace + 5 <= limit, "{file}: {drain} s and {grace} s, of {limit} s");
            assert!(!is_json(&file) || limit <= 120, "{file}: ECS allows no more");
        }
    }
    assert_eq!(limits, 4, "ECS, Kubernetes, Compose, systemd");
}

/// A copy of a file in which a word is another one.
fn changed(folder: &Folder, file: &str, from: &str, to: &str) -> PathBuf {
    let text = page(file);
    assert!(text.contains(from), "{file} has no {from}");
    let copy = folder.path(Path::new(file).file_name().unwrap().to_str().unwrap());
    fs::write(&copy, text.replace(from, to)).unwrap();
    copy
}

#[test]
fn each_file_is_what_its_published_schema_allows() {
    let folder = Folder::new();
    for (file, right, wrong) in [
        ("ecs-task-definition.json", "\"stopTimeout\": 45", "\"stopTimeout\": \"45\""),
        ("ecs-task-definition.json", "readonlyRootFilesystem", "readOnlyRootFilesystem"),
        ("kubernetes.yaml", "readOnlyRootFilesystem", "readonlyRootFilesystem"),
        ("kubernetes.yaml", "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 45s"),
        ("compose.yaml", "stop_grace_period", "stop_grace"),
        ("stack.yaml", "parallelism: 1", "parallelism: [1]"),
    ] {
        let file = format!("docs/deploy/{file}");
        let output = python("validate", std::slice::from_ref(&file));
        assert!(output.status.success(), "{}", words(&output));
        // The control.
        let broken = changed(&folder, &file, right, wrong).to_str().unwrap().to_owned();
        let output = python("validate", &[broken]);
        assert!(!output.status.success(), "{file} with {wrong} is allowed: {}", words(&output));
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_it_little_exposed() {
    let file = "docs/deploy/app.service";
    let analyze = |arguments: &[&str], unit: &Path| {
        let mut analyze = Command::new("systemd-analyze");
        let output = analyze.args(arguments).arg(unit).output();
        output.expect("systemd-analyze is missing: apt-get install systemd (tests/setup does it)")
    };
    let folder = Folder::new();
    let unit = changed(&folder, file, "/usr/local/bin/ostler", OSTLER);
    let verified = analyze(&["verify", "--man=no"], &unit);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", words(&verified));
    let exposed = |unit: &Path| analyze(&["security", "--offline=true", "--threshold=25"], unit);
    let little = exposed(&unit);
    assert!(little.status.success(), "{}", words(&little));
    // The controls: a word that there is not, and a unit that may do anything.
    let unit = changed(&folder, file, "KillMode=mixed", "KillMode=mixt");
    assert!(words(&analyze(&["verify", "--man=no"], &unit)).contains("mixt"));
    let unit = changed(&folder, file, "DynamicUser=yes", "User=root");
    assert!(!exposed(&unit).status.success());
}

#[test]
fn each_file_says_what_it_is_and_the_page_tells_of_it() {
    let readme = page("docs/deploy/README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| [")).collect::<Vec<_>>();
    let told: BTreeSet<_> = rows.iter().map(|row| row.split(['[', ']']).nth(1).unwrap()).collect();
    for file in files() {
        let name = file.trim_start_matches("docs/deploy/");
        assert!(told.contains(name), "docs/deploy/README.md does not tell of {name}");
        // JSON has no comments: its row of the page says it.
        let says = |text: &str| text.starts_with("# ") && text.contains("\n# Change three things: ");
        assert!(is_json(name) || says(&page(&file)), "{file} does not say what it is");
    }
    assert_eq!(told.len(), files().len(), "{told:?}");
}
