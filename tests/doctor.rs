//! `--doctor`: what it sees of a real container, a healthy one and one with all that can be wrong.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use support::{Folder, Namespace, OSTLER, Setup, children, eventually, eventually_some, kill, state};

/// `ostler --doctor` beside the others in a namespace, as `docker exec` starts it.
fn doctor(namespace: &Namespace, arguments: &[&str]) -> Output {
    let init = namespace.init().to_string();
    Command::new("nsenter")
        .args(["--target", &init, "--user", "--pid", "--mount", "--preserve-credentials"])
        .arg(format!("--wdns={}", namespace.folder.0.display()))
        .args([OSTLER, "--doctor"])
        .args(arguments)
        .env_clear()
        .env("SECRET_TOKEN", "hunter2-in-the-environment")
        .output()
        .unwrap()
}

/// Its JSON, and its exit status.
fn told(namespace: &Namespace, folder: &Path) -> (Value, i32) {
    let output = doctor(namespace, &["--json", folder.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}\n{error}"));
    (value, output.status.code().unwrap())
}

fn finding<'a>(told: &'a Value, name: &str) -> &'a Value {
    let findings = told["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name} in {told:#}"))
}

fn states(told: &Value) -> Vec<(&str, &str)> {
    let findings = told["findings"].as_array().unwrap().iter();
    findings.map(|finding| (finding["name"].as_str().unwrap(), finding["state"].as_str().unwrap())).collect()
}

/// What of this machine, and not of the test, needs attention: a disk that is nearly full, say.
const OF_THE_MACHINE: [&str; 6] = ["disk", "memory", "pids", "cpu", "open-files", "listening"];

fn attention(told: &Value) -> Vec<&str> {
    let states = states(told).into_iter();
    states
        .filter(|(name, state)| *state == "attention" && !OF_THE_MACHINE.contains(name))
        .map(|(name, _)| name)
        .collect()
}

/// A server of sorts below ostler.
fn container(script: &str) -> Namespace {
    let mut namespace = Setup::ostler(["sh", "-c", &format!("{script}\necho up; sleep 1000 & wait")]).start();
    namespace.wait_for_out("up");
    sleeps(&namespace);
    namespace
}

/// Waits until what the server starts is what it is to be.
fn sleeps(namespace: &Namespace) {
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    eventually("a child of the server sleeps", || {
        children(namespace.init()).into_iter().flat_map(children).any(|pid| name(pid) == "sleep\n")
    });
}

#[test]
fn a_healthy_container_needs_no_attention() {
    let namespace = container("");
    let (told, status) = told(&namespace, &namespace.folder.0);
    assert_eq!(attention(&told), [""; 0], "{told:#}");
    // What is of the machine may need it; nothing else may.
    assert_eq!(status == 1, states(&told).iter().any(|(_, state)| *state == "attention"), "{told:#}");
    let init = finding(&told, "pid-1");
    assert_eq!((&init["is_ostler"], &init["in_container"]), (&true.into(), &true.into()));
    assert_eq!(finding(&told, "orphans")["own_subreaper"], false);
    assert_eq!(finding(&told, "privileges")["no_new_privs"], 0);
    assert_eq!(finding(&told, "core-limit")["may_dump"], Value::Array(Vec::new()));
    assert!(finding(&told, "core-limit")["seen"].as_u64().unwrap() >= 2, "{told:#}");
    assert_eq!(finding(&told, "core-files")["count"], 0);
    assert!(finding(&told, "processes")["count"].as_u64().unwrap() >= 4, "{told:#}");
    let effective = finding(&told, "capabilities")["effective"].as_array().unwrap();
    assert!(effective.contains(&"sys_admin".into()), "{told:#}");
}

#[test]
fn the_table_is_for_people() {
    let namespace = container("");
    let output = doctor(&namespace, &[]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("\nok         pid-1         is ostler, in a container"), "{page}");
    assert!(page.contains(&format!("none below {}", namespace.folder.0.display())), "{page}");
    for line in page.lines() {
        assert!(line.chars().count() <= 100 || !line.trim().contains(' '), "{line}");
    }
    let everything = page + &String::from_utf8(doctor(&namespace, &["--json"]).stdout).unwrap();
    assert!(!everything.contains("hunter2"), "a value of the environment is told");
}

/// A program that aborts, in a folder of its own, with the limit as it is below ostler if `limit` says so.
fn abort(folder: &Path, environment: &[(&str, &str)]) {
    let script = "import os; os.abort()";
    let mut setup = Setup::ostler([
        "sh",
        "-c",
        "cd \"$0\" && exec \"$@\"",
        folder.to_str().unwrap(),
        "python3",
        "-c",
        script,
        "an argument",
    ]);
    for (name, value) in environment {
        setup = setup.env(name, value);
    }
    assert_eq!(setup.run().end(), 134);
}

#[test]
fn a_core_file_is_found_with_who_left_it() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(
        !pattern.starts_with(['|', '@', '/']),
        "this test wants core files in the folder of who dies: {pattern}"
    );
    let namespace = container("");
    let folder = namespace.folder.path("app");
    fs::create_dir(&folder).unwrap();

    // The control: with ostler's default none is left.
    abort(&folder, &[]);
    let (before, _) = told(&namespace, &namespace.folder.0);
    assert_eq!(finding(&before, "core-files")["count"], 0);

    abort(&folder, &[("OSTLER_ULIMIT_CORE", "unlimited")]);
    let (told, status) = told(&namespace, &namespace.folder.0);
    assert_eq!((attention(&told), status), (vec!["core-files"], 1), "{told:#}");
    let cores = finding(&told, "core-files");
    assert_eq!(cores["count"], 1);
    let core = &cores["files"][0];
    let (path, program) = (core["path"].as_str().unwrap(), core["program"].as_str().unwrap());
    assert!(path.starts_with(folder.to_str().unwrap()) && program.starts_with("python3"), "{core:#}");
    assert!(
        core["arguments"].as_str().unwrap().ends_with("-c import os; os.abort() an argument"),
        "{core:#}"
    );
    assert_eq!(core["bytes"], fs::metadata(path).unwrap().len());
    assert_eq!(cores["allocated_bytes"], core["allocated_bytes"]);
    assert!(core["time"].as_str().unwrap().starts_with("20"), "{core:#}");
    let page = String::from_utf8(doctor(&namespace, &[]).stdout).unwrap();
    assert!(page.contains(&format!("rm -- {path}")), "{page}");
    assert!(page.contains("OSTLER_ULIMIT_CORE is 0 by default"), "{page}");
}

#[test]
fn whoever_may_leave_a_core_is_told() {
    let mut namespace = Setup::ostler(["sh", "-c", "echo up; sleep 1000 & wait"])
        .env("OSTLER_ULIMIT_CORE", "unlimited")
        .start();
    namespace.wait_for_out("up");
    sleeps(&namespace);
    let (told, status) = told(&namespace, &namespace.folder.0);
    assert_eq!((attention(&told), status), (vec!["core-limit"], 1), "{told:#}");
    let may = finding(&told, "core-limit")["may_dump"].as_array().unwrap().clone();
    assert!(
        may.iter().any(|process| process["program"] == "sleep" && process["soft"] == "unlimited"),
        "{may:?}"
    );
    assert!(may.iter().all(|process| process["below_ostler"] == true), "{may:?}");
}

#[test]
fn a_zombie_and_a_stopped_process_are_told_and_gone_when_they_are() {
    // Its parent becomes another program, which does not know that it has a child.
    let namespace = container("sh -c 'true & exec sleep 900' &");
    let below = |pids: Vec<u32>| pids.into_iter().flat_map(children).collect::<Vec<_>>();
    let is_zombie = |pid: &u32| state(*pid) == Some('Z');
    eventually("a zombie below a process below the server", || {
        below(below(children(namespace.init()))).iter().any(is_zombie)
    });
    eventually("its parent is a sleep", || {
        let (told, _) = told(&namespace, &namespace.folder.0);
        finding(&told, "processes")["zombies"][0]["parent_program"] == "sleep"
    });
    let (told_of, status) = told(&namespace, &namespace.folder.0);
    assert_eq!((attention(&told_of), status), (vec!["processes"], 1), "{told_of:#}");
    let processes = finding(&told_of, "processes");
    assert_eq!(processes["zombies"].as_array().unwrap().len(), 1, "{processes:#}");
    assert!(
        processes["zombies"][0]["parent_pid"].as_u64().unwrap() > 1,
        "a pid of the namespace: {processes:#}"
    );
    assert_eq!(processes["stopped"], Value::Array(Vec::new()));

    let server = eventually_some("the server waits", || {
        children(namespace.init()).into_iter().find(|pid| state(*pid) == Some('S'))
    });
    kill(server, SIGSTOP);
    eventually("it is stopped", || state(server) == Some('T'));
    let (told_of, _) = told(&namespace, &namespace.folder.0);
    assert_eq!(finding(&told_of, "processes")["stopped"][0]["program"], "sh", "{told_of:#}");
    kill(server, SIGCONT);
    eventually("it goes on", || state(server) == Some('S'));
    let (told_of, _) = told(&namespace, &namespace.folder.0);
    assert_eq!(finding(&told_of, "processes")["stopped"], Value::Array(Vec::new()), "{told_of:#}");
}

/// signal(7).
const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;

#[test]
fn a_socket_is_told_with_who_holds_it() {
    let port = support::free_port();
    let script = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', PORT)); s.listen(9)\nprint('up', flush=True); time.sleep(1000)";
    let script = script.replace("PORT", &port.to_string());
    let mut namespace = Setup::ostler(["python3", "-c", &script]).start();
    namespace.wait_for_out("up");
    let waiting: Vec<_> =
        (0..8).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let (told, status) = told(&namespace, &namespace.folder.0);
    let listening = finding(&told, "listening");
    let socket = listening["sockets"].as_array().unwrap().iter();
    let address = format!("127.0.0.1:{port}");
    let socket = socket.into_iter().find(|socket| socket["address"] == address.as_str()).unwrap();
    assert_eq!((&socket["queue"], &socket["queue_limit"]), (&8.into(), &9.into()), "{socket:#}");
    assert!(socket["holders"][0]["program"].as_str().unwrap().starts_with("python3"), "{socket:#}");
    assert_eq!((listening["state"].as_str(), status), (Some("attention"), 1));
    drop(waiting);
}

/// The first bytes of a core file of 64 bits.
fn header() -> [u8; 64] {
    let mut header = [0; 64];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    header[16] = 4;
    header[32] = 64;
    header[54] = 56;
    header[56] = 1;
    header
}

#[test]
fn a_hostile_folder_neither_holds_it_up_nor_leads_it_astray() {
    let namespace = container("");
    let folder = namespace.folder.path("app");
    fs::create_dir(&folder).unwrap();
    let outside = Folder::new();
    fs::write(outside.path("core"), header()).unwrap();
    for fifo in ["core", "core.1"] {
        assert!(Command::new("mkfifo").arg(folder.join(fifo)).status().unwrap().success());
    }
    symlink(&folder, folder.join("loop")).unwrap();
    symlink(&outside.0, folder.join("away")).unwrap();
    symlink(outside.path("core"), folder.join("core.2")).unwrap();
    symlink("/dev/zero", folder.join("core.3")).unwrap();
    std::os::unix::net::UnixListener::bind(folder.join("core.4")).unwrap();
    fs::write(folder.join("cut"), &header()[..17]).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::copy(OSTLER, folder.join("core.program")).unwrap();
    let mut deep = folder.clone();
    for _ in 0..60 {
        deep.push("deeper");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("core"), header()).unwrap();

    let (none, _) = told(&namespace, &folder);
    let cores = finding(&none, "core-files");
    assert_eq!(
        (&cores["count"], &cores["bound"], &cores["bound_at"]),
        (&0.into(), &"depth".into(), &40.into())
    );
    assert_eq!((&cores["state"], &cores["unreadable"]), (&"note".into(), &0.into()), "{cores:#}");

    // Core files all of them, that lie about all else; one has a terabyte of holes, one a name that clears the screen.
    let mut lie = header();
    lie[32..].fill(0xff);
    lie[54..56].copy_from_slice(&56_u16.to_le_bytes());
    let mut endless = header().to_vec();
    endless.extend([4, 0, 0, 0, 0, 0, 0, 0, 120, 0, 0, 0, 0, 0, 0, 0]);
    endless.extend([0; 16]);
    endless.extend([0xff; 8]);
    endless.resize(8 << 20, 0);
    for (name, bytes) in [("lie", &lie[..]), ("\u{1b}[2Jcore\n", &header()[..]), ("endless", &endless)] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let mut sparse = File::create(folder.join("sparse")).unwrap();
    sparse.write_all(&header()).unwrap();
    sparse.seek(SeekFrom::Start((1 << 40) - 1)).unwrap();
    sparse.write_all_at(b"x", (1 << 40) - 1).unwrap();

    let (told, status) = told(&namespace, &folder);
    let cores = finding(&told, "core-files");
    assert_eq!((cores["count"].as_u64(), status), (Some(4), 1), "{cores:#}");
    let length = (1_u64 << 40) + 64 + 64 + (8 << 20);
    assert_eq!(cores["bytes"], length, "{cores:#}");
    assert!(cores["allocated_bytes"].as_u64().unwrap() < 20 << 20, "{cores:#}");
    let files = cores["files"].as_array().unwrap();
    assert!(files.iter().all(|file| file["program"].is_null()), "{cores:#}");
    let page = doctor(&namespace, &[folder.to_str().unwrap()]).stdout;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains(r"\u{1b}[2Jcore\n") && !page.contains('\u{1b}'), "{page}");
    assert!(page.contains("folders 40 deep were not entered"), "{page}");
}

#[test]
fn without_proc_it_tells_what_it_can() {
    let script = "mount -t tmpfs none /proc && exec \"$0\" --doctor --json .";
    let mut namespace = Setup::new("unshare", ["--mount", "sh", "-c", script, OSTLER]).run();
    let (status, out) = (namespace.end(), namespace.out());
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}"));
    assert_eq!(attention(&told), [""; 0], "{told:#}");
    assert_eq!(status == 1, states(&told).iter().any(|(_, state)| *state == "attention"));
    for name in [
        "pid-1",
        "privileges",
        "capabilities",
        "core-limit",
        "core-pattern",
        "memory",
        "processes",
        "listening",
    ] {
        assert_eq!(finding(&told, name)["state"], "unknown", "{told:#}");
        assert!(finding(&told, name)["message"].as_str().unwrap().contains("/proc"), "{told:#}");
    }
    assert_eq!(finding(&told, "core-files")["count"], 0);
}

#[test]
fn a_folder_that_is_none_is_one_line() {
    for (folder, cure) in [("/nonexistent", "No such file"), ("/dev/null", "write a folder")] {
        let err = support::refused(&[], &["--doctor", folder]);
        assert!(err.starts_with(&format!("ostler: --doctor {folder}")) && err.contains(cure), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

/// A pipe that is full, and ostler before it; SIGTERM once it waits there.
const BREAK_OFF: &str = "
import os, subprocess, sys, time
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True:
        os.write(w, b'x' * 4096)
except BlockingIOError:
    os.set_blocking(w, True)
doctor = subprocess.Popen([sys.argv[1], '--doctor'], stdout=w)
while 'pipe' not in open(f'/proc/{doctor.pid}/wchan').read():
    time.sleep(0.01)
doctor.terminate()
print(doctor.wait())
";

#[test]
fn it_can_be_broken_off() {
    let mut namespace = Setup::ostler(["python3", "-c", BREAK_OFF, OSTLER]).start();
    assert_eq!((namespace.end(), namespace.out().trim()), (0, "-15"), "{}", namespace.err());
}
