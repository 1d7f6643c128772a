//! Core files: none by default, or the newest ones. Needs a kernel that writes them into the folder of the process.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use support::{Setup, eventually};

/// Where the kernel writes files into the folder of the process, as Debian and most container hosts without a crash
/// reporter have it.
fn files_are_written_here() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(
        !pattern.starts_with(['|', '@', '/']),
        "these tests need a core_pattern such as core, not {pattern}"
    );
}

/// Sorted by name, without those of the test itself.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !["out", "err"].contains(&&name[..])).collect();
    names.sort();
    names
}

/// Aborts, and moves its core to a name of its own, whatever the kernel calls it.
const ABORT: &str = "abort() { python3 -c 'import os; os.abort()'; \
                     for core in core core.[0-9]*; do [ ! -e $core ] || mv $core $1; done; }; ";

#[test]
fn only_the_newest_are_kept_and_the_log_tells() {
    files_are_written_here();
    let script = format!(
        "{ABORT} echo no core >core.txt; echo other >data; for n in 1 2 3 4; do abort core.n$n; \
         while [ $(grep -c core-left err) -lt $n ]; do sleep 0.05; done; done"
    );
    let mut namespace = Setup::ostler(["sh", "-c", &script]).env("OSTLER_CORES", "keep:2").start();
    eventually("it ends", || namespace.ended());
    assert_eq!(files(&namespace.folder.0), ["core.n3", "core.n4", "core.txt", "data"], "{}", namespace.err());
    let deleted = namespace.events("core-deleted");
    assert!(deleted.iter().any(|line| line.contains("core.n1")), "{deleted:?}");
    assert!(
        deleted.iter().all(|line| line.contains("os.abort()") && !line.contains("core.txt")),
        "{deleted:?}"
    );
    // By name, when it was written, and after it was moved.
    assert!(namespace.events("core-left").iter().all(|line| line.contains("os.abort()")));
}

#[test]
fn control_without_it_all_stay_and_by_default_there_are_none() {
    files_are_written_here();
    let script = format!("{ABORT} for n in 1 2 3 4; do abort core.n$n; done");
    let mut all = Setup::ostler(["sh", "-c", &script]).env("OSTLER_ULIMIT_CORE", "max").run();
    assert_eq!(all.end(), 0);
    assert_eq!(files(&all.folder.0), ["core.n1", "core.n2", "core.n3", "core.n4"]);
    let mut none = Setup::ostler(["sh", "-c", &script]).run();
    none.end();
    assert_eq!(files(&none.folder.0), [""; 0]);
}

#[test]
fn what_an_earlier_container_has_left_counts_too() {
    files_are_written_here();
    let script = &format!("{ABORT} abort core.old");
    let mut first = Setup::ostler(["sh", "-c", script]).env("OSTLER_ULIMIT_CORE", "max").run();
    first.end();
    let old = first.folder.path("core.old");
    let setup =
        Setup::ostler(["sh", "-c", "while [ -e core.0 ]; do sleep 0.05; done"]).env("OSTLER_CORES", "keep:1");
    for (name, days) in [("core.0", 3), ("core.1", 1)] {
        let path = setup.folder().path(name);
        fs::copy(&old, &path).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * days);
        fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    }
    let mut namespace = setup.run();
    assert_eq!(namespace.end(), 0);
    assert_eq!(files(&namespace.folder.0), ["core.1"]);
}

#[test]
fn a_server_that_has_changed_its_folder_is_followed_there() {
    files_are_written_here();
    let script = &format!(
        "{ABORT} mkdir app; cd app; for n in 1 2; do abort core.n$n; \
         while [ $(grep -c core-left ../err) -lt $n ]; do sleep 0.05; done; done"
    );
    let mut namespace = Setup::ostler(["sh", "-c", script]).env("OSTLER_CORES", "keep:1").run();
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert_eq!(files(&namespace.folder.path("app")), ["core.n2"], "{}", namespace.err());
}

#[test]
fn what_is_written_all_the_time_does_not_keep_ostler_busy() {
    let script = "echo ready; while :; do echo x >file; done";
    let mut namespace = Setup::ostler(["sh", "-c", script]).env("OSTLER_CORES", "keep:1").start();
    namespace.wait_for_out("ready");
    let init = namespace.init();
    eventually("it is idle", || support::ticks_in_a_second(init) < 10);
    namespace.signal(15);
    namespace.end();
}

#[test]
fn a_core_that_is_dumped_all_the_same_holds_no_memory() {
    files_are_written_here();
    // A process that raises its limit again.
    let code = "import os, resource\nsecret = 'open ' + 'sesame' * 1000\n\
                resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\nos.abort()";
    let holds_it = |setup: Setup| {
        let mut namespace = setup.run();
        namespace.end();
        let cores = files(&namespace.folder.0);
        assert_eq!(cores.len(), 1, "{}", namespace.err());
        let bytes = fs::read(namespace.folder.path(&cores[0])).unwrap();
        bytes.windows(30).any(|window| window == b"open sesamesesamesesamesesames")
    };
    let raisable = |init: &str| {
        let setup = Setup::new(init, ["--", "python3", "-c", code]);
        setup.env("OSTLER_ULIMIT_CORE", "0:unlimited")
    };
    assert!(!holds_it(raisable(support::OSTLER)));
    assert!(holds_it(raisable(support::tini())), "the control");
}
