//! What fuzzing has found worth keeping, as ordinary tests: no
//! input panics, and however it is cut, the count is the same.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../fuzz/inputs.rs"]
mod inputs;

use ostler::count::{Lines, Rule, Tally, is_companion, requests};
use std::fs;
use std::path::Path;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 10, "the corpus of {name} is missing");
    files
}

#[test]
fn datagrams() {
    let told = |datagram: &Vec<u8>| {
        let requests = requests(datagram);
        assert!(requests == 0 || datagram.contains(&b'\n') || !is_companion(datagram));
        requests
    };
    let total = corpus("statsd").iter().map(told).fold(0, u64::saturating_add);
    assert_eq!(total, u64::MAX, "one of them holds more than fits");
}

#[test]
fn lines() {
    for bytes in corpus("lines") {
        for rule in [Rule::Every, Rule::RequestLines] {
            let lines = || Lines::new(rule, vec!["/healthz".into()]);
            let whole = lines().take(&bytes);
            for cut in 0..=bytes.len().min(300) {
                let (head, tail) = bytes.split_at(cut);
                let mut cut = lines();
                let (first, second) = (cut.take(head), cut.take(tail));
                let sum = Tally {
                    counted: first.counted + second.counted,
                    left_out: first.left_out + second.left_out,
                };
                assert_eq!(sum, whole, "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

#[test]
fn settings() {
    for bytes in corpus("settings") {
        inputs::settings(&bytes);
    }
}
