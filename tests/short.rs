//! When things are short or refused: ostler waits, tries again, says so, and lives. What is refused is shown to be.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{
    Namespace, OSTLER, Setup, children, eventually, fixture, is_musl, kill, state, ticks_in_a_second, tini,
};

fn refuse() -> String {
    fixture("refuse.py").display().to_string()
}

/// `program`, to which system calls are refused (refuse.py).
fn refused(calls: &str, program: &[&str]) -> Setup {
    let refuse = refuse();
    Setup::new("python3", [&[&refuse, calls], program].concat())
}

/// What a command says on stdout.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a system call by its number, with arguments that no call takes, and tells what came of it.
const PROBE: &str = "import ctypes, errno, sys
ctypes.CDLL(None, use_errno=True).syscall(int(sys.argv[1]), *[-1] * 6)
print('refused with', errno.errorcode.get(ctypes.get_errno()))";

/// Asks $0 (python) about the call number $2, makes an orphan, and ends with 7 when it is told to.
const CHILD: &str = "\"$0\" -c \"$1\" \"$2\" >probe 2>&1; echo status $? >>probe; (/bin/busybox true &); \
                     trap 'exit 7' TERM; echo ready; while :; do /bin/busybox sleep 0.05; done";

/// What is younger than its substitute, what only tells or helps, and what the features need that are off here. Some
/// calls are not made today, by ostler, the standard library or the C library, and may be tomorrow.
///
/// Not here, since nothing goes without: what every static program needs to start, read, write and end, and handle
/// signals; poll, for which Rust's start-up aborts; what an init is for (clone, kill, waitid, wait4); and those of
/// `what_it_cannot_do_without_is_told`.
const DISPENSABLE: [&str; 34] = [
    "bind",
    "clock_nanosleep",
    "clone3",
    "close_range",
    "epoll_create1",
    "eventfd2",
    "faccessat2",
    "getdents64",
    "getrandom",
    "gettid",
    "io_uring_setup",
    "ioctl",
    "madvise",
    "membarrier",
    "memfd_create",
    "newfstatat",
    "openat2",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "readlink",
    "readlinkat",
    "recvmsg",
    "rseq",
    "sched_getaffinity",
    "sendto",
    "set_robust_list",
    "setpgid",
    "setsockopt",
    "sigaltstack",
    "signalfd4",
    "socketpair",
    "statx",
    "timerfd_create",
];

fn without_each(errno: &str) {
    let python = said("python3", &["-c", "import sys; print(sys.executable)"]);
    for call in DISPENSABLE {
        let number = said("python3", &[&refuse(), "number", call]);
        if number.is_empty() {
            continue;
        }
        let what = format!("{call}={errno}");
        let child = ["/bin/busybox", "sh", "-c", CHILD, &python, PROBE, &number];
        let mut namespace = refused(&what, &[&[OSTLER, "-v", "--"], &child[..]].concat()).start();
        namespace.wait_for_out("ready\n");
        namespace.wait_for_err(" orphan-reaped: ");
        namespace.signal(15);
        assert_eq!(namespace.end(), 7, "{what}: {}", namespace.err());
        assert!(namespace.events("grace-expired").is_empty(), "{what}: {}", namespace.err());
        // The control: a program that makes this very call is refused, or does not even start without it.
        let probe = namespace.folder.read("probe");
        let refused = probe.contains(&format!("refused with {errno}\n"));
        assert!(refused || !probe.contains("status 0"), "{what}: {probe}");
    }
    // The control of that: where nothing is refused the same program starts, and hears something else.
    let number = said("python3", &[&refuse(), "number", "setpgid"]);
    let out = Setup::new("python3", ["-c", PROBE, &number]).run().out();
    assert!(out.contains("refused with E") && !out.contains(errno), "{out}");
}

#[test]
fn it_works_without_any_call_that_is_not_implemented() {
    without_each("ENOSYS");
}

#[test]
fn it_works_without_any_call_that_is_forbidden() {
    without_each("EPERM");
}

#[test]
fn what_it_cannot_do_without_is_told() {
    for (call, words) in [
        // Kept by the kernel, or by handlers that write to a socket: each does without the other.
        ("signalfd4,socketpair", "cannot catch signals"),
        ("fcntl", "descriptors"),
        ("prlimit64", "OSTLER_ULIMIT_CORE: cannot read the limit"),
    ] {
        for (errno, reason) in [("ENOSYS", "Function not implemented"), ("EPERM", "Operation not permitted")]
        {
            let what = format!("{call}={errno}");
            // musl asks an older call then.
            if ["prlimit64=ENOSYS", "signalfd4,socketpair=ENOSYS"].contains(&what.as_str()) && is_musl() {
                continue;
            }
            let mut namespace = refused(&what, &[OSTLER, "--", "echo", "started"]).run();
            assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""), "{what}");
            let err = namespace.err();
            assert!(err.contains(words) && err.contains(reason), "{what}: {err}");
        }
    }
}

/// The pauses that were told between attempts to start a child,
/// in tenths of a second, and that it was for this `reason`.
fn pauses(namespace: &mut Namespace, reason: &str) -> Vec<String> {
    namespace.wait_for_err("retry_in_s=0.4");
    let failed = namespace.events("spawn-failed");
    assert!(failed.iter().all(|line| line.contains(reason)), "{failed:?}");
    failed.iter().map(|line| line.rsplit_once("retry_in_s=").unwrap().1.to_owned()).collect()
}

#[test]
fn where_no_process_can_be_forked_it_waits_longer_and_longer() {
    let shell = "/bin/true; echo forked";
    for (errno, reason) in [
        ("EAGAIN", "cannot fork: "),
        ("ENOMEM", "cannot fork: "),
        ("EPERM", "cannot fork: Operation not permitted"),
        ("ENOSYS", "cannot fork: Function not implemented"),
    ] {
        let calls = format!("clone,clone3,fork,vfork={errno}");
        let mut namespace = refused(&calls, &[OSTLER, "--", "true"]).start();
        assert_eq!(pauses(&mut namespace, reason)[..3], ["0.1", "0.2", "0.4"], "{errno}");
        // A signal that nobody is there for is told of, and one to stop is heard at once.
        namespace.signal(1);
        namespace.wait_for_err(" signal-dropped: ");
        namespace.signal(15);
        assert_eq!(namespace.end(), 143, "{errno}: {}", namespace.err());
        // The controls: a shell cannot fork either, and tini gives up.
        let mut shell = refused(&calls, &["sh", "-c", shell]).run();
        assert!(shell.end() != 0 && shell.out().is_empty(), "{errno}: {}", shell.out());
        assert_eq!(refused(&calls, &[tini(), "--", "true"]).run().end(), 1, "{errno}");
    }
}

/// Changes the soft limit of open files of a running process.
fn limit_files(pid: u32, soft: u32) {
    said("prlimit", &["--pid", &pid.to_string(), &format!("--nofile={soft}:4096")]);
}

#[test]
fn started_without_descriptors_it_waits_until_there_are_some() {
    // Enough for ostler, and not for the pipe that a child tells its failure by.
    let command = ["--nofile=6:4096", OSTLER, "--", "sh", "-c", "exit 6"];
    let mut namespace = Setup::new("prlimit", command).start();
    assert_eq!(pauses(&mut namespace, "cannot make a pipe: Too many open files")[..3], ["0.1", "0.2", "0.4"]);
    limit_files(namespace.init(), 64);
    assert_eq!(namespace.end(), 6, "{}", namespace.err());
    assert_eq!(namespace.events("generation-started").len(), 1);
    // Too few for ostler itself: it says so.
    let mut namespace = Setup::new("prlimit", ["--nofile=4:4096", OSTLER, "--", "echo", "started"]).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""));
    assert!(namespace.err().contains("(os error 24)"), "{}", namespace.err());
    // The control: a shell has three of six left, and no fourth.
    for (descriptors, status) in [("3<&0 4<&0 5<&0", 0), ("3<&0 4<&0 5<&0 6<&0", 2)] {
        let script = format!("exec {descriptors}");
        assert_eq!(Setup::new("prlimit", ["--nofile=6", "sh", "-c", &script]).run().end(), status);
    }
}

#[test]
fn when_descriptors_run_out_it_goes_on_and_starts_the_child_again_later() {
    let script = "(sleep 600 </dev/null &); trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done";
    let setup = Setup::ostler(["sh", "-c", script]).env("OSTLER_RESTART", "always");
    let mut namespace = setup.env("OSTLER_LOG_LEVEL", "debug").start();
    namespace.wait_for_out("ready\n");
    let ostler = namespace.init();
    eventually("there is a stranger", || children(ostler).len() == 2);
    let [leader, stranger] = [children(ostler)[0], children(ostler)[1]];
    // All that are left are taken.
    limit_files(ostler, 3);
    // It passes signals on, and reaps.
    namespace.signal(10);
    namespace.wait_for_out("usr1\n");
    kill(stranger, 9);
    eventually("the stranger is reaped", || children(ostler) == [leader]);
    kill(leader, 9);
    pauses(&mut namespace, "cannot make a pipe: Too many open files");
    limit_files(ostler, 64);
    namespace.wait_for_out("ready\nusr1\nready\n");
    namespace.signal(15);
    assert_eq!(namespace.end(), 143, "{}", namespace.err());
}

#[test]
fn a_limit_below_what_it_waits_for_does_not_make_it_spin() {
    // poll(2) fails at once (EINVAL) where it is given more than RLIMIT_NOFILE.
    let mut namespace =
        Setup::ostler(["sh", "-c", "trap 'exit 7' TERM; echo ready; sleep 600 & wait"]).start();
    namespace.wait_for_out("ready\n");
    assert!(ticks_in_a_second(namespace.init()) < 20, "the control");
    limit_files(namespace.init(), 1);
    // What it is asleep in has begun before that.
    namespace.signal(28);
    let spent = ticks_in_a_second(namespace.init());
    namespace.signal(15);
    assert_eq!(namespace.end(), 7);
    assert!(spent < 20, "{spent} ticks of 100 in a second");
}

/// Hides /proc from what follows, as where it is not mounted.
const HIDE: &str = "mount -t tmpfs none /proc;";

#[test]
fn without_proc_it_starts_reaps_passes_on_and_ends() {
    let child = "ls /proc/self || echo hidden; (true &); trap 'echo usr1' USR1; trap 'exit 7' TERM; echo ready; \
                 while :; do sleep 0.05; done";
    let start = |mount: &str, environment: &[(&str, &str)]| {
        let script = format!("{mount} exec \"$0\" -v -- sh -c \"$1\"");
        let setup = Setup::new("sh", ["-c", &script, OSTLER, child]);
        let mut namespace =
            environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
        namespace.wait_for_out("ready\n");
        namespace.wait_for_err(" orphan-reaped: ");
        namespace.signal(10);
        namespace.wait_for_out("usr1\n");
        namespace.signal(15);
        assert_eq!(namespace.end(), 7, "{}", namespace.err());
        namespace
    };
    let all = [
        ("OSTLER_MAX_MEMORY", "1GiB"),
        ("OSTLER_MAX_REQUESTS", "1000"),
        ("OSTLER_MAX_AGE", "1h"),
        ("OSTLER_RESTART", "on-failure"),
        ("OSTLER_LISTEN", "unix:app.sock"),
    ];
    for environment in [&[][..], &all] {
        let hidden = start(HIDE, environment);
        assert!(hidden.out().contains("hidden\n"), "the control");
        assert!(!start("", environment).out().contains("hidden\n"));
    }
}

#[test]
fn without_proc_a_daemon_is_asked_to_end_all_the_same() {
    // It takes a while, which an init that only tells it and ends does not give it.
    let daemon = "setsid sh -c 'trap \"sleep 0.5; echo told; exit\" TERM; echo up > up; while :; do sleep 0.05; done' & \
                  while ! [ -s up ]; do sleep 0.02; done; exit 3";
    for before in ["", HIDE] {
        let script = format!("{before} exec \"$0\" -- sh -c \"$1\"");
        let mut namespace = Setup::new("sh", ["-c", &script, OSTLER, daemon]).run();
        assert_eq!(namespace.end(), 3, "{before} {}", namespace.err());
        assert_eq!(namespace.out(), "told\n", "{before} {}", namespace.err());
    }
    // The control: tini does not ask.
    assert_eq!(Setup::new(tini(), ["--", "sh", "-c", daemon]).run().out(), "");
}

#[test]
fn where_nothing_can_be_written_it_works() {
    // The binary may lie in /tmp, which is to be as good as none, and so may the folder that this is in.
    let read_only = "mount -t tmpfs none /mnt && cp \"$0\" /mnt/ostler && mount -o remount,ro /mnt && \
                     mount -o remount,bind,ro \"$(stat -c %m .)\" && mount -o remount,bind,ro / && \
                     mount -t tmpfs -o ro none /tmp && exec /mnt/ostler -- sh -c \"$1\" sh file /tmp/file";
    let writable = "exec \"$0\" -- sh -c \"$1\" sh file";
    let child = "for file; do { echo x >$file; } 2>/dev/null && echo written || echo read-only; done; \
                 trap 'echo asked; exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    for (script, tried) in [(read_only, "read-only\nread-only\n"), (writable, "written\n")] {
        let setup = Setup::new("sh", ["-c", script, OSTLER, child]).env("OSTLER_SIGNALS", "USR2=@recycle");
        let mut namespace = setup.env("TMPDIR", "/nonexistent").start();
        namespace.wait_for_out(&format!("{tried}ready\n"));
        assert!(namespace.events("no-control").is_empty(), "{}", namespace.err());
        namespace.signal(12);
        namespace.wait_for_out(&format!("{tried}ready\nasked\n{tried}ready\n"));
        namespace.signal(15);
        assert_eq!(namespace.end(), 4);
    }
}

#[test]
fn where_standard_streams_are_closed_none_of_ostlers_own_takes_their_place() {
    let child = "for n in 0 1 2; do readlink /proc/$$/fd/$n; done >seen; exit 5";
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$0\" -- sh -c \"$1\" {closed}");
        let mut namespace = Setup::new("sh", ["-c", &script, OSTLER, child]).run();
        assert_eq!(namespace.end(), 5, "{closed}: {}", namespace.err());
        let seen = namespace.folder.read("seen");
        assert!(!seen.contains("socket") && !seen.contains("pipe"), "{closed}: {seen}");
    }
    // The control: in a program that does not see to it one does.
    let script = "exec python3 -c 'import os; print(os.pipe()[0])' <&-";
    assert_eq!(Setup::new("sh", ["-c", script]).run().out(), "0\n");
}

#[test]
fn a_full_disk_under_the_log_and_the_childs_stdout_is_no_matter() {
    let signals = fixture("signals.py").display().to_string();
    let counted = [("OSTLER_MAX_REQUESTS", "1000"), ("OSTLER_COUNT", "stdout")];
    for environment in [&[][..], &counted] {
        // Where ostler passes the child's lines on, the child's own writes do not fail.
        let child = "echo x || echo refused >written; exec python3 \"$0\" >got";
        let script = "exec \"$0\" -v -- sh -c \"$1\" \"$2\" >/dev/full 2>&1";
        let setup = Setup::new("sh", ["-c", script, OSTLER, child, &signals]);
        let mut namespace =
            environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
        let got = |namespace: &Namespace| namespace.folder.read("got");
        eventually("it is ready", || got(&namespace) == "ready\n");
        namespace.signal(10);
        eventually("the signal passes", || got(&namespace) == "ready\ngot 10\n");
        eventually("ostler sleeps", || state(namespace.init()) == Some('S'));
        namespace.signal(15);
        assert_eq!((namespace.end(), got(&namespace).as_str()), (0, "ready\ngot 10\ngot 15\n"));
        // The control: to a file of its own nothing can be written.
        let refused = namespace.folder.read("written");
        assert_eq!(refused, if environment.is_empty() { "refused\n" } else { "" });
    }
}

/// The sources of ostler, without what is compiled for tests only.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        if path.is_dir() {
            return sources(&path);
        }
        let text = fs::read_to_string(&path).unwrap();
        vec![(path, text.split("#[cfg(test)]").next().unwrap().to_owned())]
    };
    entries.flat_map(read).collect()
}

#[test]
fn a_clock_that_jumps_changes_nothing_but_the_time_stamps() {
    // No clock can be set without privilege, so: whoever decides does not read the one that jumps.
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let reads = |words: &str| {
        let files = sources.iter().filter(|(_, text)| text.contains(words));
        files.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>()
    };
    let [of_the_wall, monotonic] = ["SystemTime", "Instant::now()"].map(reads);
    // Time stamps of the log and of metrics; and which files were changed
    // since ostler has started, for which the kernel has no other.
    let may = ["/src/log/", "/src/system/outlet.rs", "/src/system/grown.rs", "/src/system/mod.rs"];
    let stamps = |path: &String| may.iter().any(|part| path.contains(part));
    assert!(of_the_wall.iter().all(stamps), "{of_the_wall:?}");
    assert!(!of_the_wall.is_empty() && !monotonic.is_empty(), "the control: nothing was found");
    assert_eq!(reads("CLOCK_REALTIME"), Vec::<String>::new());
}
