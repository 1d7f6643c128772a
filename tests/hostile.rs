//! Whoever floods, forges or lies: signals still go through, the dead are reaped,
//! ostler does not grow, and what comes of it is at most an early recycle.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::load::both_workers_serve;
use support::recycles::{USR2, recycle};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, eventually, fixture, free_port, rss_anon, state};

/// An attack from `hostile.py`, inside of a namespace or beside it. Ends with this.
struct Attack(Child);

impl Attack {
    /// By a process of the container (`docker exec`).
    fn inside(namespace: &Namespace, arguments: &[&str]) -> Self {
        let init = namespace.init().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--user", "--pid", "--mount", "--preserve-credentials", "python3"]);
        Self::spawn(command.arg(fixture("hostile.py")).args(arguments))
    }

    /// By one of another user, where there are others.
    fn of_another_user(namespace: &Namespace, arguments: &[&str]) -> Self {
        let init = namespace.init().to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &init,
            "--pid",
            "--mount",
            "setpriv",
            "--reuid",
            "12345",
            "--clear-groups",
        ]);
        Self::spawn(command.arg("/usr/bin/python3").arg(fixture("hostile.py")).args(arguments))
    }

    /// By a neighbour, with which the network is shared and nothing else.
    fn beside(arguments: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "python3",
        ]);
        Self::spawn(command.arg(fixture("hostile.py")).args(arguments))
    }

    /// Waits until it has begun.
    fn spawn(command: &mut Command) -> Self {
        let mut attack = Self(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(attack.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
        attack
    }

    fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// KiB of memory of its own that ostler may have, whatever is done to it.
const MOST_MEMORY: u64 = 4096;

/// Prints what it hears, leaves an orphan at USR1, and ends with 7 at TERM.
const CHILD: &str = "trap 'echo heard' HUP; trap '(sleep 0.01 &)' USR1; trap 'exit 7' TERM; echo ready; \
                     while :; do sleep 0.05; done";

/// As long as the attack goes on, ostler does what it is for; and it stops when it is told to.
fn holds_out(namespace: &mut Namespace, attack: &mut Attack, what: &str) {
    let descriptors = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let init = namespace.init();
    let before = descriptors(init);
    for round in 1..=3 {
        eventually(&format!("{what}: HUP is passed on"), || {
            namespace.signal(1);
            namespace.out().matches("heard").count() >= round
        });
        let reaped = namespace.events("orphan-reaped").len();
        eventually(&format!("{what}: an orphan is reaped"), || {
            namespace.signal(10);
            namespace.events("orphan-reaped").len() > reaped
        });
    }
    assert!(attack.goes_on(), "{what}: the attack has ended by itself");
    let memory = rss_anon(init);
    assert!(memory < MOST_MEMORY, "{what}: {memory} KiB");
    // While it measures it has more of them.
    eventually(&format!("{what}: descriptors"), || descriptors(init) <= before + 1);
    namespace.signal(15);
    assert_eq!(namespace.end(), 7, "{what}: {}", namespace.err());
    assert!(namespace.events("grace-expired").is_empty(), "{what}");
}

fn child() -> Setup {
    Setup::new(OSTLER, ["-v", "--", "/bin/busybox", "sh", "-c", CHILD])
}

#[test]
fn a_flood_of_commands_is_no_storm() {
    for kind in ["control-descriptors", "control-garbage", "control-pages"] {
        let mut namespace = child().start();
        namespace.wait_for_out("ready");
        let mut attack = Attack::inside(&namespace, &[kind]);
        holds_out(&mut namespace, &mut attack, kind);
        assert!(namespace.events("recycle-started").is_empty(), "{kind}");
    }
    // Root's are orders, one after the other.
    let port = free_port();
    let command = Version::New.command("gthread");
    let setup = Setup::ostler(command).env("OSTLER_LISTEN", format!("127.0.0.1:{port}"));
    let mut namespace = setup.env("OSTLER_LINGER", "0").start();
    both_workers_serve(port);
    let mut attack = Attack::inside(&namespace, &["control"]);
    let init = namespace.init();
    eventually("two are obeyed", || {
        assert!(support::children(init).len() <= 2, "two generations at most");
        assert!(rss_anon(init) < MOST_MEMORY);
        namespace.events("handed-over").len() >= 2
    });
    assert!(attack.goes_on());
    namespace.signal(15);
    assert_eq!(namespace.end(), 0, "{}", namespace.events("generation-ended").concat());
}

#[test]
fn a_flood_of_another_user_s_commands_is_none() {
    let mut namespace = Setup::rooted(OSTLER, ["-v", "--", "/bin/busybox", "sh", "-c", CHILD]).start();
    namespace.wait_for_out("ready");
    let mut attack = Attack::of_another_user(&namespace, &["control"]);
    holds_out(&mut namespace, &mut attack, "another user");
    assert!(namespace.events("recycle-started").is_empty());
}

#[test]
fn another_user_and_a_neighbour_order_nothing() {
    let mut namespace = Setup::rooted(OSTLER, ["--", "/bin/busybox", "sh", "-c", CHILD]).start();
    namespace.wait_for_out("ready");
    let answer = |user: &[&str]| {
        let init = namespace.init().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--pid", "--mount"]).args(user).arg(OSTLER).arg("--recycle");
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    // It gives up after five seconds, which may be too few on a busy machine.
    let is_told = |user: &[&str], words: &str| eventually(words, || answer(user).contains(words));
    is_told(&["setpriv", "--reuid", "12345", "--clear-groups"], "only root and ostler's own user");
    // It knows the name of the socket, which is in the network that they share.
    let name = format!(
        "ostler-control/{}",
        fs::read_link(format!("/proc/{}/ns/pid", namespace.init())).unwrap().display()
    );
    let mut neighbour = Attack::beside(&["control-by-name", &name]);
    eventually("the neighbour has sent enough", || !neighbour.goes_on());
    assert!(namespace.events("recycle-started").is_empty());
    // The control: root of the container is heard.
    is_told(&[], "recycling generation 1");
    namespace.signal(15);
    namespace.end();
}

#[test]
fn a_flood_of_words_is_drained() {
    let setup = Setup::new(
        OSTLER,
        ["-v", "--", "/bin/busybox", "sh", "-c", &format!("echo $NOTIFY_SOCKET >name; {CHILD}")],
    );
    let mut namespace = setup.env("OSTLER_READY", "notify").start();
    namespace.wait_for_out("ready");
    let name = namespace.folder.read("name");
    let mut attack = Attack::inside(&namespace, &["notify", name.trim()]);
    holds_out(&mut namespace, &mut attack, "notify");
}

#[test]
fn forged_counts_recycle_early_and_no_more_often_than_the_minimum_age() {
    let port = free_port();
    let mut namespace = Setup::ostler(Version::New.command("gthread"))
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_MAX_REQUESTS", "1000000")
        .env("OSTLER_MIN_AGE", "4s")
        .start();
    both_workers_serve(port);
    // All that a neighbour has to know is in /proc/net/udp.
    let mut attack = Attack::beside(&["statsd"]);
    eventually("three recycles", || namespace.events("handed-over").len() >= 3);
    assert!(attack.goes_on());
    drop(attack);
    for recycle in namespace.events("recycle-started") {
        let age = recycle.split("age_s=").nth(1).unwrap().split(' ').next().unwrap();
        assert!(age.parse::<f64>().unwrap() >= 4.0, "{recycle}");
    }
    assert!(rss_anon(namespace.init()) < MOST_MEMORY);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
}

/// Bytes, since it has begun (proc(5), /proc/PID/io).
fn has_read(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn a_line_without_an_end_and_garbage_are_not_kept() {
    for kind in ["endless", "garbage", "requests"] {
        let attack = fixture("hostile.py");
        let script = format!("trap 'exit 7' TERM; python3 {} {kind} & {CHILD}", attack.display());
        let mut namespace = Setup::new(OSTLER, ["-v", "--", "/bin/busybox", "sh", "-c", &script])
            .env("OSTLER_MAX_REQUESTS", "1000000000")
            .env("OSTLER_COUNT", "stdout")
            .output(&fs::File::options().write(true).open("/dev/null").unwrap())
            .start();
        let init = namespace.init();
        // Its output is not kept anywhere, so the kernel is asked how much it has read.
        eventually("the flood goes on", || {
            assert!(rss_anon(init) < MOST_MEMORY, "{kind}: {} KiB", rss_anon(init));
            has_read(init) > 100 << 20
        });
        namespace.signal(15);
        assert_eq!(namespace.end(), 7, "{kind}");
        assert!(state(init).is_none());
    }
}

#[test]
fn names_that_lie_break_no_line_of_the_log() {
    // They outlive the leader, which ends when they have their names, and so are named in the last sweep.
    let attack = fixture("hostile.py");
    let script =
        format!("setsid python3 {} names & until [ -e named-2 ]; do sleep 0.02; done", attack.display());
    for format in ["text", "json"] {
        let mut namespace = Setup::new(OSTLER, ["-v", "--", "sh", "-c", &script])
            .env("OSTLER_LOG", format)
            .env("OSTLER_GRACE_PERIOD", "2s")
            .start();
        namespace.end();
        let log = namespace.err();
        assert!(
            log.contains("others-killed") && log.contains("R 1 1 1"),
            "the control: they are named: {log}"
        );
        assert!(!log.contains('\u{1b}') && !log.contains("\nforged"), "{log}");
        let ours = |line: &str| line.starts_with("{\"time\":\"2") || line.contains("Z ostler ");
        assert!(log.lines().all(ours), "{log}");
    }
}

#[test]
fn a_pid_file_that_lies_is_not_believed_and_holds_nobody_up() {
    let lies =
        ["mkfifo pid", "ln -s /dev/zero pid", "echo 1 >pid", "echo 0 >pid", "echo -1 >pid", "mkdir pid"];
    // At once: each is looked for as long as a daemon may take to write it.
    let namespaces = lies.map(|make| {
        let setup = Setup::new(OSTLER, ["--", "sh", "-c", make]);
        let file = setup.folder().path("pid");
        (make, setup.env("OSTLER_PIDFILE", &file).start())
    });
    for (make, mut namespace) in namespaces {
        assert_eq!(namespace.end(), 0, "{make}: {}", namespace.err());
        assert_eq!(namespace.events("nobody-to-follow").len(), 1, "{make}: {}", namespace.err());
    }
}

#[test]
fn a_crowd_is_looked_over_and_takes_nothing() {
    let mut namespace = child().env("OSTLER_MAX_MEMORY", "1000TiB").start();
    namespace.wait_for_out("ready");
    let mut attack = Attack::inside(&namespace, &["crowd"]);
    holds_out(&mut namespace, &mut attack, "crowd");
    let log = namespace.err();
    assert!(log.contains("others-left") && log.lines().all(|line| line.contains("Z ostler ")), "{log}");
}

#[test]
fn no_health_answer_takes_over_but_a_healthy_one() {
    for answer in ["header", "drip", "silent", "garbage", "forged", "healthy"] {
        let fixture = fixture("hostile.py");
        let command = ["python3", fixture.to_str().unwrap(), "health", answer];
        // Whoever is to fail fails by it.
        let ready_timeout = if answer == "healthy" { "60s" } else { "3s" };
        let mut namespace = Setup::ostler(command)
            .env("OSTLER_LISTEN", format!("127.0.0.1:{}", free_port()))
            .env("OSTLER_HEALTH_PATH", "/healthz")
            .env("OSTLER_READY_TIMEOUT", ready_timeout)
            .start();
        namespace.wait_for_out("ready");
        namespace.signal(USR2);
        let (expected, other) = match answer {
            "healthy" => ("handed-over", "handover-failed"),
            _ => ("handover-failed", "handed-over"),
        };
        eventually(&format!("{answer}: {expected}"), || {
            assert!(rss_anon(namespace.init()) < MOST_MEMORY, "{answer}");
            namespace.events(expected).len() == 1
        });
        assert!(namespace.events(other).is_empty(), "{answer}: {}", namespace.err());
        namespace.signal(1);
        namespace.wait_for_out("heard");
        namespace.signal(15);
        assert_eq!(namespace.end(), 7, "{answer}");
        let harmless = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
        let told = namespace.events(expected).concat().replace('\u{fffd}', "?");
        assert!(told.chars().all(|c| harmless(c) || answer == "garbage" && !c.is_control()), "{told}");
    }
}

#[test]
fn a_pid_file_that_is_a_terminal_does_not_become_ostlers() {
    let fixture = fixture("hostile.py");
    let command = [OSTLER, "--", "python3", fixture.to_str().unwrap(), "terminal"];
    // Of a session of its own without a terminal, as in a container: the first one that it opens would become its own.
    let setup = Setup::new("setsid", command);
    let file = setup.folder().path("pid");
    let mut namespace = setup.env("OSTLER_PIDFILE", &file).start();
    let init = namespace.init();
    let executes = || fs::read_link(format!("/proc/{init}/exe")).ok();
    eventually("it has a session of its own", || executes().is_some_and(|exe| exe == Path::new(OSTLER)));
    while !namespace.ended() {
        let stat = fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
        let terminal = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4));
        assert!(terminal.is_none_or(|number| number == "0"), "{stat}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(namespace.events("nobody-to-follow").len(), 1, "{}", namespace.err());
    assert!(fs::symlink_metadata(file).unwrap().is_symlink());
}

#[test]
fn jobs_that_every_generation_leaves_behind_do_not_take_all_descriptors() {
    let script = "trap 'exit 0' TERM; setsid sh -c 'echo left; exec sleep 300' & \
                  echo up; while :; do sleep 0.02; done";
    let mut namespace = Setup::ostler(["sh", "-c", script])
        .env("OSTLER_SIGNALS", "USR2=@recycle")
        .env("OSTLER_MAX_REQUESTS", "1000000")
        .env("OSTLER_COUNT", "stdout")
        .start();
    namespace.wait_for_out("up");
    let init = namespace.init();
    let descriptors = || fs::read_dir(format!("/proc/{init}/fd")).unwrap().count();
    let before = descriptors();
    // Not before the job has a session of its own, and the next shell its trap.
    let recycle = |namespace: &mut Namespace, from: usize, to: usize| {
        for number in from..to {
            recycle(namespace, 1);
            eventually("the next one has left its job behind", || {
                let out = namespace.out();
                ["up\n", "left\n"].iter().all(|word| out.matches(word).count() > number + 1)
            });
        }
    };
    eventually("a job is left behind", || namespace.out().contains("left\n"));
    recycle(&mut namespace, 0, 20);
    assert!(descriptors() >= before + 15, "the control: {} after {before}", descriptors());
    recycle(&mut namespace, 20, 50);
    assert!(descriptors() <= before + 34, "{} after {before}", descriptors());
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
}

#[test]
fn a_signal_in_the_last_moments_does_not_keep_it_from_its_end() {
    // The moment is short, and so are the lives.
    for _ in 0..60 {
        let mut namespace = child().start();
        namespace.wait_for_out("ready");
        let init = nix::unistd::Pid::from_raw(namespace.init().cast_signed());
        let start = Instant::now();
        nix::sys::signal::kill(init, Signal::SIGTERM).unwrap();
        while !namespace.ended() && start.elapsed() < support::LIMIT {
            // WINCH, which nobody minds.
            for _ in 0..1000 {
                let _ = nix::sys::signal::kill(init, Signal::SIGWINCH);
            }
        }
        assert_eq!(namespace.end(), 7);
    }
}
