//! Budgets of age and memory, with real processes. Each has its control: the same without the budget.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;
use support::load::{answer, answers};
use support::recycles::told;
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, eventually, field, fixture, free_port, refused};

#[test]
fn age_recycles_again_and_again() {
    let started = |age: &str| {
        let mut namespace =
            Setup::ostler(["sleep", "60"]).env("OSTLER_MAX_AGE", age).env("OSTLER_MIN_AGE", "100ms").start();
        namespace.wait_for_err("generation-started");
        namespace
    };
    let mut namespace = started("200ms");
    eventually("three recycles", || told(&namespace, "recycle-started") >= 3);
    let line = namespace.events("recycle-started").remove(0);
    assert!(line.contains("the age budget is spent") && line.contains("max_age_s=0.2"), "{line}");
    namespace.signal(15);
    namespace.end();
    // The control: as long as that took, and longer, nothing happens.
    let namespace = started("off");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(told(&namespace, "recycle-started"), 0);
}

/// A preloaded gunicorn of two workers that leaks at each request.
fn leaky(port: u16, budget: &str) -> Namespace {
    let fixtures = fixture("").display().to_string();
    let gunicorn = Version::New.gunicorn();
    let command = [&gunicorn, "leaky:app", "--pythonpath", &fixtures, "-w", "2", "--preload"];
    let namespace = Setup::ostler(command)
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_MAX_MEMORY", budget)
        .env("OSTLER_MIN_AGE", "1s")
        .env("LEAK_WORKER", "300000")
        .start();
    eventually("gunicorn serves", || answers(port));
    namespace
}

#[test]
fn a_leak_is_kept_in_bounds_by_a_recycle() {
    let port = free_port();
    let namespace = leaky(port, "150MiB");
    eventually("two handovers", || {
        // Some 30 MB a second on a quick machine: not all the memory there is, and on a slow one soon enough.
        for _ in 0..5 {
            assert!(answer(port).is_some(), "{}", namespace.err());
        }
        std::thread::sleep(Duration::from_millis(40));
        told(&namespace, "handed-over") >= 2
    });
    for line in namespace.events("recycle-started") {
        let used = field(&line, "memory");
        // On a machine so slow that it has settled first, it may be replaced before it is there.
        let is_spent = line.contains("the memory budget is spent");
        let least = if is_spent { 150 << 20 } else { 100 << 20 };
        assert!(is_spent || line.contains("the memory budget would be spent"), "{line}");
        assert!((least..1 << 30).contains(&used) && field(&line, "max_memory") == 150 << 20, "{line}");
    }
    // The control: what it needs when it is fresh, with its shared pages, fits; so nothing recycles without a leak.
    drop(namespace);
    let port = free_port();
    let namespace = leaky(port, "150MiB");
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(told(&namespace, "recycle-started"), 0, "{}", namespace.err());
}

#[test]
fn a_budget_that_is_too_small_is_told_once() {
    let port = free_port();
    let namespace = leaky(port, "1MiB");
    eventually("two recycles", || told(&namespace, "recycle-started") >= 2);
    assert_eq!(told(&namespace, "memory-budget-small"), 1, "{}", namespace.err());
    let line = namespace.events("memory-budget-small").remove(0);
    assert!(field(&line, "memory") > 1 << 20 && field(&line, "max_memory") == 1 << 20, "{line}");
}

/// `--check` where these files are all there is of cgroups.
fn checked(files: &[(&str, &str)], memory: &str) -> Namespace {
    let script = "mount --bind cgroup /sys/fs/cgroup && exec \"$0\" --check -- true";
    let setup = Setup::new("sh", ["-c", script, OSTLER]).env("OSTLER_MAX_MEMORY", memory);
    let root = setup.folder().path("cgroup");
    fs::create_dir_all(&root).unwrap();
    for (path, text) in files {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    setup.run()
}

#[test]
fn a_share_is_of_the_containers_limit_and_an_error_where_there_is_none() {
    // A container's own cgroup is the root of what it sees, whatever /proc/self/cgroup
    // calls it. Both versions are mounted in the place of this machine's one.
    let limits: &[(&str, &str)] =
        &[("memory.max", "1000000\n"), ("memory/memory.limit_in_bytes", "1000000\n")];
    let mut namespace = checked(limits, "50%");
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert!(namespace.out().contains("memory   at most 500000 bytes"), "{}", namespace.out());
    let mut namespace = checked(&[("memory.max", "max\n")], "50%");
    assert_eq!(namespace.end(), 1, "{}", namespace.out());
    assert!(namespace.err().contains("OSTLER_MAX_MEMORY=50%: this container has no memory limit"));
    assert!(namespace.err().contains("such as 800MiB"), "{}", namespace.err());
    let err = refused(&[("OSTLER_MAX_MEMORY", "much")], &support::NEVER);
    assert!(err.contains("OSTLER_MAX_MEMORY=much: write a size, such as 512MiB"), "{err}");
}
