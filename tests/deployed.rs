//! docs/deploy with a Docker engine: the images as built from what is printed there, the Compose file, the Swarm stack.
//! tests/deployed builds the images and runs this.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::docker::{Container, docker, inspect, log, text, words};
use support::load::{Connections, Tally, answer, answers, both_workers_serve, load};
use support::{Folder, fixture, free_port};

/// As little as a container can have; but core files as large as they like.
const STRICT: [&str; 6] = [
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt=no-new-privileges",
    "--ulimit=core=-1",
    "--memory=512m",
];

/// Long enough for a Swarm to replace three servers, one after another, on a busy machine.
const LIMIT: Duration = Duration::from_mins(8);

/// As `support::eventually`, but to ask an engine is dear.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(200));
    }
}

/// An image that tests/deployed has built, and removes again.
fn image(tag: &str) -> String {
    let name = std::env::var("DEPLOYED").expect("run tests/deployed");
    format!("{name}:{tag}")
}

/// A strict container serves, recycles by its budget under load, is healthy, keeps core files away, and ends with 0.
fn serves(image: &str) -> Container {
    let budget =
        ["-e", "OSTLER_MAX_REQUESTS=300", "-e", "OSTLER_MAX_REQUESTS_JITTER=0", "-e", "OSTLER_MIN_AGE=1s"];
    let run = [&["run", "-d", "-p", "127.0.0.1::8000"], &STRICT[..], &budget, &[image]].concat();
    let container = Container(text(&docker(&run)));
    let address = text(&docker(&["port", &container.0, "8000/tcp"]));
    let port = address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    until("it answers", || {
        assert_eq!(inspect(&container.0, "{{.State.Running}}"), "true");
        answers(port)
    });
    both_workers_serve(port);
    let mut tally = Tally::default();
    until("it is recycled under load", || {
        // Requests without a pause would take the processor that the successor needs to boot.
        tally += load(port, 20, Connections::Fresh);
        log(&container.0).contains("generation-ended")
    });
    assert_eq!((tally.refused, tally.dropped), (0, 0), "{tally:?}");
    let told = log(&container.0);
    assert!(told.contains("the request budget is spent") && told.contains("handed-over"), "{told}");
    until("it is healthy", || inspect(&container.0, "{{.State.Health.Status}}") == "healthy");
    // A worker, by what it answers; its limits, by the only program
    // that both images have. A recycle may take it away meanwhile.
    let mut limits = String::new();
    until("a worker's limits are seen", || {
        let worker = answer(port).and_then(|told| serde_json::from_slice::<Value>(&told).ok());
        let Some(worker) = worker else { return false };
        let read = format!("print(open('/proc/{}/limits').read())", worker["pid"]);
        let output = container.exec(&["python3", "-c", &read]);
        limits = words(&output);
        output.status.success()
    });
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().rev().skip(1).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // The control: docker exec starts beside ostler, with what the container has.
    let own = "import resource; print(*resource.getrlimit(resource.RLIMIT_CORE))";
    assert_eq!(text(&container.exec(&["python3", "-c", own])), "-1 -1");
    text(&docker(&["stop", "-t", "45", &container.0]));
    assert_eq!(inspect(&container.0, "{{.State.ExitCode}}"), "0");
    let changes = text(&docker(&["diff", &container.0]));
    assert!(!changes.contains("core"), "{changes}");
    container
}

#[test]
#[ignore = "needs a Docker engine, and tests/deployed"]
fn the_ordinary_image_works_as_printed() {
    serves(&image("plain"));
}

#[test]
#[ignore = "needs a Docker engine, and tests/deployed"]
fn the_distroless_image_works_as_printed_and_has_no_shell() {
    let image = image("distroless");
    serves(&image);
    let run = |program: &str, arguments: &[&str]| {
        docker(&[&["run", "--rm", "--network=none", "--entrypoint", program, &image], arguments].concat())
    };
    let modules = "import bz2, ctypes, hashlib, lzma, readline, sqlite3, ssl, uuid, zlib; \
                   print(ssl.create_default_context().cert_store_stats()['x509_ca'] > 0)";
    assert_eq!(text(&run("python3", &["-c", modules])), "True");
    for program in ["sh", "/bin/sh", "pip", "apt-get"] {
        assert!(!run(program, &["--version"]).status.success(), "there is {program}");
    }
}

/// A Compose project, taken down with this.
struct Project {
    name: String,
    port: u16,
}

impl Project {
    fn compose(&self, arguments: &[&str]) -> Output {
        // The plug-in, or what there was before it.
        let plugin = docker(&["compose", "version"]).status.success();
        let mut compose = Command::new(if plugin { "docker" } else { "docker-compose" });
        compose
            .args(plugin.then_some("compose"))
            .args(["-p", &self.name, "-f", "docs/deploy/compose.yaml"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("IMAGE", image("plain"))
            .env("PORT", format!("127.0.0.1:{}", self.port));
        compose.output().expect("neither docker compose nor docker-compose is there")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.compose(&["down", "-t", "1"]);
    }
}

#[test]
#[ignore = "needs a Docker engine, and tests/deployed"]
fn the_compose_file_starts_serves_on_while_it_drains_and_stops_in_time() {
    let project = Project { name: format!("ostler-compose-{}", std::process::id()), port: free_port() };
    let port = project.port;
    text(&project.compose(&["config", "-q"]));
    text(&project.compose(&["up", "-d"]));
    let container = text(&project.compose(&["ps", "-q"]));
    until("it answers", || answers(port));
    until("it is healthy", || inspect(&container, "{{.State.Health.Status}}") == "healthy");
    let strict =
        inspect(&container, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Init}}");
    assert!(["true [ALL] <nil>", "true [ALL] <no value>"].contains(&&strict[..]), "{strict}");
    both_workers_serve(port);
    assert_eq!(text(&docker(&["exec", &container, "/ostler", "--recycle"])), "recycling generation 1");
    until("a successor has taken over", || log(&container).contains("generation-ended"));

    let start = Instant::now();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| text(&project.compose(&["stop"])));
        let (mut asked, mut answered) = (0, 0);
        until("it drains", || log(&container).contains(" draining: "));
        // As long as it does: what is answered and then followed by no `stopping` was answered meanwhile.
        until("requests are answered while it drains", || {
            let some = (0..10).filter(|_| answers(port)).count();
            let goes_on = !log(&container).contains(" stopping: ");
            if goes_on {
                (asked, answered) = (asked + 10, answered + some);
            }
            !goes_on || asked >= 100
        });
        assert!(asked > 0 && asked == answered, "{answered} of {asked}");
        stop.join().unwrap();
    });
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
    assert_eq!(inspect(&container, "{{.State.ExitCode}}"), "0", "{}", log(&container));
    assert!(!log(&container).contains("grace-expired"), "{}", log(&container));
}

/// A Swarm of this machine alone with one stack, left with this.
struct Swarm {
    stack: String,
    folder: Folder,
    bridge: bool,
}

/// The network that a Swarm makes beside its own, and leaves behind.
const BRIDGE: &str = "docker_gwbridge";

impl Swarm {
    fn new() -> Self {
        let state = text(&docker(&["info", "-f", "{{.Swarm.LocalNodeState}}"]));
        assert_eq!(state, "inactive", "the engine is in a Swarm that is not this test's");
        let bridge = docker(&["network", "inspect", BRIDGE]).status.success();
        let stack = format!("ostler-swarm-{}", std::process::id());
        let listen = format!("127.0.0.1:{}", free_port());
        let swarm = Self { stack, folder: Folder::new(), bridge };
        text(&docker(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", &listen]));
        swarm
    }

    /// The stack as printed, but for a small budget, a drain delay, health
    /// checks that a test can wait for, and a network that a client can join.
    fn deploy(&self, drain: &str) {
        let own = format!(
            "services: {{app: {{environment: {{OSTLER_MAX_REQUESTS: '250', OSTLER_MAX_REQUESTS_JITTER: '50', \
             OSTLER_MIN_AGE: 1s, OSTLER_DRAIN_DELAY: {drain}}}, healthcheck: {{interval: 1s}}}}}}\n\
             networks: {{default: {{driver: overlay, attachable: true}}}}\n"
        );
        let file = self.folder.path("own.yaml");
        std::fs::write(&file, own).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy");
        let mut deploy = Command::new("docker");
        deploy
            .args(["stack", "deploy", "-c", "compose.yaml", "-c", "stack.yaml", "-c"])
            .arg(&file)
            .args(["--resolve-image=never", &self.stack])
            .current_dir(folder)
            .env("IMAGE", image("plain"))
            .env("PORT", free_port().to_string());
        text(&deploy.output().unwrap());
    }

    fn service(&self) -> String {
        format!("{}_app", self.stack)
    }

    /// What the service's tasks are in, of those that are to run or of those that are not.
    fn tasks(&self, desired: &str) -> Vec<String> {
        let filter = format!("desired-state={desired}");
        let states =
            docker(&["service", "ps", "-f", &filter, "--format", "{{.CurrentState}}", &self.service()]);
        text(&states).lines().map(|state| state.split(' ').next().unwrap().to_owned()).collect()
    }

    /// Three run, which are healthy (until then a task is "Starting"), and no other.
    fn settled(&self) -> bool {
        let ended = |state: &String| ["Shutdown", "Complete", "Failed"].contains(&state.as_str());
        self.tasks("running") == ["Running"; 3] && self.tasks("shutdown").iter().all(ended)
    }

    /// All three are replaced, one after another, under a load
    /// that goes on until there have been so many recycles in all.
    fn roll(&self, replace: impl FnOnce(), recycles: usize) -> (Value, Duration) {
        let load = Load::new(self);
        let (start, before) = (Instant::now(), self.tasks("shutdown").len());
        replace();
        until("three are replaced", || self.tasks("shutdown").len() == before + 3);
        until("all is settled", || self.settled());
        until("there are so many recycles", || self.recycles() >= recycles);
        let took = start.elapsed();
        (load.end(), took)
    }

    fn recycles(&self) -> usize {
        self.log().matches("handed-over").count()
    }

    /// Of each container by itself: `docker service logs` does not always come to an end.
    fn log(&self) -> String {
        self.containers().iter().map(|container| log(container)).collect()
    }

    /// Those that run, and those that have ended.
    fn containers(&self) -> Vec<String> {
        let label = format!("label=com.docker.stack.namespace={}", self.stack);
        let ids = docker(&["ps", "-aq", "-f", &label]);
        String::from_utf8_lossy(&ids.stdout).split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- tasks ---\n{}", words(&docker(&["service", "ps", "--no-trunc", &self.service()])));
            eprintln!("--- log ---\n{}", self.log());
        }
        docker(&["stack", "rm", &self.stack]);
        docker(&["swarm", "leave", "--force"]);
        // Its containers drain; nobody waits for that.
        for container in self.containers() {
            docker(&["rm", "-f", &container]);
        }
        if !self.bridge {
            docker(&["network", "rm", BRIDGE]);
        }
    }
}

/// A container of the stack's network that sends requests until it is told to end.
struct Load(Child);

impl Load {
    fn new(swarm: &Swarm) -> Self {
        let network = format!("{}_default", swarm.stack);
        let script = std::fs::read_to_string(fixture("fleet.py")).unwrap();
        let mut client = Command::new("docker");
        client
            .args([
                "run",
                "--rm",
                "-i",
                "--label",
                &swarm.stack,
                "--network",
                &network,
                "--entrypoint",
                "python3",
            ])
            .args([&image("plain"), "-c", &script, "tasks.app"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(client.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "under load\n");
        client.stdout = Some(stdout.into_inner());
        Self(client)
    }

    /// What came of its requests.
    fn end(mut self) -> Value {
        // docker's client passes it on; the end of its stdin does not always reach a container on a busy machine.
        support::kill(self.0.id(), 15);
        let mut stdout = BufReader::new(self.0.stdout.take().unwrap());
        let (sender, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut answer = String::new();
            sender.send(stdout.read_line(&mut answer).map(|_| answer))
        });
        let answer = answers.recv_timeout(LIMIT).expect("the load ends").unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Without stdin it ends.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs a Docker engine, and tests/deployed"]
fn a_swarm_of_three_is_rolled_and_recycled_under_load_without_a_failed_request() {
    let swarm = Swarm::new();
    // The control first: those without a drain delay are replaced by those that are as printed.
    swarm.deploy("0s");
    until("three run", || swarm.settled());
    let (without, took) = swarm.roll(|| swarm.deploy("10s"), 0);
    eprintln!("without a drain delay, in {took:?}: {without}");
    let before = swarm.recycles();
    let replace = || {
        text(&docker(&["service", "update", "--detach", "--force", &swarm.service()]));
    };
    let (with, took) = swarm.roll(replace, before + 3);
    let recycled = swarm.recycles() - before;
    eprintln!("with one of 10 s, in {took:?}, {recycled} times recycled: {with}");
    assert_eq!(with["failed"], 0, "{with}");
    assert!(with["answered"].as_u64() > Some(500) && with["servers"].as_u64() >= Some(6), "{with}");
    assert!(without["failed"].as_u64() > Some(0), "{without}");
}
