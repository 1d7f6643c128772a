//! Who the child is and what it may do. Each attempt of an app that was broken into is shown to work against tini that
//! runs as the same user, as `docker run --user` has it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use support::during::{Place, during};
use support::load::both_workers_serve;
use support::recycles::{assert_no_fresh_failure, recycle, stop, told};
use support::venv::Version;
use support::{OSTLER, Setup, children, eventually, fixture, free_port, state, tini};

/// A user that every Debian has, with a group of its own and a home.
const USER: &str = "games";

fn id(flag: &str, user: &str) -> String {
    let output = Command::new("id").args([flag, user]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// ostler as root, that becomes `user`.
fn becomes(user: &str, command: &[&str]) -> Setup {
    let arguments = [&["--"], command].concat();
    Setup::rooted(OSTLER, arguments).env("OSTLER_USER", user)
}

/// What a process says of itself in /proc/PID/status.
const STATUS: &str = "cat /proc/self/status; echo ---; cat /proc/1/status; echo ---; \
                      echo HOME=$HOME USER=$USER LOGNAME=$LOGNAME; umask";

fn line<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let found = status.lines().find(|line| line.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().skip(1).collect()
}

const NONE: &str = "0000000000000000";
const SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

#[test]
fn the_child_is_that_user_with_all_that_belongs_to_it() {
    let (user, group) = (id("-u", USER), id("-g", USER));
    let mut namespace = becomes(USER, &["sh", "-c", STATUS])
        .env("HOME", "/root")
        .env("LOGNAME", "root")
        .env("OSTLER_UMASK", "0027")
        .run();
    assert_eq!(namespace.end(), 0);
    let out = namespace.out();
    let [child, init, rest] = out.split("---\n").collect::<Vec<_>>()[..] else { panic!("{out}") };
    assert_eq!(line(child, "Uid:"), [&user[..]; 4]);
    assert_eq!(line(child, "Gid:"), [&group[..]; 4]);
    assert_eq!(line(child, "Groups:"), [&group[..]]);
    assert_eq!(line(child, "NoNewPrivs:"), ["1"]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!((line(child, set), line(init, set)), (vec![NONE], vec![NONE]), "{set}");
    }
    // ostler itself: whom it may signal is by the effective user, who may signal it by the real and the saved one.
    assert_eq!(line(init, "Uid:"), ["65534", &user, "65534", &user]);
    assert_eq!(line(init, "Gid:"), [&group[..]; 4]);
    assert!(rest.contains(&format!("HOME=/usr/{USER} USER={USER} LOGNAME={USER}\n0027\n")), "{rest}");
    assert!(namespace.events("privileges")[0].contains("no_new_privs=1"), "{}", namespace.err());
}

#[test]
fn a_number_needs_no_name() {
    let mut namespace = becomes("12345:54321", &["sh", "-c", STATUS]).env("USER", "root").run();
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    let out = namespace.out();
    assert_eq!((line(&out, "Uid:"), line(&out, "Gid:")), (vec!["12345"; 4], vec!["54321"; 4]));
    assert!(out.contains("HOME=/ USER= LOGNAME=\n"), "{out}");
}

#[test]
fn what_is_kept_survives_in_every_set_and_works() {
    let low = (600..1024).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let bind = format!(
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', {})); print(open('/proc/self/status').read())",
        low.unwrap_or(80)
    );
    let may = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    assert_eq!(may.trim(), "1024", "the control below needs it");
    for (caps, ends) in [("NET_BIND_SERVICE", 0), ("none", 1), ("keep", 1)] {
        let mut namespace = becomes(USER, &["python3", "-c", &bind]).env("OSTLER_CAPS", caps).run();
        assert_eq!(namespace.end(), ends, "{caps}: {}", namespace.err());
        if ends == 0 {
            let out = namespace.out();
            for set in SETS {
                assert_eq!(line(&out, set), ["0000000000000400"], "{set}");
            }
        }
    }
}

#[test]
fn root_without_capabilities_has_none_in_any_set() {
    let mut namespace = Setup::rooted(OSTLER, ["--", "sh", "-c", STATUS]).env("OSTLER_CAPS", "none").run();
    assert_eq!(namespace.end(), 0);
    for status in namespace.out().split("---\n").take(2) {
        assert_eq!(line(status, "Uid:"), ["0"; 4]);
        for set in SETS {
            assert_eq!(line(status, set), [NONE], "{set}");
        }
    }
    let mut control = Setup::rooted(OSTLER, ["--", "sh", "-c", STATUS]).run();
    assert_eq!(control.end(), 0);
    assert_ne!(line(&control.out(), "CapEff:"), [NONE], "the control: root has some");
}

/// `id` with the set-user-ID bit, in the folder of a test.
fn set_user_id_program(folder: &Path) -> String {
    let path = folder.join("id");
    fs::copy("/usr/bin/id", &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The attempts of attack.py that worked.
fn worked(out: &str) -> Vec<&str> {
    out.lines().filter_map(|line| line.strip_suffix(" done")).collect()
}

#[test]
fn an_app_that_was_broken_into_gains_nothing_and_does_not_reach_ostler() {
    let attack = fixture("attack.py");
    let attack = attack.to_str().unwrap();
    let folder = support::Folder::new();
    let setuid = set_user_id_program(&folder.0);
    let setup = becomes(USER, &["python3", attack, &setuid]);
    // It may write here, so a core file would be here.
    chown(&setup.folder().0, Some(id("-u", USER).parse().unwrap()), None).unwrap();
    let mut namespace = setup.run();
    assert_eq!(namespace.end(), 0, "{}", namespace.err());
    let out = namespace.out();
    assert_eq!(worked(&out), [""; 0], "{out}");
    assert!(out.contains("\naborted\n") && out.ends_with("survived\n"), "{out}");
    assert_eq!(out.matches(" refused\n").count(), 10 + 63, "{out}");
    let files: Vec<_> =
        fs::read_dir(&namespace.folder.0).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "no core beside out and err: {files:?}");

    // The controls: a set-user-ID program does have effect where it may, ...
    let mut namespace = becomes(USER, &["python3", attack, &setuid]).env("OSTLER_NO_NEW_PRIVS", "0").run();
    assert_eq!(namespace.end(), 0);
    assert_eq!(worked(&namespace.out()), ["set-user-id-program"]);
    // ... and all else against an init that is the same user, until a signal ends the app with it.
    let (user, group) = (id("-u", USER), id("-g", USER));
    let as_user =
        ["--reuid", &user, "--regid", &group, "--clear-groups", tini(), "--", "python3", attack, &setuid];
    let mut control = Setup::rooted("setpriv", as_user).run();
    assert_eq!(control.end(), 128 + 1);
    let out = control.out();
    for attempt in [
        "set-user-id-program",
        "raise-core-limit",
        "prlimit-init",
        "trace-init",
        "write-init-memory",
        "read-init-environment",
        "list-init-descriptors",
    ] {
        assert!(worked(&out).contains(&attempt), "{attempt}: {out}");
    }
}

#[test]
fn a_gunicorn_that_is_another_user_is_handed_over_counted_and_reaped() {
    let port = free_port();
    let folder = support::Folder::new();
    let user: u32 = id("-u", USER).parse().unwrap();
    chown(&folder.0, Some(user), None).unwrap();
    let socket = folder.path("app.sock");
    let command = Version::New.command("gthread");
    let arguments = command.iter().skip(1).map(String::as_str);
    let command: Vec<_> = ["python3", "-m", "gunicorn"].into_iter().chain(arguments).collect();
    let listen = format!("127.0.0.1:{port},unix:{}", socket.display());
    let mut namespace = becomes(USER, &command)
        .env("PYTHONPATH", Version::New.modules())
        .env("OSTLER_LISTEN", listen)
        .env("OSTLER_MAX_REQUESTS", "100000")
        .env("OSTLER_MAX_MEMORY", "2GiB")
        .start();
    both_workers_serve(port);
    let found = fs::metadata(&socket).unwrap();
    assert_eq!(found.uid(), user);
    let ((), shown) = during(&Place::port(port), || recycle(&mut namespace, 2));
    assert_no_fresh_failure(&shown, "tcp");
    let ((), shown) = during(&Place::Unix(socket), || recycle(&mut namespace, 1));
    assert_no_fresh_failure(&shown, "unix");
    assert_eq!((told(&namespace, "handed-over"), told(&namespace, "memory-unseen")), (3, 0));
    // Counted: each generation that has ended had requests.
    for ended in namespace.events("generation-ended") {
        assert!(support::field(&ended, "requests") > 0, "{ended}");
    }
    let init = namespace.init();
    let below = children(init);
    assert!(below.iter().all(|pid| fs::metadata(format!("/proc/{pid}")).unwrap().uid() == user));
    stop(&mut namespace);
    assert!(below.iter().all(|pid| state(*pid).is_none()));
}

#[test]
fn a_log_at_dev_stdout_can_be_opened() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut namespace = becomes(USER, &["sh", "-c", "echo again >/dev/stdout"]).output(&writer).run();
    assert_eq!(namespace.end(), 0);
    drop((namespace, writer));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert!(text.contains("again\n"), "{text}");
    // The control: a pipe of root's, and a shell that was given another user only.
    let (_reader, writer) = std::io::pipe().unwrap();
    let as_user = ["--reuid", USER, "--regid", USER, "--clear-groups", "sh", "-c", "echo again >/dev/stdout"];
    let mut control = Setup::rooted("setpriv", as_user).output(&writer).run();
    assert_ne!(control.end(), 0);
}

#[test]
fn ostlers_parent_death_signal_outlives_the_change() {
    let setup =
        Setup::rooted("sh", ["-c", &format!("{OSTLER} -p TERM -- sleep 1000 & read line <start; exit 0")]);
    let folder = setup.folder().0.clone();
    assert!(Command::new("mkfifo").arg(folder.join("start")).status().unwrap().success());
    let mut namespace = setup.env("OSTLER_USER", USER).start();
    namespace.wait_for_err(" generation-started: ");
    let shell = namespace.init();
    let ostler = children(shell)[0];
    let caught = fs::read_to_string(format!("/proc/{ostler}/status")).unwrap();
    assert!(line(&caught, "Uid:").contains(&&id("-u", USER)[..]), "{caught}");
    fs::write(folder.join("start"), "go\n").unwrap();
    eventually("it stops with its parent", || state(ostler).is_none());
    assert!(namespace.ended() || namespace.end() == 0);
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_started() {
    let never = ["--", "echo", "started"];
    let (user, group) = (id("-u", USER), id("-g", USER));
    let plain = ["--reuid", &user, "--regid", &group, "--clear-groups", OSTLER];
    let as_user = [&plain[..], &never].concat();
    let few = ["--bounding-set", "-setuid,-setgid", "--inh-caps", "-all", OSTLER];
    let few = [&few[..], &never].concat();
    let root = [&["--clear-groups", OSTLER][..], &never].concat();
    for (arguments, environment, words) in [
        (&as_user, &[("OSTLER_USER", "root")][..], "only root can become root (0:0)"),
        (&as_user, &[("OSTLER_CAPS", "KILL")], "KILL not held here"),
        (&as_user, &[("OSTLER_CAPS", "none")], "write OSTLER_NO_NEW_PRIVS=1 too"),
        (&few, &[("OSTLER_USER", USER)], "needs CAP_SETUID and CAP_SETGID"),
        (&root, &[("OSTLER_USER", "nobody-here")], "/etc/passwd names no nobody-here"),
        (&root, &[("OSTLER_USER", "12345")], "write user:group, such as 12345:12345"),
        (
            &root,
            &[("OSTLER_USER", USER), ("OSTLER_LISTEN", "unix:/run/ostler-test.sock")],
            "cannot listen there: Permission denied",
        ),
        (
            &root,
            &[
                ("OSTLER_USER", USER),
                ("OSTLER_LISTEN", "unix:/tmp/ostler-test-owner.sock"),
                ("OSTLER_LISTEN_OWNER", "root"),
            ],
            "cannot be given away",
        ),
    ] {
        let mut setup = Setup::rooted("setpriv", arguments);
        for (name, value) in environment {
            setup = setup.env(name, value);
        }
        let mut namespace = setup.run();
        assert_eq!(namespace.end(), 1, "{environment:?}: {}", namespace.err());
        assert_eq!(namespace.out(), "", "{environment:?}");
        assert!(namespace.err().contains(words), "{words}: {}", namespace.err());
    }
    for left in ["/run/ostler-test.sock", "/tmp/ostler-test-owner.sock", "/tmp/ostler-test-owner.sock.a"] {
        assert!(!Path::new(left).exists(), "{left}");
    }
    // The control: with what is missing they all do.
    let mut namespace =
        Setup::rooted("setpriv", as_user).env("OSTLER_CAPS", "none").env("OSTLER_NO_NEW_PRIVS", "1").run();
    assert_eq!((namespace.end(), &namespace.out()[..]), (0, "started\n"), "{}", namespace.err());
}
