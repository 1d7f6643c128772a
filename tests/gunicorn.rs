//! The main job: real gunicorns under ostler, with real requests.
//! tini, and ostler without the feature, are the controls.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use support::load::{Connections, Tally, answers, both_workers_serve, load, stay};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, children, eventually, field, free_port, state, tini};

/// The fault that ostler was made for: a worker at `--max-requests` waits for a client that stays, and is aborted by
/// its master. The namespace as it is then; the app's folder is where a core file would lie.
fn aborted_worker(init: &str, version: Version) -> Namespace {
    let port = free_port();
    let mut command = version.command("uvicorn");
    command.extend(["--max-requests", "1", "--timeout", "3", "-b"].map(str::to_owned));
    command.push(format!("127.0.0.1:{port}"));
    // The limit as containers have it; a shell's is 0.
    let prlimit = ["--core=unlimited:unlimited", init, "--"].map(str::to_owned).into_iter().chain(command);
    let mut namespace = Setup::new("prlimit", prlimit).start();
    eventually("gunicorn serves", || answers(port));
    let (mut clients, mut killed) = (vec![stay(port, "/stream")], 0);
    eventually("the worker is aborted", || {
        assert!(!namespace.ended(), "{}", namespace.err());
        let log = namespace.err();
        // A core file takes its time; whoever is not gone when the master looks again is killed. Another try.
        let kills =
            log.matches("was terminated due to signal 9").count() + log.matches("was sent SIGKILL").count();
        if kills > killed {
            killed = kills;
            clients.push(stay(port, "/stream"));
        }
        // A request counts when it is answered, so the worker that streams needs another one to reach its maximum. Not
        // more: each ends a worker, and that wakes the master.
        if !is_waited_for(&log) {
            answers(port);
        }
        log.contains("was terminated due to signal 6") || log.contains("was sent SIGABRT")
    });
    namespace
}

/// Does a worker wait for a client to leave?
fn is_waited_for(log: &str) -> bool {
    let waiting = log.lines().filter(|line| line.contains("Waiting for connections to close"));
    waiting.filter_map(|line| line.split(['[', ']']).nth(3)).any(|worker| {
        ["Finished server process [N]", "with pid N was terminated", "(pid:N) was sent"]
            .iter()
            .all(|end| !log.contains(&end.replace('N', worker)))
    })
}

/// The sizes of the core files in the app's folder.
fn core_files(namespace: &Namespace) -> Vec<u64> {
    let entries = fs::read_dir(&namespace.folder.0).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("core"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect()
}

#[test]
fn an_aborted_worker_leaves_no_core_file() {
    for version in [Version::Twenty, Version::New] {
        let namespace = aborted_worker(OSTLER, version);
        assert_eq!(core_files(&namespace), [0; 0], "{version:?}");
    }
}

#[test]
fn control_without_ostler_the_core_file_is_there() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert!(!pattern.starts_with(['|', '/']), "this control needs core_pattern `core`, not {pattern}");
    for version in [Version::Twenty, Version::New] {
        let namespace = aborted_worker(tini(), version);
        // Another one may be on its way into the same file.
        eventually("a core file of tens of MB", || {
            core_files(&namespace).iter().any(|size| *size > 10_000_000)
        });
    }
}

/// What a run with a budget has shown.
struct Run {
    namespace: Namespace,
    tally: Tally,
    port: u16,
}

/// A gunicorn with a budget, once it serves.
fn serving(version: Version, class: &str, held: bool, budget: u64) -> Run {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = version.command(class);
    if !held {
        command.extend(["-b".to_owned(), address.clone()]);
    }
    let setup =
        Setup::ostler(command).env("OSTLER_MAX_REQUESTS", budget.to_string()).env("OSTLER_MIN_AGE", "1s");
    let mut namespace = if held { setup.env("OSTLER_LISTEN", &address) } else { setup }.start();
    eventually("gunicorn serves", || {
        assert!(!namespace.ended(), "{}", namespace.err());
        answers(port)
    });
    let mut run = Run { namespace, tally: Tally { answered: 1, ..Tally::default() }, port };
    run.settle();
    run
}

impl Run {
    /// Waits until one generation serves, and with both its workers.
    fn settle(&mut self) {
        eventually("no generation departs", || {
            let events = |name| self.namespace.events(name).len();
            events("recycle-started") == events("generation-ended")
        });
        self.tally.answered += both_workers_serve(self.port);
    }

    fn load(&mut self, requests: u64, connections: Connections) {
        self.tally += load(self.port, requests, connections);
    }

    /// Requests until the third generation has started. How many that takes depends on the server: one that takes a
    /// second to notice SIGTERM serves on for that long.
    fn load_until_two_recycles(&mut self, connections: Connections) {
        eventually("two recycles", || {
            self.load(200, connections);
            self.namespace.events("generation-started").len() >= 3
        });
    }
}

/// The counts of all generations, after a stop; each ended generation's was at or over the budget.
fn counts(run: &mut Run, budget: u64) -> Vec<u64> {
    run.settle();
    eventually("no zombie is left", || zombies(run.namespace.init()) == 0);
    run.namespace.signal(15);
    assert_eq!(run.namespace.end(), 0, "{}", run.namespace.err());
    let recycles = run.namespace.events("recycle-started");
    for line in &recycles {
        assert!(field(line, "requests") >= budget, "{line}");
    }
    run.namespace.events("generation-ended").iter().map(|line| field(line, "requests")).collect()
}

fn zombies(pid: u32) -> usize {
    usize::from(state(pid) == Some('Z')) + children(pid).into_iter().map(zombies).sum::<usize>()
}

/// Within 1 % of what was sent.
fn assert_counted(counts: &[u64], tally: &Tally) {
    let counted: u64 = counts.iter().sum();
    assert!(
        counted.abs_diff(tally.answered) * 100 <= tally.answered,
        "{counted} counted, {tally:?}, {counts:?}"
    );
}

#[test]
fn twenty_thousand_requests_to_sync_workers() {
    let mut run = serving(Version::Twenty, "sync", true, 5_000);
    run.load(20_000, Connections::Fresh);
    let counts = counts(&mut run, 5_000);
    assert_counted(&counts, &run.tally);
    // Each generation lives longer than its budget: it serves until its successor is ready.
    assert!((2..=4).contains(&counts.len()), "{counts:?}");
    assert_eq!((run.tally.refused, run.tally.dropped), (0, 0));
}

#[test]
fn twenty_thousand_requests_to_uvicorn_workers() {
    let mut run = serving(Version::Twenty, "uvicorn", true, 5_000);
    // With keep-alive a client that connects while the worker
    // stops may keep it serving for long (uvicorn waits for it).
    run.load(20_000, Connections::Fresh);
    let counts = counts(&mut run, 5_000);
    assert_counted(&counts, &run.tally);
    assert!((2..=4).contains(&counts.len()), "{counts:?}");
    assert_eq!((run.tally.refused, run.tally.dropped), (0, 0));
}

#[test]
fn every_worker_class_is_counted_and_recycled_with_no_connection_refused() {
    let classes = [
        (Version::Twenty, "gthread", Connections::KeepAlive),
        (Version::Twenty, "gevent", Connections::Fresh),
        (Version::New, "sync", Connections::Fresh),
        (Version::New, "gthread", Connections::Fresh),
        (Version::New, "gevent", Connections::KeepAlive),
        (Version::New, "uvicorn", Connections::KeepAlive),
        (Version::New, "asgi", Connections::KeepAlive),
    ];
    for (version, class, connections) in classes {
        println!("{version:?} {class} {connections:?}");
        let mut run = serving(version, class, true, 500);
        run.load_until_two_recycles(connections);
        let counts = counts(&mut run, 500);
        assert_counted(&counts, &run.tally);
        assert_eq!(run.tally.refused, 0, "{version:?} {class}: {:?}", run.tally);
    }
}

#[test]
fn several_held_sockets_a_unix_one_among_them_outlive_recycles() {
    let port = free_port();
    let mut namespace = Setup::ostler(Version::New.command("sync"))
        .env("OSTLER_MAX_REQUESTS", "200")
        .env("OSTLER_MIN_AGE", "1s")
        .env("OSTLER_LISTEN", format!("unix:app.sock,127.0.0.1:{port}"))
        .start();
    eventually("gunicorn serves", || answers(port));
    let path = namespace.folder.path("app.sock");
    eventually("two recycles", || {
        assert_eq!(load(port, 100, Connections::Fresh).refused, 0);
        namespace.events("generation-started").len() >= 3
    });
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
    both_workers_serve(port);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
}

#[test]
fn control_without_held_sockets_connections_are_refused() {
    let mut run = serving(Version::Twenty, "sync", false, 500);
    run.load_until_two_recycles(Connections::Fresh);
    assert!(run.tally.refused > 0, "{:?}", run.tally);
    let counts = counts(&mut run, 500);
    assert_counted(&counts, &run.tally);
}

#[test]
fn control_without_a_budget_nothing_is_recycled() {
    let mut run = serving(Version::Twenty, "sync", true, 0);
    run.load(2_000, Connections::Fresh);
    assert_eq!(counts(&mut run, 0), [0]);
}

#[test]
fn the_recycle_happens_although_nobody_reads_the_log() {
    let port = free_port();
    let (reader, writer) = std::io::pipe().unwrap();
    // gunicorn's own log would block gunicorn, so it has another place.
    let script = "exec \"$0\" \"$@\" >>log 2>&1";
    let command = ["sh", "-c", script].map(str::to_owned).into_iter().chain(Version::Twenty.command("sync"));
    let mut namespace = Setup::ostler(command)
        .env("OSTLER_MAX_REQUESTS", "100")
        .env("OSTLER_MIN_AGE", "1s")
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_LOG_LEVEL", "debug")
        .output(&writer)
        .start();
    eventually("gunicorn serves", || answers(port));
    // Somebody else has filled the pipe.
    let mut pipe = fs::File::options()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(format!("/proc/self/fd/{}", writer.as_raw_fd()))
        .unwrap();
    while pipe.write(b"x").is_ok() {}
    eventually("two recycles", || {
        load(port, 100, Connections::Fresh);
        namespace.folder.read("log").matches("Starting gunicorn").count() >= 3
    });
    both_workers_serve(port);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
    drop(reader);
}

#[test]
fn a_request_in_flight_is_answered_before_the_child_is_gone() {
    for (version, class) in
        [(Version::Twenty, "sync"), (Version::Twenty, "uvicorn"), (Version::New, "uvicorn")]
    {
        let port = free_port();
        let mut command = version.command(class);
        command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
        let mut namespace = Setup::ostler(command).start();
        both_workers_serve(port);
        let slow = std::thread::spawn(move || stay(port, "/slow?seconds=1.5"));
        eventually("a worker has it", || namespace.folder.path("begun").exists());
        namespace.signal(15);
        slow.join().unwrap();
        assert_eq!(namespace.end(), 0, "{version:?} {class}");
    }
}

#[test]
fn uvicorn_workers_of_a_killed_master_do_not_live_on() {
    let port = free_port();
    let mut command = Version::Twenty.command("uvicorn");
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
    // Not PID 1 of the namespace, so the kernel does not do it for ostler.
    let script = "\"$@\"; echo status $?; exec sleep 60";
    let under = ["-c", script, "sh", OSTLER, "--"].map(str::to_owned).into_iter().chain(command.clone());
    let mut namespace = Setup::new("sh", under).start();
    eventually("gunicorn serves", || answers(port));
    let ostler = children(namespace.init())[0];
    support::kill(children(ostler)[0], 9);
    namespace.wait_for_out("status 137");
    assert!(!answers(port));

    // The control: tini does not care.
    let under = ["-c", script, "sh", tini(), "-s", "--"].map(str::to_owned).into_iter().chain(command);
    let mut namespace = Setup::new("sh", under).start();
    eventually("gunicorn serves", || answers(port));
    let init = children(namespace.init())[0];
    support::kill(children(init)[0], 9);
    namespace.wait_for_out("status 137");
    assert!(answers(port), "workers of a killed master serve on");
}

#[test]
fn gunicorns_own_signals_do_what_gunicorn_says() {
    let port = free_port();
    let mut command = Version::Twenty.command("sync");
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
    let mut namespace = Setup::ostler(command).start();
    eventually("gunicorn serves", || answers(port));
    let master = children(namespace.init())[0];
    let workers = || children(master).len();
    eventually("two workers", || workers() == 2);
    // TTIN and TTOU: one worker more, one fewer. tini swallows them, dumb-init stops the master.
    namespace.signal(21);
    eventually("a third worker", || workers() == 3);
    namespace.signal(22);
    eventually("two workers again", || workers() == 2);
    // HUP goes to the master alone, which replaces its workers.
    let before = children(master);
    namespace.signal(1);
    eventually("new workers", || {
        workers() == 2 && children(master).iter().all(|worker| !before.contains(worker))
    });
    both_workers_serve(port);
    namespace.signal(15);
    assert_eq!(namespace.end(), 0);
}
