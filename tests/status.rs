//! What goes on, as `--status`, `--health`, `--metrics` and the
//! metrics that go out by themselves tell it: of real servers.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;
use std::fs;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::load::{Connections, load};
use support::recycles::{held, stop};
use support::terminal::{CTRL_C, Terminal};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, eventually, eventually_some, free_port};

/// Runs ostler beside the one of this namespace, as `docker exec` does.
fn exec(namespace: &Namespace, arguments: &[&str]) -> Output {
    exec_as(namespace, &[], arguments)
}

fn exec_as(namespace: &Namespace, before: &[&str], arguments: &[&str]) -> Output {
    let init = namespace.init().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--target", &init, "--user", "--preserve-credentials", "--pid", "--mount"]);
    command.args(before).arg(OSTLER).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it answers as soon as it does: within five seconds it may not, on a busy machine.
fn shown(namespace: &Namespace, arguments: &[&str]) -> String {
    eventually_some("it answers", || {
        let output = exec(namespace, arguments);
        output.status.success().then(|| text(&output))
    })
}

/// `Null` as long as nobody answers.
fn status(namespace: &Namespace) -> Value {
    let output = exec(namespace, &["--status", "--json"]);
    if output.status.success() { serde_json::from_slice(&output.stdout).unwrap() } else { Value::Null }
}

/// What `--health` ends with, and what it says.
fn health(namespace: &Namespace) -> (Option<i32>, String) {
    let output = exec(namespace, &["--health"]);
    (output.status.code(), text(&output).trim().to_owned())
}

#[test]
fn status_knows_what_was_sent_and_what_was_recycled() {
    let port = free_port();
    let mut namespace = held(Version::New.command("sync"), port)
        .env("OSTLER_MAX_REQUESTS", "200")
        .env("OSTLER_MAX_AGE", "1h")
        .env("OSTLER_MIN_AGE", "1s")
        .start();
    eventually("both workers serve", || health(&namespace) == (Some(0), "healthy".into()));
    load(port, 250, Connections::Fresh);
    eventually("the recycle is over", || {
        let status = status(&namespace);
        status["generations"][0]["generation"] == 2
            && status["generations"].as_array().map(Vec::len) == Some(1)
    });
    load(port, 30, Connections::Fresh);
    // Datagrams are taken now and then.
    eventually("all are counted", || status(&namespace)["totals"]["requests"] == 280);
    let all: Value = serde_json::from_str(&shown(&namespace, &["--status", "--json"])).unwrap();
    for (path, expected) in [
        ("/state", Value::from("serving")),
        ("/healthy", true.into()),
        ("/counting", "statsd".into()),
        ("/listening/0", format!("127.0.0.1:{port}").into()),
        ("/workers/serving", 2.into()),
        ("/generations/0/max_requests", 200.into()),
        ("/generations/0/max_age_s", 3600.0.into()),
        ("/recycles/0/reason", "requests".into()),
        ("/recycles/0/result", "done".into()),
        ("/totals/recycles", 1.into()),
        ("/totals/recycles_failed", 0.into()),
    ] {
        assert_eq!(all.pointer(path), Some(&expected), "{path} in {all:#}");
    }
    let first = all["recycles"][0]["used"].as_u64().unwrap();
    assert!(first >= 200, "{all:#}");
    // Measured by who asks: it has no budget of that.
    assert!(all["generations"][0]["memory"].as_u64().unwrap() > 1 << 20, "{all:#}");
    let page = shown(&namespace, &["--status"]);
    for words in
        ["serving, healthy", "generation   2: incumbent", "2 of 2 workers serve", "done in", "of 200"]
    {
        assert!(page.contains(words), "{words} in {page}");
    }
    let figures = shown(&namespace, &["--metrics"]);
    for line in [
        "ostler_requests_total 280\n",
        "ostler_recycles_total 1\n",
        "ostler_generation 2\n",
        "ostler_healthy 1\n",
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    stop(&mut namespace);
}

#[test]
fn health_tells_who_boots_and_who_is_about_to_go() {
    let (port, gate) = (free_port(), "boot");
    let command = Version::New.command("sync").join(" ").replace("wsgi:app", "gated:app");
    let setup = held(vec!["sh".into(), "-c".into(), format!("exec {command}")], port);
    let boot = setup.folder().path(gate);
    fs::write(&boot, "").unwrap();
    let mut namespace = setup.env("OSTLER_DRAIN_DELAY", "60s").start();
    let said =
        |namespace: &Namespace, words: &str| health(namespace) == (Some(1), format!("not healthy: {words}"));
    // Its app is not loaded: connections would be accepted by the kernel, and wait.
    eventually("workers boot", || said(&namespace, "0 of 2 workers serve"));
    fs::remove_file(&boot).unwrap();
    eventually("it serves", || health(&namespace).0 == Some(0));
    namespace.signal(15);
    eventually("it drains", || said(&namespace, "draining"));
    assert!(load(port, 10, Connections::Fresh).dropped == 0, "and serves on");
    namespace.signal(15);
    namespace.end();
    // Nobody is there to be asked.
    let outside = Command::new(OSTLER).arg("--health").output().unwrap();
    assert_eq!(outside.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outside.stderr).contains("docker exec CONTAINER /ostler --health"));
}

#[test]
fn a_health_path_is_asked_for() {
    for (mood, path, expected) in [
        (None, Some("/healthz"), (Some(0), "healthy")),
        (Some("unhealthy"), Some("/healthz"), (Some(1), "not healthy: /healthz is answered with 500")),
        (None, Some("/hang"), (Some(1), "not healthy: /hang is not answered within 3s")),
        // The control: without a path nobody asks.
        (Some("unhealthy"), None, (Some(0), "healthy")),
    ] {
        let port = free_port();
        let command = Version::New.command("sync").join(" ").replace("wsgi:app", "moody:app");
        let setup = held(vec!["sh".into(), "-c".into(), format!("exec {command}")], port);
        if let Some(mood) = mood {
            fs::write(setup.folder().path(mood), "").unwrap();
        }
        let namespace = match path {
            Some(path) => setup.env("OSTLER_HEALTH_PATH", path).start(),
            None => setup.start(),
        };
        eventually("workers serve", || status(&namespace)["workers"]["serving"] == 2);
        let (code, words) = expected;
        eventually(words, || health(&namespace) == (code, words.to_owned()));
    }
}

#[test]
fn only_root_and_ostlers_own_user_are_shown_anything() {
    let mut namespace = Setup::rooted(OSTLER, ["--", "sleep", "60"]).start();
    namespace.wait_for_err("generation-started");
    let init = namespace.init().to_string();
    let ask = |user: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--pid", "--mount"]).args(user).arg(OSTLER).arg("--status");
        command.output().unwrap()
    };
    eventually("root is shown it", || ask(&[]).status.success());
    let nobody = ask(&["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(
        (nobody.status.code(), said.contains("only root and ostler's own user")),
        (Some(1), true),
        "{said}"
    );
}

/// All lines of stdout that are metrics, and the others.
fn metrics(namespace: &Namespace) -> (Vec<Value>, Vec<String>) {
    let out = namespace.out();
    // What is being written may have come half.
    let whole = out.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let (metrics, others): (Vec<_>, Vec<_>) = whole.lines().partition(|line| line.starts_with('{'));
    let metrics = metrics.into_iter().map(|line| serde_json::from_str(line).unwrap());
    (metrics.collect(), others.into_iter().map(str::to_owned).collect())
}

#[test]
fn cloudwatch_is_told_of_every_request_and_of_the_last_ones_too() {
    let port = free_port();
    let mut namespace = held(Version::New.command("sync"), port).env("OSTLER_METRICS", "emf:1s:shop").start();
    eventually("it serves", || health(&namespace).0 == Some(0));
    load(port, 300, Connections::Fresh);
    eventually("a line tells of some", || {
        metrics(&namespace).0.iter().any(|line| line["Requests"].as_u64().unwrap() > 0)
    });
    load(port, 33, Connections::Fresh);
    stop(&mut namespace);
    let (lines, others) = metrics(&namespace);
    let sum: u64 = lines.iter().map(|line| line["Requests"].as_u64().unwrap()).sum();
    assert_eq!((sum, others), (333, vec![]), "{lines:#?}");
    for line in &lines {
        assert_eq!(
            (&line["Service"], &line["_aws"]["CloudWatchMetrics"][0]["Namespace"]),
            (&"shop".into(), &"ostler".into())
        );
        assert!(line["DiskUsed"].as_u64().unwrap() > 0);
    }
    assert_eq!(lines.last().unwrap()["Healthy"], 0, "it was told to stop");
}

#[test]
fn metrics_come_between_the_childs_lines_and_never_inside_one() {
    // A line in two pieces, again and again, through a stdout that passes through ostler.
    let script = "n=0; while [ $n -lt 40 ]; do printf 'GET / HTTP/1.1 begins '; sleep 0.05; echo and ends; n=$((n + 1)); done";
    let mut namespace = Setup::ostler(["sh", "-c", script])
        .env("OSTLER_METRICS", "emf:1s")
        .env("OSTLER_COUNT", "stdout")
        .start();
    namespace.end();
    let (lines, others) = metrics(&namespace);
    assert!(lines.len() >= 2, "{}", namespace.out());
    assert_eq!(others, vec!["GET / HTTP/1.1 begins and ends"; 40]);
}

#[test]
fn a_statsd_gets_the_same_figures() {
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    statsd.set_nonblocking(true).unwrap();
    let port = free_port();
    let mut namespace = held(Version::New.command("sync"), port)
        .env("OSTLER_METRICS", format!("statsd:{}", statsd.local_addr().unwrap()))
        .start();
    eventually("it serves", || health(&namespace).0 == Some(0));
    load(port, 77, Connections::Fresh);
    stop(&mut namespace);
    let (mut requests, mut healthy) = (0, Vec::new());
    let mut bytes = [0; 2048];
    while let Ok(length) = statsd.recv(&mut bytes) {
        for line in std::str::from_utf8(&bytes[..length]).unwrap().lines() {
            let (name, value) = line.split_once(':').unwrap();
            match name {
                "ostler.requests" => requests += value.strip_suffix("|c").unwrap().parse::<u64>().unwrap(),
                "ostler.healthy" => healthy.push(value.to_owned()),
                _ => assert!(
                    name.starts_with("ostler.") && (value.ends_with("|g") || value.ends_with("|c")),
                    "{line}"
                ),
            }
        }
    }
    assert_eq!((requests, healthy.last().map(String::as_str)), (77, Some("0|g")));
}

#[test]
fn nobody_waits_for_whoever_should_read_the_metrics() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let set = |end: &OwnedFd, flags| fcntl(end, FcntlArg::F_SETFL(flags)).unwrap();
    set(&writer, OFlag::O_NONBLOCK);
    while nix::unistd::write(&writer, &[b'x'; 4096]).is_ok() {}
    set(&writer, OFlag::empty());
    set(&reader, OFlag::O_NONBLOCK);
    let namespace = Setup::ostler(["sleep", "60"]).env("OSTLER_METRICS", "emf:1s").output(&writer).start();
    // Lines are due, and none can go out.
    eventually("it is asked, and answers, for three seconds", || {
        status(&namespace)["uptime_s"].as_f64().is_some_and(|uptime| uptime > 3.0)
    });
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    eventually("the next line goes out where there is room", || {
        while let Ok(length @ 1..) = nix::unistd::read(&reader, &mut bytes) {
            seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        seen.contains("\"Requests\":0")
    });
}

/// A container's disk: a small file system that ostler has for its root.
fn on_a_small_disk(mark: &str, script: &str) -> Setup {
    let build = format!(
        "mkdir root; mount -t tmpfs -o size=20m none root; cd root; mkdir -p proc app tmp/cache; mount -t proc none proc; \
         touch ostler busybox; mount --bind {OSTLER} ostler; mount --bind /bin/busybox busybox; \
         exec chroot . /ostler -- /busybox sh -c '{script}'"
    );
    Setup::new("unshare", ["--mount", "sh", "-c", &build]).env("OSTLER_DISK_WARN", mark)
}

#[test]
fn what_has_filled_the_disk_is_told_once() {
    let script = "/busybox yes | /busybox head -c 15728640 >/app/core.7; \
                  /busybox yes | /busybox head -c 2097152 >/tmp/cache/x; exec /busybox sleep 60";
    let mut namespace = on_a_small_disk("80%", script).start();
    namespace.wait_for_err("disk-grown");
    let (fills, grown) = (namespace.events("disk-fills"), namespace.events("disk-grown"));
    assert_eq!((fills.len(), grown.len()), (1, 1), "{}", namespace.err());
    assert_eq!(support::field(&fills[0], "percent"), 85, "{fills:?}");
    assert!(grown[0].contains("grown=[\"/app/core.7=15728640\",\"/tmp/cache/x=2097152\"]"), "{grown:?}");
    // The control: nobody is told of what is allowed.
    let mut quiet = on_a_small_disk("90%", script).env("OSTLER_METRICS", "emf:1s").start();
    quiet.wait_for_out("\"DiskUtilization\":85");
    assert!(quiet.events("disk-fills").is_empty(), "{}", quiet.err());
}

#[test]
fn a_terminal_shows_bars_until_somebody_has_seen_enough() {
    let mut terminal = Terminal::new();
    let script = format!(
        "trap : INT; {OSTLER} -- sh -c 'echo >up; exec sleep 60' & \
         until [ -e up ] && {OSTLER} --health; do sleep 0.1; done; \
         {OSTLER} --status --watch >$(tty) 2>&1; echo watched $? >$(tty)"
    );
    // Whoever says that it is up has had the foreground, and does not take it any more.
    let _namespace = terminal.setup("sh", ["-m", "-c", &script]).env("OSTLER_MAX_AGE", "1h").start();
    terminal.wait_for("░░░░░░░░");
    let begin = Instant::now();
    eventually("it is drawn again", || terminal.screen().matches("\x1b[H\x1b[2J").count() >= 2);
    assert!(begin.elapsed() < Duration::from_secs(30));
    terminal.press(CTRL_C);
    terminal.wait_for("watched 130");
}
