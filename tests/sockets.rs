//! Held sockets: opened or taken over, handed to the child, and what is told when that cannot be.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Instant;
use support::{Folder, LIMIT, NEVER, OSTLER, Setup, fixture, free_port, refused};

/// The descriptors that a program has without ostler (0, 1, 2, and what the tests themselves were started with), and
/// these.
fn open_descriptors(more: &[i32]) -> BTreeSet<i32> {
    let script = fixture("sockets.py");
    let alone = Setup::new("python3", [script.to_str().unwrap()]).run().out();
    listed(&alone).chain(more.iter().copied()).collect()
}

/// The descriptors that sockets.py has told of.
fn listed(out: &str) -> impl Iterator<Item = i32> {
    let list = out.split_once("open {").unwrap().1.trim_end_matches("}\n").split(", ");
    list.map(|number| number.parse().unwrap())
}

#[test]
fn held_sockets_are_handed_over_from_3_on() {
    let (one, two) = (free_port(), free_port());
    let script = fixture("sockets.py");
    // Descriptors that are open already, where the sockets belong, are in nobody's way.
    let shell = "exec \"$@\" 3</dev/null 4</dev/null 7</dev/null";
    let inner = ["-c", shell, "sh", OSTLER, "--", "python3", script.to_str().unwrap()];
    let setup = Setup::new("sh", inner)
        .env("OSTLER_LISTEN", format!("127.0.0.1:{one},unix:app.sock,[::1]:{two}"))
        // Meant for another process.
        .env("LISTEN_FDS", "9")
        .env("LISTEN_PID", "77")
        .env("LISTEN_FDNAMES", "old");
    let namespace = setup.run();
    let expected = format!(
        "own pid True\nnames tcp-{one}:unix-app.sock:tcp-{two}\n\
         fd 3 ('127.0.0.1', {one}) listening\nfd 4 app.sock.a listening\n\
         fd 5 ('::1', {two}, 0, 0) listening\nopen {:?}\n",
        open_descriptors(&[3, 4, 5, 7])
    );
    assert_eq!(namespace.out(), expected, "{}", namespace.err());
}

#[test]
fn without_held_sockets_the_child_gets_no_descriptor_of_ostlers() {
    let script = fixture("sockets.py");
    let namespace = Setup::ostler(["python3", script.to_str().unwrap()]).run();
    assert_eq!(namespace.out(), format!("own pid False\nnames None\nopen {:?}\n", open_descriptors(&[])));
}

#[test]
fn a_counted_child_gets_no_descriptor_but_its_own_end_of_the_pipe() {
    let script = fixture("sockets.py");
    for (source, more) in [("statsd", 0), ("access-log", 1)] {
        let namespace = Setup::ostler(["python3", script.to_str().unwrap(), "gunicorn"])
            .env("OSTLER_MAX_REQUESTS", "5")
            .env("OSTLER_COUNT", source)
            .run();
        let open = listed(&namespace.out()).count();
        assert_eq!(open, open_descriptors(&[]).len() + more, "{source}: {}", namespace.out());
    }
}

#[test]
fn everybody_may_connect_to_a_unix_socket_whatever_the_umask_which_the_child_keeps() {
    let shell = "umask 077; exec \"$0\" -- sh -c 'stat -c %a app.sock; umask'";
    let namespace = Setup::new("sh", ["-c", shell, OSTLER]).env("OSTLER_LISTEN", "unix:app.sock").run();
    assert_eq!(namespace.out(), "777\n0077\n", "{}", namespace.err());
}

#[test]
fn a_port_whose_last_connections_are_in_time_wait_is_listened_on() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    // The end that closes first, the server's, stays for a minute.
    drop(listener.accept().unwrap());
    drop((listener, client));
    let mut namespace = Setup::ostler(["echo", "started"]).env("OSTLER_LISTEN", address.to_string()).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (0, "started\n"), "{}", namespace.err());
}

#[test]
fn ipv4_and_ipv6_share_a_port() {
    let port = free_port();
    let script = fixture("sockets.py");
    let both = format!("0.0.0.0:{port},[::]:{port}");
    let namespace = Setup::ostler(["python3", script.to_str().unwrap()]).env("OSTLER_LISTEN", both).run();
    assert_eq!(namespace.out().matches(" listening").count(), 2, "{}", namespace.err());
}

/// Connections until the backlog is full.
fn fill(path: &std::path::Path) -> Vec<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let address = UnixAddr::new(path).unwrap();
    let connection = || {
        let one = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        connect(one.as_raw_fd(), &address).is_ok().then_some(one)
    };
    let waiting: Vec<_> = std::iter::from_fn(connection).take(10_000).collect();
    assert!(waiting.len() < 10_000, "the backlog is not full");
    waiting
}

#[test]
fn held_sockets_that_do_not_fit_the_limit_are_told() {
    let err = refused(&[("OSTLER_ULIMIT_NOFILE", "3"), ("OSTLER_LISTEN", "unix:a,unix:b")], &NEVER);
    assert!(err.contains("OSTLER_ULIMIT_NOFILE: too few for the sockets of OSTLER_LISTEN; write 5"), "{err}");
}

#[test]
fn a_unix_socket_of_a_dead_process_is_replaced_a_live_one_is_not() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let address = format!("unix:{}", path.display());
    let live = UnixListener::bind(&path).unwrap();
    let err = refused(&[("OSTLER_LISTEN", &address)], &NEVER);
    assert!(err.contains("Address already in use"), "{err}");
    // One that is too busy to answer is live too: a connection to it would wait.
    let waiting = fill(&path);
    refused(&[("OSTLER_LISTEN", &address)], &NEVER);
    drop((live, waiting));
    let mut namespace = Setup::ostler(["echo", "started"]).env("OSTLER_LISTEN", &address).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (0, "started\n"));
}

#[test]
fn the_files_of_unix_sockets_go_with_ostler_unless_they_are_anothers_by_then() {
    let left = |strategy, script: &str| {
        let namespace = Setup::ostler(["sh", "-c", script])
            .env("OSTLER_LISTEN", "unix:app.sock")
            .env("OSTLER_RECYCLE", strategy)
            .run();
        let names = fs::read_dir(&namespace.folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        (namespace.out(), names.join(" "))
    };
    let seen = "ls app.sock*";
    assert_eq!(left("handover", seen), ("app.sock\napp.sock.a\n".into(), "err out".into()));
    assert_eq!(left("restart", seen), ("app.sock\n".into(), "err out".into()));
    for strategy in ["handover", "restart"] {
        let replaced = left(strategy, "rm app.sock; echo precious >app.sock");
        assert_eq!(replaced, (String::new(), "app.sock err out".into()), "{strategy}");
    }
    // Nor does a boot that fails at another address leave any.
    let folder = Folder::new();
    let address = format!("unix:{0}/app.sock,unix:{0}/missing/app.sock", folder.0.display());
    refused(&[("OSTLER_LISTEN", &address)], &NEVER);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn files_that_are_in_the_way_are_left_alone_and_named() {
    let folder = Folder::new();
    let address = format!("unix:{}/app.sock", folder.0.display());
    for (name, cure) in [("app.sock", "remove it"), ("app.sock.a", "remove it")] {
        let path = folder.path(name);
        fs::write(&path, "precious").unwrap();
        let err = refused(&[("OSTLER_LISTEN", &address), ("OSTLER_RECYCLE", "handover")], &NEVER);
        assert!(err.contains(cure) && (name == "app.sock" || err.contains("at /")), "{err}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(path).unwrap();
    }
    // The step to the path: without it generations share a socket, and that is told.
    fs::write(folder.path("app.sock.new"), "precious").unwrap();
    let namespace =
        Setup::ostler(["true"]).env("OSTLER_LISTEN", &address).env("OSTLER_RECYCLE", "handover").run();
    let told = namespace.events("socket-shared").concat();
    assert!(told.contains("app.sock.new"), "{}", namespace.err());
    assert_eq!(folder.read("app.sock.new"), "precious");
}

#[test]
fn ipv6_takes_ipv4_too_where_that_has_no_socket_of_its_own() {
    let port = free_port();
    let mut namespace = Setup::ostler(["sh", "-c", "echo ready; exec sleep 60"])
        .env("OSTLER_LISTEN", format!("[::]:{port}"))
        .start();
    namespace.wait_for_out("ready");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// A child that tells of its sockets, under an inner ostler that an outer one hands sockets to.
fn inherited(outer: &str, inner: &[&str]) -> support::Namespace {
    let script = fixture("sockets.py");
    let command =
        [&["env", "-u", "OSTLER_LISTEN"], inner, &[OSTLER, "--", "python3", script.to_str().unwrap()]]
            .concat();
    Setup::ostler(command).env("OSTLER_LISTEN", outer).run()
}

#[test]
fn sockets_that_ostler_was_handed_are_handed_on() {
    let (one, two, three) = (free_port(), free_port(), free_port());
    let namespace = inherited(&format!("127.0.0.1:{one},127.0.0.1:{two}"), &[]);
    let expected = format!(
        "own pid True\nnames tcp-{one}:tcp-{two}\nfd 3 ('127.0.0.1', {one}) listening\n\
         fd 4 ('127.0.0.1', {two}) listening\nopen {:?}\n",
        open_descriptors(&[3, 4])
    );
    assert_eq!(namespace.out(), expected, "{}", namespace.err());
    assert_eq!(namespace.events("sockets-inherited").len(), 1);
    // In front of its own.
    let own = format!("OSTLER_LISTEN=127.0.0.1:{three}");
    let namespace = inherited(&format!("127.0.0.1:{one}"), &["env", &own]);
    let expected = format!(
        "own pid True\nnames tcp-{one}:tcp-{three}\nfd 3 ('127.0.0.1', {one}) listening\n\
         fd 4 ('127.0.0.1', {three}) listening\nopen {:?}\n",
        open_descriptors(&[3, 4])
    );
    assert_eq!(namespace.out(), expected, "{}", namespace.err());
}

#[test]
fn what_is_handed_over_must_be_listening_sockets() {
    let shell = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" -- echo started 3</dev/null";
    let mut namespace = Setup::new("sh", ["-c", shell, OSTLER]).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""));
    assert!(
        namespace.err().contains("descriptor 3 of LISTEN_FDS is no listening TCP"),
        "{}",
        namespace.err()
    );
}

#[test]
fn mode_owner_and_backlog_are_as_asked_for() {
    let shell = "stat -c '%a %u %g' app.sock";
    let namespace = Setup::ostler(["sh", "-c", shell])
        .env("OSTLER_LISTEN", "unix:app.sock")
        .env("OSTLER_LISTEN_MODE", "0660")
        .env("OSTLER_LISTEN_OWNER", "root:0")
        .run();
    assert_eq!(namespace.out(), "660 0 0\n", "{}", namespace.err());
    // The namespace of the test knows no other user.
    let err = refused(&[("OSTLER_LISTEN", "unix:a"), ("OSTLER_LISTEN_OWNER", "4242")], &NEVER);
    assert!(err.contains("OSTLER_LISTEN=unix:a: cannot listen there"), "{err}");
    let err = refused(&[("OSTLER_LISTEN", "unix:a"), ("OSTLER_LISTEN_OWNER", "nobody-here")], &NEVER);
    assert!(err.contains("OSTLER_LISTEN_OWNER: /etc/passwd names no nobody-here"), "{err}");
    for (backlog, most) in [("1", 4), ("max", 10_000)] {
        let mut namespace = Setup::ostler(["sh", "-c", "echo ready; exec sleep 60"])
            .env("OSTLER_LISTEN", "unix:app.sock")
            .env("OSTLER_LISTEN_BACKLOG", backlog)
            .start();
        namespace.wait_for_out("ready");
        let waiting = fill(&namespace.folder.path("app.sock"));
        assert!((1..most).contains(&waiting.len()), "{backlog}: {}", waiting.len());
    }
}

#[test]
fn a_backlog_that_the_kernel_cuts_is_told() {
    // net.core.somaxconn is the network namespace's; another file is laid over it here.
    let script = "echo 128 >most && mount --bind most /proc/sys/net/core/somaxconn && exec \"$0\" -- true";
    let namespace = Setup::new("sh", ["-c", script, OSTLER]).env("OSTLER_LISTEN", "unix:a").run();
    let told = namespace.events("backlog-cut").concat();
    assert!(told.contains("backlog=2048 somaxconn=128"), "{}", namespace.err());
}

#[test]
fn where_the_kernel_does_not_steer_generations_share_a_socket() {
    let port = free_port();
    let refuse = fixture("refuse.py");
    let script = fixture("sockets.py");
    let address = format!("127.0.0.1:{port}");
    let inner = [refuse.to_str().unwrap(), "cbpf", OSTLER, "--", "python3", script.to_str().unwrap()];
    let namespace = Setup::new("python3", inner).env("OSTLER_LISTEN", &address).run();
    assert!(
        namespace.out().contains(&format!("fd 3 ('127.0.0.1', {port}) listening")),
        "{}",
        namespace.err()
    );
    assert_eq!(namespace.events("socket-shared").len(), 1, "{}", namespace.err());
    // The control: here the kernel does.
    let namespace = Setup::ostler(["true"]).env("OSTLER_LISTEN", &address).run();
    assert_eq!(namespace.events("socket-shared").len(), 0, "{}", namespace.err());
}

#[test]
fn a_socket_of_somebody_else_is_not_joined() {
    // Both would be allowed to listen there: SO_REUSEPORT, and the same user.
    let port = free_port();
    let script = format!(
        "{OSTLER} -- sleep 60 & until grep -q listening err; do sleep 0.05; done; {OSTLER} -- echo started; exit $?"
    );
    let mut namespace =
        Setup::new("sh", ["-c", &script]).env("OSTLER_LISTEN", format!("127.0.0.1:{port}")).run();
    assert_eq!((namespace.end(), namespace.out().as_str()), (1, ""), "{}", namespace.err());
    assert!(namespace.err().contains("Address already in use"), "{}", namespace.err());
}

#[test]
fn who_comes_while_the_sockets_are_being_opened_is_answered() {
    // Had the second socket of an address been there before the kernel was told of it, one of them would wait for ever.
    let server = "import socket\ns = socket.socket(fileno=3)\nwhile True:\n c, _ = s.accept()\n c.recv(9)\n c.sendall(b'yes')\n c.close()";
    for _ in 0..10 {
        let port = free_port();
        let ask = move || {
            let start = Instant::now();
            let mut stream = loop {
                assert!(start.elapsed() < LIMIT, "nobody listens");
                if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                    break stream;
                }
            };
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"well?").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        let clients: Vec<_> = (0..8).map(|_| thread::spawn(ask)).collect();
        let _namespace = Setup::ostler(["python3", "-c", server])
            .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
            .start();
        for client in clients {
            assert_eq!(client.join().unwrap().unwrap(), "yes");
        }
    }
}
