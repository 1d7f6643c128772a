//! What all tests of the binary share: a PID namespace to run it in, and waiting with a bound.
#![allow(dead_code, clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, unreachable_pub)]

pub mod answer;
pub mod at_once;
pub mod docker;
pub mod during;
pub mod faults;
pub mod killed;
pub mod load;
pub mod recycles;
pub mod terminal;
pub mod venv;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::iter;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for anything on a busy machine; no test passes or fails by how fast something is.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Cargo's own, or one that is to be given away: the one that `TEST_BINARY` names while the tests are compiled.
pub const OSTLER: &str = match option_env!("TEST_BINARY") {
    Some(path) => path,
    None => env!("CARGO_BIN_EXE_ostler"),
};

/// Is it built with musl? That keeps one more real-time signal to itself, and makes do without one more system call.
/// Every glibc leaves names of its versions in what it is linked to.
pub fn is_musl() -> bool {
    !fs::read(OSTLER).unwrap().windows(6).any(|bytes| bytes == b"GLIBC_")
}

/// tini, the control. A missing control is a failure, not a skip.
pub fn tini() -> &'static str {
    let path = "/usr/bin/tini";
    assert!(Path::new(path).exists(), "the control is missing: apt-get install tini (tests/run does it)");
    path
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Waits until `condition` holds; panics with `what` if it does not within the limit.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(LIMIT, what, condition);
}

/// As `eventually`, for something that is there in the end.
pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually(what, || {
        found = look();
        found.is_some()
    });
    found.unwrap()
}

/// As `eventually`, with a limit of its own.
pub fn eventually_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A folder of this test's own, removed with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ostler-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that is PID 1 of a namespace of its own. It and all below it are gone when this is dropped.
pub struct Namespace {
    unshare: Child,
    pub folder: Folder,
    status: Option<ExitStatus>,
}

/// How a namespace is to be set up.
pub struct Setup {
    command: Command,
    folder: Folder,
}

impl Setup {
    /// `program` will be PID 1, in a folder of its own, with stdout and stderr in the files `out` and `err` there.
    pub fn new<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Self {
        Self::of(&["--user", "--map-root-user"], program, arguments)
    }

    /// As `new`, and root there can become other users: it is this machine's,
    /// or, for who is not root, has the subordinate users of subuid(5).
    pub fn rooted<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let is_root = nix::unistd::geteuid().is_root();
        let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user", "--map-auto"] };
        Self::of(user, program, arguments)
    }

    fn of<S: AsRef<OsStr>>(
        user: &[&str],
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let folder = Folder::new();
        // A shell cannot trap what it was started with ignored: nohup ignores SIGHUP, and a shell without job control
        // the other two for what it starts in the background.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=HUP,INT,QUIT", "unshare"])
            .args(user)
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(program)
            .args(arguments)
            .current_dir(&folder.0)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(File::create(folder.path("out")).unwrap())
            .stderr(File::create(folder.path("err")).unwrap());
        Self { command, folder }
    }

    /// ostler as PID 1, running `command`.
    pub fn ostler<S: AsRef<OsStr>>(command: impl IntoIterator<Item = S>) -> Self {
        let mut setup = Self::new(OSTLER, ["--"]);
        setup.command.args(command);
        setup
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, stdin: Stdio) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// One pipe (or socket) for stdout and stderr, as `docker logs` reads them.
    pub fn output(mut self, pipe: &impl AsFd) -> Self {
        let [stdout, stderr] = [0, 1].map(|_| pipe.as_fd().try_clone_to_owned().unwrap());
        self.command.stdout(stdout).stderr(stderr);
        self
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn start(mut self) -> Namespace {
        let unshare = self.command.spawn().unwrap();
        Namespace { unshare, folder: self.folder, status: None }
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Namespace {
        let mut namespace = self.start();
        namespace.end();
        namespace
    }
}

impl Namespace {
    /// What the test calls the namespace's PID 1.
    pub fn init(&self) -> u32 {
        eventually_some("unshare has a child", || children(self.unshare.id()).first().copied())
    }

    /// Sends a signal to PID 1 of the namespace, from outside it.
    pub fn signal(&self, signal: i32) {
        kill(self.init(), signal);
    }

    /// Has PID 1 ended?
    pub fn ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.unshare.try_wait().unwrap();
        }
        self.status.is_some()
    }

    /// Waits for the end; the exit status of PID 1, which unshare passes on.
    pub fn end(&mut self) -> i32 {
        eventually("PID 1 ends", || self.ended());
        let status = self.status.unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    pub fn out(&self) -> String {
        self.folder.read("out")
    }

    pub fn err(&self) -> String {
        self.folder.read("err")
    }

    /// The lines of ostler's log that tell of this event.
    pub fn events(&self, event: &str) -> Vec<String> {
        let mark = format!(" {event}: ");
        self.err()
            .lines()
            .filter(|line| line.contains(" ostler ") && line.contains(&mark))
            .map(str::to_owned)
            .collect()
    }

    pub fn wait_for_out(&mut self, text: &str) {
        self.wait_for(text, Self::out);
    }

    pub fn wait_for_err(&mut self, text: &str) {
        self.wait_for(text, Self::err);
    }

    fn wait_for(&mut self, text: &str, read: impl Fn(&Self) -> String) {
        let start = Instant::now();
        loop {
            // Asked first: what was written before the end is there then.
            let ended = self.ended();
            if read(self).contains(text) {
                return;
            }
            assert!(!ended, "ended before {text:?}; out: {}; err: {}", self.out(), self.err());
            assert!(start.elapsed() < LIMIT, "no {text:?}; out: {}; err: {}", self.out(), self.err());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // --kill-child: the kernel ends PID 1 with unshare, and the whole namespace with PID 1.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        if std::thread::panicking() {
            eprintln!("--- out ---\n{}\n--- err ---\n{}", self.out(), self.err());
        }
    }
}

/// A child that would say that it was started.
pub const NEVER: [&str; 3] = ["--", "echo", "started"];

/// stderr and exit status of ostler with this environment, in front of a child that would say that it was started.
pub fn refused(environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut setup = Setup::new(OSTLER, arguments);
    for (name, value) in environment {
        setup = setup.env(name, value);
    }
    let mut namespace = setup.run();
    assert_eq!(namespace.end(), 1, "{environment:?} {arguments:?}");
    assert_eq!(namespace.out(), "", "something was started: {environment:?} {arguments:?}");
    namespace.err()
}

/// The value of `name=value` in a log line, as a number.
pub fn field(line: &str, name: &str) -> u64 {
    let start =
        line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 2;
    let digits: String = line[start..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Running, sleeping, stopped (`T`), a zombie (`Z`): proc(5), the third field of /proc/PID/stat.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// KiB of memory that are a process's own (proc(5), `RssAnon`).
pub fn rss_anon(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How much processor time a process has used, in ticks of 10 ms (proc(5), utime and stime).
pub fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The 14th and the 15th field; the 3rd is the first one behind the name.
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
    fields.map(|number| number.parse::<u64>().unwrap()).sum()
}

/// The same in a second.
pub fn ticks_in_a_second(pid: u32) -> u64 {
    let (before, begin) = (ticks(pid), Instant::now());
    sleep(Duration::from_secs(1));
    // Whoever is busy elsewhere sleeps longer.
    (ticks(pid) - before) * 1000 / u64::try_from(begin.elapsed().as_millis()).unwrap()
}

pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Sends a signal to one process. `pid` is one that the test itself has found, and never 1 or less.
pub fn kill(pid: u32, signal: i32) {
    assert!(pid > 1);
    let status = Command::new("/bin/kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

/// A port that is free, and that no other test of this process was told of lately. By default it is none of those that
/// the kernel takes by itself (ip(7), `ip_local_port_range`), for a client of another test, say.
pub fn free_port() -> u16 {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    let port = || {
        let number = std::process::id().wrapping_mul(101) + TOLD.fetch_add(1, Ordering::Relaxed);
        u16::try_from(20_000 + number % 12_000).unwrap()
    };
    iter::repeat_with(port).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
