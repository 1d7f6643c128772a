//! Counts, source by source: as many as were sent, whatever happens to ostler meanwhile, and nothing is taken away.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;
use support::load::{Connections, answers, both_workers_serve, load, stay};
use support::venv::Version;
use support::{Namespace, OSTLER, Setup, eventually, field, fixture, free_port};

/// SIGSTOP and SIGCONT.
const STOP: i32 = 19;
const CONT: i32 = 18;
const MUCH: &str = "1000000";

/// A gunicorn that binds by itself, under an ostler that counts.
fn counted(version: Version, class: &str, port: u16, settings: &[(&str, &str)], more: &[&str]) -> Namespace {
    let mut command = version.command(class);
    command.extend(["-b".to_owned(), format!("127.0.0.1:{port}")]);
    command.extend(more.iter().map(|word| (*word).to_owned()));
    let setup = Setup::ostler(command).env("OSTLER_MAX_REQUESTS", MUCH);
    settings.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
}

/// How many were counted in all, after a stop.
fn end(mut namespace: Namespace) -> u64 {
    namespace.signal(15);
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    namespace.events("generation-ended").iter().map(|line| field(line, "requests")).sum()
}

/// Stops ostler for 100 ms in every second as long as `what` takes.
fn stopped_now_and_then<T>(namespace: &Namespace, what: impl FnOnce() -> T) -> T {
    let going = AtomicBool::new(true);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            let mut stops = 0;
            while going.load(Ordering::Relaxed) || stops == 0 {
                namespace.signal(STOP);
                sleep(Duration::from_millis(100));
                namespace.signal(CONT);
                sleep(Duration::from_millis(900));
                stops += 1;
            }
        });
        let result = catch_unwind(AssertUnwindSafe(what));
        going.store(false, Ordering::Relaxed);
        stopping.join().unwrap();
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Loads each of these while ostler is stopped now and then: within 0.1 % of what was sent is counted.
fn nothing_is_lost(source: &str, servers: &[(Version, &str)], more: &[&str]) {
    for (version, class) in servers {
        let port = free_port();
        let namespace = counted(*version, class, port, &[("OSTLER_COUNT", source)], more);
        let first = both_workers_serve(port);
        let mut tally = stopped_now_and_then(&namespace, || load(port, 6_000, Connections::Fresh));
        // How many datagrams were dropped is told by those that come after them.
        tally += load(port, 20, Connections::Fresh);
        let (sent, counted) = (first + tally.answered, end(namespace));
        println!("{version:?} {class} {source}: {counted} of {sent}");
        assert_eq!((tally.refused, tally.dropped), (0, 0), "{class}: {tally:?}");
        assert!(counted.abs_diff(sent) * 1000 <= sent, "{class}, {source}: {counted} counted, {sent} sent");
    }
}

#[test]
fn no_datagram_is_lost_while_ostler_is_stopped_now_and_then() {
    let servers = [Version::Twenty, Version::New]
        .map(|version| ["sync", "gthread", "gevent"].map(|class| (version, class)));
    nothing_is_lost("statsd", &servers.concat(), &[]);
}

#[test]
fn no_line_is_lost_while_ostler_is_stopped_now_and_then() {
    let servers = [
        (Version::Twenty, "sync"),
        (Version::Twenty, "uvicorn"),
        (Version::New, "gevent"),
        (Version::New, "uvicorn"),
        (Version::New, "asgi"),
    ];
    nothing_is_lost("access-log", &servers, &[]);
    nothing_is_lost("stdout", &servers[3..], &["--access-logfile", "-"]);
}

#[test]
fn paths_that_are_left_out_do_not_count() {
    for (version, class) in [(Version::Twenty, "uvicorn"), (Version::New, "gthread")] {
        let count = |skip: &str| {
            let port = free_port();
            let namespace = counted(version, class, port, &[("OSTLER_COUNT_SKIP", skip)], &[]);
            eventually("gunicorn serves", || answers(port));
            for _ in 0..30 {
                // An ASGI app of two routes; a WSGI app takes every path.
                drop(stay(port, "/slow?seconds=0"));
            }
            eventually("all are answered", || answers(port));
            end(namespace)
        };
        let (without, with) = (count("none"), count("/ping,/slow"));
        assert!(without >= 32 && (2..=10).contains(&with), "{version:?} {class}: {without}, {with}");
    }
}

#[test]
fn the_users_own_statsd_gets_every_datagram() {
    let real = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    real.set_nonblocking(true).unwrap();
    let (port, forward) = (free_port(), real.local_addr().unwrap().to_string());
    let settings = [("OSTLER_STATSD_FORWARD", forward.as_str())];
    let more = ["--statsd-prefix", "shop", "--dogstatsd-tags", "env:test"];
    let namespace = counted(Version::New, "sync", port, &settings, &more);
    eventually("gunicorn serves", || answers(port));
    // No more than an ordinary receive buffer holds: nobody reads meanwhile.
    let tally = load(port, 60, Connections::Fresh);
    let sent = 1 + tally.answered;
    let mut heard = 0;
    eventually("all of it arrives", || {
        let mut bytes = [0; 2000];
        while let Ok(length) = real.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]);
            heard += u64::from(text.starts_with("shop.gunicorn.requests:1|c") && text.contains("env:test"));
        }
        heard >= sent
    });
    assert_eq!((heard, end(namespace)), (sent, sent));
}

#[test]
fn a_program_that_is_no_gunicorn_is_counted_by_what_it_sends() {
    let script = "import os, socket\n\
                  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  to = os.environ['STATSD_HOST'], int(os.environ['STATSD_PORT'])\n\
                  for _ in range(3): s.sendto(b'shop.requests:2|c|@0.5\\nshop.errors:1|c', to)\n\
                  import time; time.sleep(60)";
    let mut namespace = Setup::ostler(["python3", "-c", script])
        .env("OSTLER_MAX_REQUESTS", "12")
        .env("OSTLER_MIN_AGE", "0")
        .env("OSTLER_COUNT", "statsd")
        .start();
    namespace.wait_for_err("recycle-started");
    assert_eq!(field(&namespace.events("recycle-started")[0], "requests"), 12);
    // What the user has set stays.
    let namespace = Setup::ostler(["sh", "-c", "echo $STATSD_HOST,$STATSD_PORT"])
        .env("OSTLER_MAX_REQUESTS", "12")
        .env("OSTLER_COUNT", "statsd")
        .env("STATSD_HOST", "10.0.0.1")
        .run();
    assert_eq!(namespace.out(), "10.0.0.1,\n");
}

/// uvicorn alone: its access log is on stdout.
fn uvicorn(port: u16) -> Vec<String> {
    let fixtures = fixture("").display().to_string();
    let program = Version::New.program("uvicorn");
    [&program, "app:app", "--app-dir", &fixtures, "--port", &port.to_string()].map(str::to_owned).to_vec()
}

#[test]
fn the_access_log_on_stdout_goes_on_unchanged() {
    let port = free_port();
    let mut namespace = Setup::ostler(uvicorn(port)).env("OSTLER_MAX_REQUESTS", MUCH).start();
    eventually("uvicorn serves", || answers(port));
    let sent = 1 + load(port, 500, Connections::Fresh).answered;
    namespace.signal(15);
    namespace.end();
    let ended = namespace.events("generation-ended").remove(0);
    let lines = namespace.out().lines().filter(|line| line.ends_with("\"GET / HTTP/1.1\" 200 OK")).count();
    assert_eq!((lines as u64, field(&ended, "requests")), (sent, sent), "{}", namespace.out());
    assert_eq!(namespace.out().lines().count() as u64, sent, "{}", namespace.out());
    // The control: the same without ostler, byte by byte but for the ports.
    let port = free_port();
    let mut alone = Setup::new("env", uvicorn(port)).start();
    eventually("uvicorn serves", || answers(port));
    let shape = |text: &str| text.lines().next().unwrap().replace(|c: char| c.is_ascii_digit(), "");
    eventually("its line is written", || !alone.out().is_empty());
    assert_eq!(shape(&alone.out()), shape(&namespace.out()));
    alone.signal(9);
    alone.end();
}

#[test]
fn nobody_waits_for_whoever_reads_stdout() {
    let (reader, writer) = std::io::pipe().unwrap();
    let port = free_port();
    // A line of 10,000 bytes for each request: far more than fits anywhere.
    let script = fixture("chatty.py").display().to_string();
    let shell = "exec \"$0\" \"$@\" 2>log";
    let port_number = port.to_string();
    let command = ["-c", shell, OSTLER, "--", "python3", &script, &port_number];
    let mut namespace = Setup::new("sh", command)
        .env("OSTLER_MAX_REQUESTS", "1000")
        .env("OSTLER_COUNT", "stdout")
        .env("OSTLER_MIN_AGE", "1h")
        .output(&writer)
        .start();
    drop(writer);
    eventually("it serves", || answers(port));
    let tally = load(port, 1_000, Connections::Fresh);
    assert_eq!((tally.refused, tally.dropped), (0, 0), "{tally:?}");
    // Whoever reads again gets whole lines, and is told how many are missing.
    let [whole, others] = &*Box::leak(Box::new([const { AtomicU64::new(0) }; 2]));
    let lines = thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let is_whole = line.starts_with("\"GET /") && line.len() == 10_017;
            if is_whole { whole } else { others }.fetch_add(1, Ordering::Relaxed);
        }
    });
    let dropped = || {
        let log = namespace.folder.read("log");
        let told = log.lines().filter(|line| line.contains("output-dropped"));
        told.map(|line| field(line, "count")).sum::<u64>()
    };
    let read = || whole.load(Ordering::Relaxed) + others.load(Ordering::Relaxed);
    eventually("all are accounted for", || read() + dropped() == tally.answered + 1);
    let dropped = dropped();
    assert!(dropped > 0 && others.load(Ordering::Relaxed) <= 1, "{whole:?} whole, {others:?} others");
    namespace.signal(15);
    namespace.end();
    lines.join().unwrap();
    let log = namespace.folder.read("log");
    let ended = log.lines().find(|line| line.contains("generation-ended")).unwrap();
    assert_eq!((read(), field(ended, "requests")), (tally.answered + 1 - dropped, tally.answered + 1));
}

#[test]
fn the_last_words_on_stdout_are_not_lost() {
    for script in ["printf 'no end'", "echo a; printf b", "seq 100000; printf end"] {
        let alone = Setup::new("sh", ["-c", script]).run();
        let under = Setup::ostler(["sh", "-c", script])
            .env("OSTLER_MAX_REQUESTS", MUCH)
            .env("OSTLER_COUNT", "stdout")
            .run();
        assert!(under.out() == alone.out(), "{script}");
    }
}

#[test]
fn a_job_that_outlives_its_generation_keeps_its_stdout() {
    // In a session of its own, so that nobody stops it.
    let script =
        "setsid sh -c 'sleep 1.5; echo late, to whom it may concern; echo $? >written' & exec sleep 60";
    let mut namespace = Setup::ostler(["sh", "-c", script])
        .env("OSTLER_MAX_REQUESTS", MUCH)
        .env("OSTLER_COUNT", "stdout")
        .env("OSTLER_MAX_AGE", "500ms")
        .env("OSTLER_MIN_AGE", "0")
        .start();
    namespace.wait_for_err("generation=2");
    namespace.wait_for_out("late, to whom it may concern");
    eventually("it knows", || namespace.folder.read("written") == "0\n");
}

/// How often a process was given a processor: the third figure of /proc/PID/schedstat.
fn turns(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_stdout_whose_reader_is_gone_costs_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let port = free_port();
    let (script, port_number) = (fixture("chatty.py").display().to_string(), port.to_string());
    let command = ["-c", "exec \"$0\" \"$@\" 2>log", OSTLER, "--", "python3", &script, &port_number];
    let namespace = Setup::new("sh", command)
        .env("OSTLER_MAX_REQUESTS", MUCH)
        .env("OSTLER_COUNT", "stdout")
        .output(&writer)
        .start();
    drop((reader, writer));
    eventually("it serves", || answers(port));
    let tally = load(port, 300, Connections::Fresh);
    assert_eq!((tally.refused, tally.dropped), (0, 0), "{tally:?}");
    eventually("it is told", || namespace.folder.read("log").contains("output-dropped"));
    let before = turns(namespace.init());
    sleep(Duration::from_secs(2));
    let more = turns(namespace.init()) - before;
    assert!(more < 50, "{more} wake-ups in two idle seconds");
}

#[test]
fn connections_are_counted_where_nothing_else_is() {
    // In a network namespace of its own: all others' connections count too.
    let requests = |words: &str| {
        let loopback = fixture("loopback.py").display().to_string();
        let client = fixture("client.py").display().to_string();
        let script = format!(
            "python3 {client} 8000 {words} & exec python3 -m http.server -p HTTP/1.1 -b 127.0.0.1 8000 2>/dev/null"
        );
        let mut namespace =
            Setup::new("python3", [&loopback, OSTLER, "--", "sh", "-c", &script].map(|word| word as &str))
                .env("OSTLER_MAX_REQUESTS", MUCH)
                .env("OSTLER_COUNT", "connections")
                .start();
        namespace.wait_for_out("sent");
        sleep(Duration::from_millis(1200));
        namespace.signal(15);
        namespace.end();
        field(&namespace.events("generation-ended")[0], "requests")
    };
    assert_eq!(requests("300"), 300);
    // An estimate: a connection is one, whatever is asked on it.
    assert_eq!(requests("50 keep"), 1);
}

#[test]
fn a_source_that_stays_silent_is_told_once_with_the_cure() {
    let port = free_port();
    // UvicornWorker sends no statsd metrics of requests.
    let mut namespace = counted(Version::New, "uvicorn", port, &[("OSTLER_COUNT", "statsd")], &[]);
    both_workers_serve(port);
    load(port, 50, Connections::Fresh);
    namespace.wait_for_err("count-silent");
    let line = namespace.events("count-silent").remove(0);
    assert!(line.contains("write OSTLER_COUNT=access-log") && field(&line, "connections") >= 20, "{line}");
    assert_eq!(end(namespace), 0);
}
