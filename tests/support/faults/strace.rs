//! strace on a running process: it goes with the value, also when a test fails.

use crate::support::{eventually, kill};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that is attached.
pub struct Strace(Child);

impl Strace {
    /// Lets the calls of these names, separated by commas, fail.
    pub fn inject(pid: u32, trace: &Path, names: &str, errno: &str, when: &str) -> Self {
        // What this machine has no call for is passed over.
        let names: Vec<_> = names.split(',').map(|name| format!("?{name}")).collect();
        let names = names.join(",");
        let what = [format!("trace={names}"), format!("inject={names}:error={errno}:when={when}")];
        Self::attach(pid, trace, &["-e", &what[0], "-e", &what[1]])
    }

    /// Writes down every call.
    pub fn record(pid: u32, trace: &Path) -> Self {
        Self::attach(pid, trace, &[])
    }

    fn attach(pid: u32, trace: &Path, arguments: &[&str]) -> Self {
        let path = "/usr/bin/strace";
        assert!(Path::new(path).exists(), "strace is missing: run tests/setup");
        let mut strace = Command::new(path);
        strace.arg("-o").arg(trace).args(["-p", &pid.to_string()]).args(arguments);
        let strace = Self(strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let mark = format!("TracerPid:\t{}\n", strace.0.id());
        // It may be the end of the process at once.
        eventually("strace is attached", || {
            fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| status.contains(&mark))
        });
        strace
    }

    /// Lets the process go on alone.
    pub fn detach(mut self) {
        kill(self.0.id(), 2);
        self.0.wait().unwrap();
    }

    /// Waits until the process has ended.
    pub fn end(mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
