//! From arguments and environment to a running child: what it is given, and what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use support::{Folder, NEVER, OSTLER, Setup, fixture, free_port, refused};

#[test]
fn every_bad_value_is_one_line_that_says_what_to_write() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&str, &str, &str)] = &[
        ("OSTLER_MAX_REQUESTS", "5k", "write a whole number of requests, such as 5000, or off"),
        ("OSTLER_MAX_REQUESTS_JITTER", "ten", "write a whole number, such as 5000"),
        ("OSTLER_MAX_AGE", "old", "write a duration, such as 250ms, 30s, 5m or 24h, or off"),
        (
            "OSTLER_MAX_MEMORY",
            "101%",
            "write a size, such as 512MiB, a share of the container's limit, such as 80%, or off",
        ),
        ("OSTLER_COUNT", "guess", "write auto, statsd, access-log, stdout or connections"),
        ("OSTLER_COUNT_SKIP", "healthz", "write beginnings of paths, such as /healthz,/ping, or none"),
        ("OSTLER_STATSD_FORWARD", "here", "write host:port, such as 10.0.0.1:8125, or none"),
        ("OSTLER_STATSD_FORWARD", "nobody.invalid:1", "/etc/hosts names no nobody.invalid; write an address"),
        ("OSTLER_MIN_AGE", "soon", "write a duration, such as 250ms, 30s, 5m or 24h"),
        ("OSTLER_GRACE_PERIOD", "-1", "write a duration, such as 250ms, 30s, 5m or 24h"),
        ("OSTLER_LOG", "xml", "write text, json or off"),
        ("OSTLER_LOG_LEVEL", "loud", "write error, warn, info or debug"),
        ("OSTLER_ULIMIT_CORE", "none", "write soft or soft:hard, such as 64MiB"),
        ("OSTLER_ULIMIT_NOFILE", "2:1", "the soft limit, which comes first, must not be over the hard one"),
        ("OSTLER_ULIMIT_NOFILE", "99999999999", "at most"),
        ("OSTLER_LISTEN", "localhost:80", "write addresses as numbers with a port"),
        (
            "OSTLER_LISTEN",
            &taken,
            "Address already in use; write another address, or stop what listens there",
        ),
        ("OSTLER_LISTEN", "203.0.113.1:80", "write an address of this machine"),
        ("OSTLER_LISTEN", "unix:/nonexistent/a.sock", "write a path in a folder that is there"),
        ("OSTLER_GRACE_PERIOD", "5M", "write a duration, such as 250ms, 30s, 5m or 24h"),
        ("OSTLER_MAX_REQUEST", "1", "there is no such variable; the nearest is OSTLER_MAX_REQUESTS"),
        ("OSTLER_ULIMIT_FILES", "1", "there is no such variable; the nearest is OSTLER_ULIMIT_"),
    ];
    for (name, value, cure) in cases {
        let err = refused(&[(name, value)], &NEVER);
        assert!(err.starts_with(&format!("ostler: {name}")) && err.contains(cure), "{name}={value}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let err = refused(&[("OSTLER_LOG", "x"), ("OSTLER_COUNT", "x"), ("OSTLER_X", "x")], &NEVER);
    assert_eq!(err.lines().count(), 3, "{err}");
    let err = refused(&[("OSTLER_LISTEN", "203.0.113.1:1"), ("OSTLER_ULIMIT_NOFILE", "99999999999")], &NEVER);
    assert_eq!(err.lines().count(), 2, "{err}");
}

#[test]
fn an_error_that_nobody_can_read_is_still_status_1() {
    let script = "exec \"$0\" --nonsense 2>/dev/full";
    assert_eq!(Setup::new("sh", ["-c", script, OSTLER]).run().end(), 1);
}

#[test]
fn a_script_whose_interpreter_is_missing_is_told_as_that() {
    let folder = Folder::new();
    let script = folder.path("app");
    fs::write(&script, "#!/nonexistent/python\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (program, path) in [(script.to_str().unwrap(), "/bin"), ("app", folder.0.to_str().unwrap())] {
        let mut namespace = Setup::ostler([program]).env("PATH", format!("{path}:/usr/bin:/bin")).run();
        assert_eq!(namespace.end(), 127);
        assert!(
            namespace.err().contains("or the interpreter that its first line names"),
            "{}",
            namespace.err()
        );
    }
}

#[test]
fn a_config_file_that_is_a_fifo_is_left_to_gunicorn() {
    let script = "mkfifo conf && exec \"$0\" --check -- gunicorn -c conf";
    let mut namespace = Setup::new("sh", ["-c", script, OSTLER]).env("OSTLER_MAX_REQUESTS", "5").run();
    assert_eq!(namespace.end(), 0);
    assert!(namespace.out().contains("count    access-log"), "{}", namespace.out());
}

#[test]
fn a_bad_command_line_is_one_line() {
    for (arguments, cure) in [
        (&[][..], "no program to run; write ostler -- PROGRAM [ARGS...]"),
        (&["-x", "true"], "ostler --help lists the options"),
        (&["--statsd", "true"], "ostler --help lists the options"),
    ] {
        let err = refused(&[], arguments);
        assert!(err.contains(cure) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn a_variable_that_is_no_utf_8_is_an_error_like_any_other() {
    let mut namespace =
        Setup::ostler(["echo", "started"]).env("OSTLER_LOG", OsString::from_vec(vec![0xff])).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""));
}

#[test]
fn arguments_and_environment_pass_untouched() {
    let odd = OsString::from_vec(b"\xff\n = '\"".to_vec());
    let script = OsString::from("printf '%s|' \"$0\" \"$@\"; printf '%s|%s' \"$ODD\" \"$OSTLER_LOG\"");
    let command = ["sh".into(), "-c".into(), script, odd.clone(), "--help".into(), OsString::new()];
    let namespace = Setup::ostler(command).env("ODD", &odd).env("OSTLER_LOG", "off").run();
    let expected = [odd.as_encoded_bytes(), b"|--help||", odd.as_encoded_bytes(), b"|off"].concat();
    assert_eq!(fs::read(namespace.folder.path("out")).unwrap(), expected);
    assert_eq!(namespace.err(), "");
}

#[test]
fn core_is_0_soft_and_hard_and_every_limit_can_be_set() {
    let limits = |environment: &[(&str, &str)], pick: &str| {
        let inner = [
            "--core=unlimited:unlimited",
            OSTLER,
            "--",
            "prlimit",
            "--noheadings",
            "--raw",
            "-o",
            "SOFT,HARD",
            pick,
        ];
        let mut setup = Setup::new("prlimit", inner);
        for (name, value) in environment {
            setup = setup.env(name, value);
        }
        setup.run().out().trim().to_owned()
    };
    assert_eq!(limits(&[], "--core"), "0 0");
    assert_eq!(limits(&[("OSTLER_ULIMIT_CORE", "keep")], "--core"), "unlimited unlimited");
    assert_eq!(limits(&[("OSTLER_ULIMIT_CORE", "1MiB:unlimited")], "--core"), "1048576 unlimited");
    assert_eq!(limits(&[("OSTLER_ULIMIT_NOFILE", "512:1024")], "--nofile"), "512 1024");
    assert_eq!(
        limits(&[("OSTLER_ULIMIT_NPROC", "max"), ("OSTLER_ULIMIT_STACK", "4MiB")], "--stack"),
        "4194304 4194304"
    );
    let [soft, hard] = [0, 1].map(|place| {
        limits(&[("OSTLER_ULIMIT_NOFILE", "max")], "--nofile").split(' ').nth(place).unwrap().to_owned()
    });
    assert_eq!(soft, hard);
}

#[test]
fn a_limit_above_the_hard_one_without_the_privilege_is_told() {
    let mut namespace =
        Setup::new("setpriv", ["--bounding-set=-sys_resource", OSTLER, "--", "echo", "started"])
            .env("OSTLER_ULIMIT_NOFILE", "99999999")
            .run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""));
    let err = namespace.err();
    assert!(
        err.contains("needs CAP_SYS_RESOURCE; write ") && err.contains("--ulimit nofile=99999999"),
        "{err}"
    );
}

#[test]
fn where_a_pipe_takes_core_dumps_the_limit_is_1() {
    // core_pattern is the machine's; in the namespace another file is laid over it.
    for (pattern, limit, told) in [("core", "0", 0), ("|/bin/collect %p", "1", 1)] {
        let script = "echo \"$1\" >pattern && mount --bind pattern /proc/sys/kernel/core_pattern && \
                      exec \"$0\" -- prlimit --noheadings --raw -o SOFT,HARD --core";
        let inner = ["--core=unlimited:unlimited", "sh", "-c", script, OSTLER, pattern];
        let namespace = Setup::new("prlimit", inner).run();
        assert_eq!(namespace.out(), format!("{limit} {limit}\n"), "{pattern}: {}", namespace.err());
        assert_eq!(namespace.events("core-limit").len(), told, "{pattern}");
    }
}

#[test]
fn where_even_1_cannot_be_had_against_a_pipe_the_server_starts_and_it_is_told() {
    let script = "echo '|/bin/collect' >pattern && mount --bind pattern /proc/sys/kernel/core_pattern && \
                  exec \"$0\" -- prlimit --noheadings --raw -o SOFT,HARD --core";
    let mut namespace = Setup::new("prlimit", ["--core=0:0", "sh", "-c", script, OSTLER]).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (0, "0 0\n"), "{}", namespace.err());
    let told = namespace.events("core-limit").concat();
    assert!(told.contains("core dumps are not stopped") && told.contains("--ulimit core=1"), "{told}");
}

#[test]
fn counting_adds_its_arguments_in_front_of_the_users() {
    let script = "echo \"$GUNICORN_CMD_ARGS\"";
    let shown = |environment: &[(&str, &str)]| {
        let mut setup = Setup::ostler(["sh", "-c", script, "gunicorn", "-k", "sync"]);
        for (name, value) in environment {
            setup = setup.env(name, value);
        }
        setup.run().out()
    };
    assert_eq!(shown(&[("GUNICORN_CMD_ARGS", "-w 3")]), "-w 3\n");
    let added = shown(&[("GUNICORN_CMD_ARGS", "-w 3"), ("OSTLER_MAX_REQUESTS", "5")]);
    assert!(added.starts_with("--statsd-host 127.0.0.1:") && added.ends_with(" -w 3\n"), "{added}");
    let added = shown(&[("OSTLER_COUNT", "access-log"), ("OSTLER_MAX_REQUESTS", "5")]);
    assert!(added.starts_with("--access-logfile /proc/self/fd/"), "{added}");
}

#[test]
fn what_cannot_be_counted_here_is_started_all_the_same() {
    // A sandbox that lets nobody bind a socket has no address for statsd.
    let refuse = fixture("refuse.py");
    let script = "echo started \"$GUNICORN_CMD_ARGS\"";
    let inner = [refuse.to_str().unwrap(), "bind", OSTLER, "--", "sh", "-c", script, "gunicorn"];
    let namespace = Setup::new("python3", inner).env("OSTLER_MAX_REQUESTS", "5").run();
    assert_eq!(namespace.out(), "started \n", "{}", namespace.err());
    let told = namespace.events("count-unsure").concat();
    assert!(told.contains("statsd cannot be opened here"), "{}", namespace.err());
}

#[test]
fn a_program_that_is_being_written_is_tried_again() {
    let folder = Folder::new();
    let program = folder.path("app");
    fs::copy("/bin/true", &program).unwrap();
    let writer = fs::File::options().append(true).open(&program).unwrap();
    let mut namespace = Setup::ostler([&program]).start();
    namespace.wait_for_err("spawn-failed: ");
    drop(writer);
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    assert!(namespace.err().contains("retry_in_s="), "{}", namespace.err());
}

#[test]
fn check_shows_every_value_and_its_origin_and_starts_nothing() {
    let port = free_port();
    let mut namespace = Setup::new(OSTLER, ["--check", "-v", "--", "gunicorn", "-k", "asgi"])
        .env("OSTLER_MAX_REQUESTS", "500")
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .run();
    assert_eq!(namespace.end(), 0);
    let out = namespace.out();
    for words in [
        &["OSTLER_MAX_REQUESTS", "500", "environment"][..],
        &["OSTLER_GRACE_PERIOD", "25s", "default"],
        &["OSTLER_LOG_LEVEL", "debug", "command line"],
        &["limit", "RLIMIT_CORE", "soft"],
        &["count", "access-log", "worker class asgi sends no statsd"],
        &["adds", "--access-logfile /proc/self/fd/"],
        &["adds", "LISTEN_FDS=1"],
    ] {
        let line = out.lines().find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{words:?} in\n{out}");
    }
    assert_eq!(namespace.err(), "");
}

#[test]
fn check_tells_what_counting_changes() {
    for (settings, command, words) in [
        (&[][..], &["uvicorn", "app:app"][..], &["changes", "stdout is a pipe to ostler"][..]),
        (&[("OSTLER_COUNT", "statsd")], &["node", "server.js"], &["adds", "STATSD_HOST=127.0.0.1"]),
        (&[("OSTLER_COUNT_SKIP", "/healthz")], &["gunicorn", "app"], &["adds", "'\"%(r)s\"'"]),
        (&[("OSTLER_STATSD_FORWARD", "10.0.0.1:8125")], &["uvicorn", "a:b"], &["warning", "has no effect"]),
        (&[("OSTLER_MAX_MEMORY", "1GiB")], &["true"], &["memory", "at most 1073741824 bytes"]),
    ] {
        let setup =
            Setup::new(OSTLER, [&["--check", "--"], command].concat()).env("OSTLER_MAX_REQUESTS", "500");
        let mut namespace = settings.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).run();
        assert_eq!(namespace.end(), 0, "{}", namespace.err());
        let out = namespace.out();
        let line = out.lines().find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{words:?} in\n{out}");
    }
}

#[test]
fn help_and_version() {
    for (flag, words) in
        [("-h", "Usage: ostler"), ("--help", "ULIMIT_CORE (0)"), ("--version", "ostler version 0.")]
    {
        let mut namespace = Setup::new(OSTLER, [flag]).run();
        assert_eq!(namespace.end(), 0);
        assert!(namespace.out().contains(words), "{flag}");
    }
}

#[test]
fn json_lines_are_json() {
    let mut namespace = Setup::ostler(["sh", "-c", "exit 7"]).env("OSTLER_LOG", "json").run();
    assert_eq!(namespace.end(), 7);
    let lines: Vec<serde_json::Value> =
        namespace.err().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["boot", "generation-started", "generation-ended"]);
    assert_eq!((&lines[2]["exit_code"], &lines[2]["level"]), (&7.into(), &"warn".into()));
}

/// Does an ELF file ask for a program interpreter (`PT_INTERP`, elf(5))?
fn has_interpreter(elf: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        elf[at..at + size].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(elf.starts_with(b"\x7fELF\x02\x01") && count > 0);
    (0..count).any(|index| number(offset + index * size, 4) == 3)
}

#[test]
fn the_binary_is_static_and_runs_in_an_empty_root() {
    assert!(!has_interpreter(&fs::read(OSTLER).unwrap()));
    assert!(has_interpreter(&fs::read("/bin/sh").unwrap()), "the control");

    let root = Folder::new();
    let copy = root.path("ostler");
    // By another process: what another test forks meanwhile would have the copy open for writing, until it executes
    // something, and nobody could execute that (ETXTBSY).
    assert!(
        std::process::Command::new("cp").args([OSTLER.as_ref(), copy.as_path()]).status().unwrap().success()
    );
    let inside = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--root"]);
        command.arg(&root.0).arg(program).args(arguments).output().unwrap()
    };
    // No /proc, no /dev, no shell: ostler starts itself.
    let output = inside("/ostler", &["--", "/ostler", "--version"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ostler version"));
    // The control: a program that needs a dynamic linker does not run there.
    fs::copy("/bin/true", root.path("true")).unwrap();
    assert!(!inside("/true", &[]).status.success());
}
