//! ostler in real containers. Needs a Docker engine, so these are ignored
//! until they are asked for; .ci/run asks where an engine answers.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::thread::sleep;
use std::time::Duration;
use support::docker::{Container, Image, Sitting, docker, inspect, text};
use support::terminal::CTRL_C;
use support::{eventually, eventually_some};

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
fn whoever_came_by_docker_exec_is_asked_to_end_too() {
    let image = Image::new();
    let end = |options: &[&str]| {
        let loops = "echo ready; while :; do /busybox sleep 0.1; done";
        let container = image.run(options, &format!("trap 'exit 3' TERM; {loops}"));
        container.wait_for_log("ready");
        let guest = format!("trap 'echo guest >/proc/1/fd/1; exit' TERM; echo there >/proc/1/fd/1; {loops}");
        text(&docker(&["exec", "-d", &container.0, "/sh", "-c", &guest]));
        container.wait_for_log("there");
        text(&docker(&["stop", "-t", "30", &container.0]));
        (container.exit_status(), container.log())
    };
    // Whoever is no descendant has a second for that, which may be too short on a busy machine: once is enough.
    let asked = (0..5).any(|_| {
        let (status, log) = end(&[]);
        assert_eq!(status, "3", "{log}");
        assert!(log.contains("others-left"), "{log}");
        log.contains("guest\n")
    });
    assert!(asked);
    // The control: under docker's own init it is only killed.
    let (_, log) = end(&["--init", "--entrypoint="]);
    assert!(!log.contains("guest\n"), "{log}");
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
    eventually_some("it answers", || {
        let output = container.exec(&["/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8000/"]);
        Some(String::from_utf8_lossy(&output.stdout).into_owned()).filter(|answer| !answer.is_empty())
    })
}

/// Recycles a container's server by hand, and waits until the successor has taken over and the other one is gone.
fn hand_over(container: &Container) {
    container.wait_for_log("ready");
    let before = answer(container);
    let told = text(&container.exec(&["/ostler", "--recycle"]));
    assert_eq!(told, "recycling generation 1");
    container.wait_for_log("generation-ended");
    assert!(container.log().contains("handed-over"), "{}", container.log());
    let after = answer(container);
    assert_ne!(before, after);
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

/// ostler, and what is docker's own: tini, which is not put before ostler but in its place.
const INITS: [(&[&str], &[&str]); 2] = [(&[], &["/busybox"]), (&["--init", "--entrypoint=/busybox"], &[])];

#[test]
#[ignore = "needs a Docker engine"]
fn ctrl_c_ends_what_runs_on_a_terminal() {
    let image = Image::new();
    for (options, before) in INITS {
        let mut sitting = Sitting::new(&image, options, &[before, &["cat"]].concat());
        sitting.talk("hello");
        sitting.terminal.press(CTRL_C);
        assert_eq!(sitting.end(), Some(130), "{options:?}: {}", sitting.terminal.screen());
    }
    // The control: a program that is PID 1 itself does not end.
    let mut sitting = Sitting::new(&image, &["--entrypoint=/busybox"], &["cat"]);
    sitting.talk("hello");
    sitting.terminal.press(CTRL_C);
    sitting.talk("still here");
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_resized_terminal_is_told_of() {
    let image = Image::new();
    let script = "trap '/busybox stty size' WINCH; echo ready; while :; do /busybox sleep 0.1; done";
    for (options, before) in INITS {
        let mut sitting = Sitting::new(&image, options, &[before, &["sh", "-c", script]].concat());
        sitting.terminal.wait_for("ready");
        // Again and again: docker's client may not be listening yet, and the same size twice is no news.
        eventually("the size is told", || {
            sitting.terminal.resize(131, 43);
            sitting.terminal.resize(132, 43);
            sleep(Duration::from_millis(200));
            sitting.terminal.screen().contains("43 132")
        });
        assert!(!sitting.terminal.screen().contains("30 100"), "the control");
        sitting.terminal.resize(100, 30);
        sitting.terminal.wait_for("30 100");
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_health_check_needs_nothing_but_ostler_in_the_image() {
    let image = Image::new();
    let check = "HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD [\"/ostler\", \"--health\"]";
    let checked = image.with("health", check);
    let is = |container: &Container, wanted: &str| {
        eventually(wanted, || inspect(&container.0, "{{.State.Health.Status}}") == wanted);
    };
    // Docker keeps what the last five checks said.
    let says = |container: &Container, words: &str| {
        let said = "{{range .State.Health.Log}}{{.Output}}{{end}}";
        eventually(words, || inspect(&container.0, said).lines().any(|line| line.starts_with(words)));
    };
    // As hardened as can be, and by another user than root.
    let options = [&STRICT[..], &["--env=OSTLER_DRAIN_DELAY=60s"]].concat();
    let container = checked.run(&options, "exec /busybox sleep 300");
    is(&container, "healthy");
    says(&container, "healthy");
    docker(&["kill", "--signal=TERM", &container.0]);
    is(&container, "unhealthy");
    says(&container, "not healthy: draining");
    // What people see, by docker exec.
    eventually("the page says so", || {
        let page = String::from_utf8(container.exec(&["/ostler", "--status"]).stdout).unwrap();
        [": draining for ", ", not healthy", "generation   1: incumbent"]
            .iter()
            .all(|words| page.contains(words))
    });
}

/// What the child is, by /proc.
const WHO: &str = "/busybox id; echo HOME=$HOME; /busybox grep -E '^(Cap|NoNewPrivs)' /proc/self/status; \
                   /busybox grep '^Uid' /proc/1/status";

#[test]
#[ignore = "needs a Docker engine"]
fn a_container_of_root_becomes_a_user_that_cannot_go_back() {
    let image = Image::new();
    let options = ["--env=OSTLER_USER=app", "--env=OSTLER_CAPS=none", "--env=OSTLER_LISTEN=0.0.0.0:80"];
    let container = image.run(&options, WHO);
    assert_eq!(container.exit_status(), "0", "{}", container.log());
    let log = container.log();
    assert!(log.contains("uid=1000(app) gid=1000 groups=1000\nHOME=/\n"), "{log}");
    assert_eq!(log.matches(":\t0000000000000000\n").count(), 5, "every set is empty: {log}");
    assert!(log.contains("NoNewPrivs:\t1\n") && log.contains("Uid:\t65534\t1000\t65534\t1000\n"), "{log}");
    // As little as it takes: a socket in the user's own folder needs no capability of root's.
    let few = [
        "--cap-drop=ALL",
        "--cap-add=SETUID",
        "--cap-add=SETGID",
        "--read-only",
        "--tmpfs=/run/app:uid=1000,mode=755",
        "--env=OSTLER_USER=app",
        "--env=OSTLER_LISTEN=unix:/run/app/app.sock",
    ];
    let container = image.run(&few, "/busybox stat -c '%u %g' /run/app/app.sock");
    assert_eq!(container.exit_status(), "0", "{}", container.log());
    assert!(container.log().contains("1000 1000\n"), "{}", container.log());
    assert!(container.log().contains("start the container with --cap-add CHOWN"), "{}", container.log());
    // The control: without it the same container is root, with what docker gives it.
    let control = image.run(&["--env=OSTLER_LISTEN=0.0.0.0:80"], WHO);
    assert_eq!(control.exit_status(), "0");
    let log = control.log();
    assert!(log.contains("uid=0") && log.contains("NoNewPrivs:\t0\n"), "{log}");
    assert!(log.matches(":\t0000000000000000\n").count() < 5, "{log}");
}

#[test]
#[ignore = "needs a Docker engine"]
fn where_there_is_nothing_to_give_up_it_says_the_same() {
    let image = Image::new();
    let options = [&STRICT[..], &["--env=OSTLER_USER=app", "--env=OSTLER_CAPS=none"]].concat();
    let container = image.run(&options, WHO);
    assert_eq!(container.exit_status(), "0", "{}", container.log());
    let log = container.log();
    assert!(log.contains("uid=1000") && log.contains("Uid:\t1000\t1000\t1000\t1000\n"), "{log}");
    assert_eq!(log.matches(":\t0000000000000000\n").count(), 5, "{log}");
    // The log of PID 1 is open to who writes to it by its name, as under tini, unless somebody is to be become.
    for (options, status) in [(&STRICT[..], "0"), (&options, "1")] {
        let script = image.run(options, "echo by name >/proc/1/fd/1");
        assert_eq!((&script.exit_status()[..], script.log().contains("by name\n")), (status, status == "0"));
    }
    // Another user than that it cannot become, and says what to write instead.
    let options = [&STRICT[..], &["--env=OSTLER_USER=7:7"]].concat();
    let refused = image.run(&options, WHO);
    assert_eq!(refused.exit_status(), "1");
    assert!(refused.log().contains("start the container as root, or unset it"), "{}", refused.log());
}
