//! What comes in with dependencies: licences, one version of each, the default
//! registry alone; the SBOM says so. The same as `cargo deny check` with deny.toml,
//! for machines that do not have it; .ci/run runs that too where it is there.
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All packages that Cargo.lock names, as cargo knows them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let others = packages.iter().filter(|package| package["name"] != "ostler");
    others.cloned().collect()
}

fn allowed() -> Vec<String> {
    let rules = fs::read_to_string(root().join("deny.toml")).unwrap();
    let line = rules.lines().find_map(|line| line.strip_prefix("allow = ")).unwrap();
    serde_json::from_str(line).unwrap()
}

/// An SPDX expression without parentheses: one of its alternatives is allowed as a whole.
fn may(licence: &str, allowed: &[String]) -> bool {
    let each = |name: &str| allowed.iter().any(|allowed| allowed == name.trim());
    licence.replace('/', " OR ").split(" OR ").any(|all| all.split(" AND ").all(each))
}

#[test]
fn licences_let_a_binary_be_given_away() {
    let allowed = allowed();
    for package in packages() {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or("none"));
        let licence = licence.replace(['(', ')'], "");
        assert!(may(&licence, &allowed), "{name}: {licence}");
    }
    assert!(!may("GPL-3.0-only", &allowed) && !may("MIT AND GPL-3.0-only", &allowed), "the control");
    assert!(may("GPL-3.0-only OR MIT", &allowed));
}

#[test]
fn there_is_one_version_of_each() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let [name, version] = ["name", "version"].map(|field| package[field].as_str().unwrap().to_owned());
        versions.entry(name).or_default().push(version);
    }
    let several: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert_eq!(several, []);
    assert!(versions.len() > 20, "the control: they are seen: {versions:?}");
}

#[test]
fn all_come_from_the_default_registry() {
    for package in packages() {
        let source = package["source"].as_str().unwrap_or("a path");
        assert!(source.starts_with("registry+"), "{}: {source}", package["name"]);
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for line in manifest.lines().filter(|line| line.contains("version = \"") && line.contains('{')) {
        assert!(line.contains("default-features = false") && !line.contains("\"*\""), "{line}");
    }
}

/// What `cargo tree` has for the musl target, as `name@version`.
fn tree(edges: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--locked",
        "--target",
        "x86_64-unknown-linux-musl",
        "--prefix",
        "none",
        "--edges",
        edges,
    ]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let each =
        lines.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join("@").replace("@v", "@"));
    each.filter(|each| !each.starts_with("ostler@")).collect()
}

#[test]
fn the_sbom_names_what_is_linked_in_and_nothing_else() {
    let python = root().join("target/venvs/sbom/bin/python");
    assert!(python.exists(), "what writes the SBOM is missing: tests/setup sbom");
    let mut sbom = Command::new(python);
    let output = sbom.args(["tools/sbom", "1.2.3", "4.5.6"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sbom: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |component: &Value, field: &str| component[field].as_str().unwrap().to_owned();

    let (mut crates, mut others) = (BTreeSet::new(), BTreeSet::new());
    for component in sbom["components"].as_array().unwrap() {
        let name = format!("{}@{}", text(component, "name"), text(component, "version"));
        let licence = &component["licenses"][0];
        assert!(licence["expression"].is_string() || licence["license"]["id"].is_string(), "{component}");
        if text(component, "purl") == format!("pkg:cargo/{name}") {
            let hash = text(&component["hashes"][0], "content");
            let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
            let (name, version) = name.split_once('@').unwrap();
            let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            let entry = lock.split("[[package]]\n").find(|entry| entry.starts_with(&locked)).unwrap();
            assert!(entry.contains(&format!("checksum = \"{hash}\"")), "{component}");
            crates.insert(format!("{name}@{version}"));
        } else {
            others.insert(text(component, "purl"));
        }
    }
    assert_eq!(crates, tree("normal"));
    assert_eq!(others, ["pkg:generic/musl@4.5.6", "pkg:generic/rust-std@1.2.3"].map(str::to_owned).into());
    let with_tests = tree("normal,dev");
    assert!(with_tests.len() > crates.len(), "the control: there is what is not linked in: {with_tests:?}");
    let root = &sbom["metadata"]["component"];
    assert_eq!(
        (text(root, "name"), text(root, "version")),
        ("ostler".into(), env!("CARGO_PKG_VERSION").into())
    );
}
