//! ostler in real containers. Needs a Docker engine, so these are ignored until they are asked for; .ci/run asks where an
//! engine answers.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(1);

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image with nothing but ostler and busybox; removed with this.
struct Image(String);

impl Image {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ostler-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_ostler"), folder.join("ostler")).unwrap();
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "busybox is missing: apt-get install busybox-static (tests/setup does it)");
        fs::copy(busybox, folder.join("busybox")).unwrap();
        fs::copy(busybox, folder.join("sh")).unwrap();
        compile(&folder.join("server"));
        fs::write(folder.join("passwd"), "app:x:1000:1000::/:/sh\n").unwrap();
        let dockerfile = "FROM scratch\nCOPY ostler busybox sh server /\nCOPY passwd /etc/\nENTRYPOINT [\"/ostler\", \"--\"]\n";
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        text(&docker(&["build", "-q", "-t", &name, folder.to_str().unwrap()]));
        fs::remove_dir_all(&folder).unwrap();
        Self(name)
    }

    /// A container that runs a shell script under ostler; removed with it.
    fn run(&self, options: &[&str], script: &str) -> Container {
        let command = [&["run", "-d"], options, &[&self.0, "/sh", "-c", script]].concat();
        Container(text(&docker(&command)))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "-f", &self.0]);
    }
}

struct Container(String);

impl Container {
    fn log(&self) -> String {
        let output = docker(&["logs", &self.0]);
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    fn wait_for_log(&self, words: &str) {
        let start = Instant::now();
        while !self.log().contains(words) {
            assert!(start.elapsed() < LIMIT, "no {words:?} in {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    fn exit_status(&self) -> String {
        text(&docker(&["wait", &self.0]))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.0]);
    }
}

/// The server that takes the socket it is handed, as one static file.
fn compile(to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.rs");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-C", "target-feature=+crt-static", "-o"]).arg(to).arg(source);
    text(&rustc.output().unwrap());
}

/// As little as a container can have.
const STRICT: [&str; 8] = [
    "--user=1000",
    "--cap-drop=ALL",
    "--read-only",
    "--security-opt=no-new-privileges",
    "--network=none",
    "--memory=32m",
    "--pids-limit=16",
    "--ulimit=core=-1",
];

#[test]
#[ignore = "needs a Docker engine"]
fn in_a_strict_container_it_limits_cores_and_ends_with_the_childs_status() {
    let image = Image::new();
    let container = image.run(&STRICT, "ulimit -Sc; ulimit -Hc; exit 5");
    assert_eq!(container.exit_status(), "5");
    assert!(container.log().contains("0\n0\n"), "{}", container.log());
    // The control: without ostler the limit is what the container has.
    let control = [&STRICT[..], &["--entrypoint=/busybox"]].concat();
    let output = docker(&[&["run", "--rm"], &control[..], &[&image.0, "sh", "-c", "ulimit -Sc"]].concat());
    assert_eq!(text(&output), "unlimited");
}

#[test]
#[ignore = "needs a Docker engine"]
fn docker_stop_is_passed_on_and_what_ignores_it_is_killed() {
    let image = Image::new();
    let polite = image
        .run(&STRICT, "trap 'echo asked; exit 6' TERM; echo ready; while :; do /busybox sleep 0.1; done");
    polite.wait_for_log("ready");
    text(&docker(&["stop", "-t", "30", &polite.0]));
    assert_eq!(polite.exit_status(), "6");
    assert!(polite.log().contains("asked"));

    let options = [&STRICT[..], &["--env=OSTLER_GRACE_PERIOD=200ms"]].concat();
    let deaf = image.run(&options, "trap '' TERM; echo ready; while :; do /busybox sleep 0.1; done");
    deaf.wait_for_log("ready");
    text(&docker(&["stop", "-t", "30", &deaf.0]));
    assert_eq!(deaf.exit_status(), "137");
    assert!(deaf.log().contains("grace-expired"), "{}", deaf.log());
}

#[test]
#[ignore = "needs a Docker engine"]
fn where_nothing_can_be_forked_it_waits_and_still_stops() {
    let image = Image::new();
    let container = image.run(&["--pids-limit=1"], "exit 5");
    container.wait_for_log("retry_in_s=0.4");
    assert!(container.log().contains("cannot fork"), "{}", container.log());
    text(&docker(&["stop", "-t", "30", &container.0]));
    assert_eq!(container.exit_status(), "143");
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_child_of_another_user_that_cannot_be_signalled_is_told_of() {
    let image = Image::new();
    let options = ["--cap-drop=KILL", "--env=OSTLER_GRACE_PERIOD=200ms"];
    let script = "exec /busybox start-stop-daemon -S -c app -x /sh -- \
                  -c 'echo ready; while :; do /busybox sleep 0.1; done'";
    let container = image.run(&options, script);
    container.wait_for_log("ready");
    text(&docker(&["stop", "-t", "30", &container.0]));
    // It cannot be killed either; the end of PID 1 does it.
    assert_eq!(container.exit_status(), "137");
    assert_eq!(container.log().matches("signal-refused").count(), 1, "{}", container.log());
    assert!(container.log().contains("give ostler CAP_KILL"));
}

#[test]
#[ignore = "needs a Docker engine"]
fn behind_dockers_own_init_it_is_a_sub_reaper() {
    let image = Image::new();
    let container = image.run(&["--init"], "exit 7");
    assert_eq!(container.exit_status(), "7");
    assert!(container.log().contains("subreaper"), "{}", container.log());
}

/// What the server of a container answers, asked from inside it.
fn answer(container: &Container) -> String {
    let output =
        docker(&["exec", &container.0, "/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8000/"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Recycles a container's server by hand, and waits until the successor has taken over and the other one is gone.
fn hand_over(container: &Container) {
    container.wait_for_log("ready");
    let before = answer(container);
    let told = text(&docker(&["exec", &container.0, "/ostler", "--recycle"]));
    assert_eq!(told, "recycling generation 1");
    container.wait_for_log("generation-ended");
    assert!(container.log().contains("handed-over"), "{}", container.log());
    let after = answer(container);
    assert!(!before.is_empty() && !after.is_empty() && before != after, "{before} {after}");
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_handover_needs_no_privilege() {
    let image = Image::new();
    let v4 = "--env=OSTLER_LISTEN=0.0.0.0:8000";
    for (options, listen) in [
        (&[][..], v4),
        (&STRICT, v4),
        (&["--cap-drop=ALL"], v4),
        (&["--network=none"], v4),
        (&["--user=65534"], v4),
        // With IPv6, and as Docker is without it: [::] can be listened on, and there is no ::1.
        (&["--sysctl=net.ipv6.conf.all.disable_ipv6=0"], "--env=OSTLER_LISTEN=[::]:8000"),
        (&["--sysctl=net.ipv6.conf.all.disable_ipv6=1"], "--env=OSTLER_LISTEN=[::]:8000"),
    ] {
        let container = image.run(&[options, &[listen]].concat(), "exec /server");
        hand_over(&container);
        assert!(!container.log().contains("socket-shared"), "{options:?}: {}", container.log());
        text(&docker(&["stop", "-t", "30", &container.0]));
        assert_eq!(container.exit_status(), "143", "{options:?}: {}", container.log());
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_neighbour_in_the_same_network_cannot_recycle() {
    let image = Image::new();
    let container = image.run(&["--env=OSTLER_LISTEN=0.0.0.0:8000"], "exec /server");
    container.wait_for_log("ready");
    let network = format!("--network=container:{}", container.0);
    let ask = |options: &[&str]| {
        let command =
            [&["run", "--rm", "--entrypoint=/ostler", &network], options, &[&image.0, "--recycle"]].concat();
        docker(&command).status.code()
    };
    // All abstract names are its too, but not the PID namespace by which this one is called.
    assert_eq!(ask(&[]), Some(1));
    assert!(!container.log().contains("recycle-started"), "{}", container.log());
    // The control: who shares the PID namespace too is in the container.
    let pid = format!("--pid=container:{}", container.0);
    assert_eq!(ask(&[&pid]), Some(0));
    container.wait_for_log("handed-over");
    // But no other user.
    assert_eq!(ask(&[&pid, "--user=1000"]), Some(1));
}

#[test]
#[ignore = "needs a Docker engine"]
fn workers_of_another_user_that_cannot_be_seen_are_told_of() {
    let image = Image::new();
    let listen = "--env=OSTLER_LISTEN=0.0.0.0:8000";
    let script = "exec /busybox su -s /sh app -c 'exec /server'";
    let unseen = "cannot be seen: give ostler CAP_SYS_PTRACE";
    let container = image.run(&[listen], script);
    hand_over(&container);
    assert!(container.log().contains(unseen), "{}", container.log());
    // The control: with it they can.
    let container = image.run(&[listen, "--cap-add=SYS_PTRACE"], script);
    hand_over(&container);
    assert!(!container.log().contains(unseen), "{}", container.log());
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_share_of_memory_is_of_the_containers_limit() {
    let image = Image::new();
    let share = "--env=OSTLER_MAX_MEMORY=50%";
    let container = image.run(&["--memory=64m", share], "exec /busybox sleep 60");
    container.wait_for_log("max_memory=33554432");
    // The control: without a limit there is nothing to have a share of.
    let container = image.run(&[share], "exec /busybox sleep 60");
    assert_eq!(container.exit_status(), "1");
    assert!(container.log().contains("no memory limit"), "{}", container.log());
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_program_that_holds_too_much_memory_is_recycled() {
    let image = Image::new();
    let options = ["--memory=64m", "--env=OSTLER_MAX_MEMORY=25%", "--env=OSTLER_MIN_AGE=1s"];
    // A shell variable of 24 MB, after a while; a shell becomes its last command.
    let script = "/busybox sleep 2; x=$(/busybox head -c 24000000 /dev/zero | /busybox tr '\\0' x); /busybox sleep 60; :";
    let container = image.run(&options, script);
    container.wait_for_log("the memory budget is spent");
    container.wait_for_log("generation=2");
}
