//! The log under a real PID 1: nobody reads it, it is closed, it may not grow. Nothing of it is the child's matter.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::terminal::Terminal;
use support::{LIMIT, Namespace, OSTLER, Setup, eventually, field, fixture, tini};

/// Signals until the init's log has filled what nobody reads. A signal that is on its way swallows others of its kind,
/// so each is waited for, but where there is no room for a line an init that hangs passes none on.
fn stuck(init: &[&str], log: &impl AsFd) -> Namespace {
    let signals = fixture("signals.py");
    let script = "exec python3 \"$0\" >got 2>&1";
    let (program, rest) = init.split_first().unwrap();
    let arguments = [rest, &["--", "sh", "-c", script, signals.to_str().unwrap()]].concat();
    let namespace = Setup::new(program, arguments).output(log).start();
    let got = || namespace.folder.read("got").matches("got 10").count();
    eventually("the child is ready", || namespace.folder.read("got").contains("ready"));
    // A pipe holds 64 KiB, some 700 lines of ostler's and 1,200 of tini's.
    for _ in 0..1500 {
        let (before, start) = (got(), Instant::now());
        namespace.signal(10);
        while got() == before {
            let elapsed = start.elapsed();
            if elapsed > Duration::from_secs(3) && !takes_output(log) {
                return namespace;
            }
            assert!(elapsed < LIMIT, "a signal is lost, though there is room for a line");
            sleep(Duration::from_micros(200));
        }
    }
    namespace
}

fn takes_output(log: &impl AsFd) -> bool {
    poll(&mut [PollFd::new(log.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO) == Ok(1)
}

/// With a pipe that nobody reads: does SIGTERM get through?
fn with_a_stuck_log(init: &str, flag: &str) -> (Namespace, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let namespace = stuck(&[init, flag], &writer);
    namespace.signal(15);
    (namespace, reader)
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (mut namespace, mut reader) = with_a_stuck_log(OSTLER, "-v");
    assert_eq!(namespace.end(), 0);
    let got = namespace.folder.read("got");
    assert!(got.ends_with("got 15\n"), "{got}");
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    assert!(log.len() > 60_000 && got.matches("got 10").count() > log.len() / 100, "the pipe was not full");
}

#[test]
fn nor_does_a_socket_that_nobody_reads_or_a_pipe_that_cannot_be_opened_again() {
    let (reader, writer) = UnixStream::pair().unwrap();
    stops_nothing(stuck(&[OSTLER, "-v"], &writer), writer, reader);
    let (reader, writer) = std::io::pipe().unwrap();
    let without_proc = ["sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh", OSTLER, "-v"];
    stops_nothing(stuck(&without_proc, &writer), writer, reader);
}

fn stops_nothing<W>(mut namespace: Namespace, writer: W, mut reader: impl Read) {
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
    drop(writer);
    let (got, mut log) = (namespace.folder.read("got"), String::new());
    assert!(got.ends_with("got 15\n"), "{got}");
    reader.read_to_string(&mut log).unwrap();
    let told = log.matches(" signal-forwarded: ").count();
    assert!(0 < told && told < got.matches("got 10").count(), "there was room for all: {told}");
}

#[test]
fn what_the_log_has_no_room_for_is_counted() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut namespace = stuck(&[OSTLER, "-v"], &writer);
    drop(writer);
    let mut log = vec![0; 1 << 20];
    let length = reader.read(&mut log).unwrap();
    log.truncate(length);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
    reader.read_to_end(&mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    let told = log.lines().filter(|line| line.contains(" signal-forwarded: ") && line.contains("SIGUSR1"));
    let dropped = log.lines().find(|line| line.contains(" log-lines-dropped: ")).unwrap();
    let got = namespace.folder.read("got").matches("got 10").count();
    assert_eq!(told.count() as u64 + field(dropped, "count"), got as u64, "{dropped}");
}

#[test]
fn the_childs_stderr_waits_for_its_reader_as_before() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let look = "grep flags /proc/self/fdinfo/2";
    let script = format!("{look} >alone; exec \"$0\" -- sh -c '{look} >under'");
    let mut namespace = Setup::new("sh", ["-c", &script, OSTLER]).output(&writer).run();
    assert_eq!(namespace.end(), 0);
    let [alone, under] = ["alone", "under"].map(|name| namespace.folder.read(name));
    assert!(alone.starts_with("flags:"));
    // O_NONBLOCK would be 04000 of it.
    assert_eq!(under, alone);
}

#[test]
fn control_tini_hangs_on_its_log() {
    let (mut namespace, reader) = with_a_stuck_log(tini(), "-vvv");
    sleep(Duration::from_secs(1));
    assert!(!namespace.ended());
    assert!(!namespace.folder.read("got").contains("got 15"));
    drop(reader);
}

/// How many zombies are left of 2,000 orphans, each worth a line of a log that nobody reads.
fn zombies_with_a_stuck_log(init: &str, flag: &str, patience: &str) -> String {
    let script = fixture("orphans.py");
    let (reader, writer) = std::io::pipe().unwrap();
    let shell = "exec python3 \"$0\" 2000 100 \"$1\" >got 2>&1";
    let command = [flag, "-w", "--", "sh", "-c", shell, script.to_str().unwrap(), patience];
    let namespace = Setup::new(init, command).output(&writer).start();
    let told = || namespace.folder.read("got");
    eventually("the zombies are counted", || told().starts_with("zombies"));
    drop(reader);
    told()
}

#[test]
fn a_log_that_nobody_reads_leaves_no_zombie() {
    assert_eq!(zombies_with_a_stuck_log(OSTLER, "-v", "30"), "zombies 0\n");
}

#[test]
fn control_tini_hangs_on_its_log_and_zombies_stay() {
    assert_ne!(zombies_with_a_stuck_log(tini(), "-vvv", "1"), "zombies 0\n");
}

#[test]
fn a_log_file_that_may_not_grow_is_not_the_childs_matter() {
    let signals = fixture("signals.py");
    // ostler's own soft limit is met by its first line; the child has none.
    let inner = ["--fsize=10:unlimited", OSTLER, "-v", "--", "python3", signals.to_str().unwrap()];
    let mut namespace = Setup::new("prlimit", inner).env("OSTLER_ULIMIT_FSIZE", "max").start();
    namespace.wait_for_out("ready\n");
    namespace.signal(10);
    namespace.wait_for_out("got 10\n");
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
    assert_eq!(namespace.err().len(), 10, "the control: the limit was met");
    // ostler's own writes met SIGXFSZ (25), and the child has heard nothing of it.
    assert_eq!(namespace.out(), "ready\ngot 10\ngot 15\n");
}

#[test]
fn a_terminal_that_wants_no_output_from_the_background_gets_the_log_all_the_same() {
    let mut terminal = Terminal::new();
    let setup = terminal.setup("sh", ["-c", "stty tostop; exec \"$0\" -- true", OSTLER]);
    let _namespace = setup.output(&terminal.slave).start();
    terminal.wait_for(" generation-ended: ");
}

#[test]
fn a_log_pipe_that_is_closed_is_not_the_childs_matter() {
    let signals = fixture("signals.py");
    let (reader, writer) = std::io::pipe().unwrap();
    let script = "exec python3 \"$0\" >got 2>&1";
    let mut namespace = Setup::new(OSTLER, ["-v", "--", "sh", "-c", script, signals.to_str().unwrap()])
        .output(&writer)
        .start();
    let got = |namespace: &Namespace| namespace.folder.read("got");
    drop(writer);
    eventually("the child is ready", || got(&namespace) == "ready\n");
    drop(reader);
    namespace.signal(10);
    eventually("the signal passes", || got(&namespace) == "ready\ngot 10\n");
    namespace.signal(15);
    namespace.end();
    // ostler's own writes met SIGPIPE (13), and the child has heard nothing of it.
    assert_eq!(got(&namespace), "ready\ngot 10\ngot 15\n");
}
