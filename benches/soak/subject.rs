//! ostler with a real gunicorn, as PID 1 of a namespace of its own.

use crate::log::Log;
use crate::processes::{Init, Process, Sent, below};
use crate::support::venv::Version;
use crate::support::{Namespace, OSTLER, Setup, eventually};
use anyhow::Result;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// At a hundred requests a second a budget is spent in half a minute or so. Each signal and each orphan is a line of
/// the log, so that a reader who is stuck is felt.
pub(crate) const SETTINGS: [(&str, &str); 9] = [
    ("OSTLER_MAX_REQUESTS", "2500"),
    ("OSTLER_MAX_REQUESTS_JITTER", "1000"),
    ("OSTLER_MIN_AGE", "5s"),
    ("OSTLER_GRACE_PERIOD", "10s"),
    ("OSTLER_READY_TIMEOUT", "15s"),
    ("OSTLER_WATCHDOG", "5s"),
    ("OSTLER_RESTART", "always"),
    ("OSTLER_RESTART_LIMIT", "1000/1m"),
    ("OSTLER_LOG_LEVEL", "debug"),
];

pub(crate) struct Subject {
    namespace: Namespace,
    pub(crate) init: Init,
    pub(crate) born: Instant,
}

impl Subject {
    /// gunicorn's own log goes into a file: whoever writes to a pipe that nobody reads is stuck, and here that is to be
    /// ostler alone.
    pub(crate) fn start(port: u16, log: &Log, gunicorn_log: &Path) -> Result<Self> {
        let mut command = Version::New.command("gthread");
        let more = ["--threads", "4", "--timeout", "6", "--graceful-timeout", "5", "--error-logfile"];
        command.extend(more.map(str::to_owned));
        command.push(gunicorn_log.display().to_string());
        let mut setup =
            Setup::ostler(command).output(log.writer()).env("OSTLER_LISTEN", format!("127.0.0.1:{port}"));
        for (name, value) in SETTINGS {
            setup = setup.env(name, value);
        }
        let namespace = setup.start();
        let pid = namespace.init();
        // Until then it is unshare, which has the proc of the machine before its eyes.
        let path = format!("/proc/{pid}/comm");
        eventually("ostler runs", || fs::read_to_string(&path).is_ok_and(|name| name.trim() == "ostler"));
        Ok(Self { namespace, init: Init::new(pid)?, born: Instant::now() })
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.namespace.ended().then(|| self.namespace.end())
    }

    /// The namespace's own proc file system, and so all that live in the namespace.
    pub(crate) fn proc(&self) -> PathBuf {
        format!("/proc/{}/root/proc", self.init.pid()).into()
    }

    /// All below ostler that live.
    pub(crate) fn everybody(&self) -> Vec<Process> {
        let processes = below(self.init.pid()).into_iter().filter_map(Process::here);
        processes.filter(|process| !process.is_zombie()).collect()
    }

    /// Starts a program inside, beside the server, as `docker exec` does.
    pub(crate) fn inside(&self, program: &str, arguments: &[&str]) -> std::io::Result<Child> {
        let target = self.init.pid().to_string();
        Command::new("nsenter")
            .args(["--target", &target, "--user", "--mount", "--pid", "--preserve-credentials", program])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    pub(crate) fn recycle(&self) -> std::io::Result<Child> {
        self.inside(OSTLER, &["--recycle"])
    }

    pub(crate) fn stop(&self) -> Sent {
        self.init.signal(Signal::SIGTERM)
    }

    /// Core files that were left behind.
    pub(crate) fn cores(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.namespace.folder.0).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("core")).collect()
    }
}
