//! Images and containers of a Docker engine, gone with the tests that made them, and a person before one of them.

use super::terminal::Terminal;
use super::{Folder, OSTLER, eventually};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().unwrap()
}

/// What it wrote, if it went well.
pub fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", words(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// All that it wrote.
pub fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

pub fn inspect(container: &str, what: &str) -> String {
    text(&docker(&["inspect", "-f", what, container]))
}

pub fn log(container: &str) -> String {
    words(&docker(&["logs", container]))
}

/// One image at a time is built or removed: images that are alike share parents, which
/// go with the last one that has a name, also from under one that is being built.
static IMAGES: Mutex<()> = Mutex::new(());

fn alone(arguments: &[&str]) -> Output {
    let _alone = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
    docker(arguments)
}

/// An image, removed with this.
pub struct Image(pub String);

impl Image {
    /// With nothing but ostler and busybox.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new();
        fs::copy(OSTLER, folder.path("ostler")).unwrap();
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "busybox is missing: apt-get install busybox-static (tests/setup does it)");
        fs::copy(busybox, folder.path("busybox")).unwrap();
        fs::copy(busybox, folder.path("sh")).unwrap();
        compile(&folder.path("server"));
        fs::write(folder.path("passwd"), "app:x:1000:1000::/:/sh\n").unwrap();
        let dockerfile = "FROM scratch\nCOPY ostler busybox sh server /\nCOPY passwd /etc/\nENTRYPOINT [\"/ostler\", \"--\"]\n";
        Self::build(format!("ostler-test-{}-{number}", std::process::id()), &folder, dockerfile)
    }

    /// The same with one more line in its Dockerfile.
    pub fn with(&self, name: &str, line: &str) -> Self {
        Self::build(format!("{}-{name}", self.0), &Folder::new(), &format!("FROM {}\n{line}\n", self.0))
    }

    fn name_for(&self, what: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        format!("{}-{what}-{}", self.0, NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    fn build(name: String, folder: &Folder, dockerfile: &str) -> Self {
        fs::write(folder.path("Dockerfile"), dockerfile).unwrap();
        text(&alone(&["build", "-q", "-t", &name, folder.0.to_str().unwrap()]));
        Self(name)
    }

    /// A container that runs a shell script under ostler.
    pub fn run(&self, options: &[&str], script: &str) -> Container {
        // runc has threads, and begins with fewer pids than it may need where they are limited (its issue 1914).
        for _ in 0..5 {
            let container = Container(self.name_for("container"));
            let command = ["run", "-d", "--name", &container.0];
            let output = docker(&[&command, options, &[&self.0, "/sh", "-c", script]].concat());
            if !words(&output).contains("failed to create new OS thread") {
                text(&output);
                return container;
            }
        }
        panic!("runc does not come to run");
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        alone(&["rmi", "-f", &self.0]);
    }
}

/// The server that takes the socket it is handed, as one static file.
fn compile(to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.rs");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-C", "target-feature=+crt-static", "-o"]).arg(to).arg(source);
    text(&rustc.output().unwrap());
}

/// A container, removed with this.
pub struct Container(pub String);

impl Container {
    pub fn log(&self) -> String {
        log(&self.0)
    }

    pub fn wait_for_log(&self, words: &str) {
        eventually(words, || self.log().contains(words));
    }

    pub fn exit_status(&self) -> String {
        text(&docker(&["wait", &self.0]))
    }

    /// Runs a program in it.
    pub fn exec(&self, command: &[&str]) -> Output {
        docker(&[&["exec", &self.0], command].concat())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log ---\n{}", self.log());
        }
        docker(&["rm", "-f", &self.0]);
    }
}

/// `docker run -it`, with a person before it.
pub struct Sitting {
    pub terminal: Terminal,
    client: Child,
    _container: Container,
}

impl Sitting {
    pub fn new(image: &Image, options: &[&str], command: &[&str]) -> Self {
        let name = image.name_for("sitting");
        let terminal = Terminal::new();
        let mut client = Command::new("setsid");
        client
            .args(["--ctty", "docker", "run", "-it", "--name", &name])
            .args(options)
            .arg(&image.0)
            .args(command);
        let [stdin, stdout, stderr] = [0; 3].map(|_| Stdio::from(terminal.slave.try_clone().unwrap()));
        let client = client.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        let container = Container(name);
        // What it does may be seen before Docker itself is done with starting it.
        eventually("the container runs", || {
            docker(&["inspect", "-f", "{{.State.Running}}", &container.0]).stdout == b"true\n"
        });
        eventually("docker's client has the terminal for itself", || !terminal.echoes());
        Self { terminal, client, _container: container }
    }

    /// Types a line, and waits for its echo and for what cat makes of it.
    pub fn talk(&mut self, line: &str) {
        self.terminal.press(&format!("{line}\n"));
        eventually(line, || self.terminal.screen().matches(line).count() == 2);
    }

    pub fn end(&mut self) -> Option<i32> {
        eventually("docker run ends", || {
            self.terminal.screen();
            self.client.try_wait().unwrap().is_some()
        });
        self.client.wait().unwrap().code()
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
