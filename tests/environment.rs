//! The environment that ostler is given: what it holds is nobody's business, and what it promises may not be there.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{OSTLER, Setup};

#[test]
fn sockets_that_were_promised_and_not_handed_over_are_told_and_no_others_taken_for_them() {
    // The first free numbers are those of ostler's own descriptors.
    for count in ["1", "2", "1000000"] {
        let script = "LISTEN_PID=$$ LISTEN_FDS=$1 exec \"$0\" -- echo started";
        let script = format!("export LISTEN_PID LISTEN_FDS; {script}");
        let mut namespace = Setup::new("sh", ["-c", &script, OSTLER, count]).run();
        assert_eq!(namespace.end(), 1, "{}", namespace.err());
        assert!(
            namespace.err().contains("descriptor 3 of LISTEN_FDS is no listening"),
            "{}",
            namespace.err()
        );
        assert_eq!(namespace.out(), "");
    }
}

#[test]
fn no_value_of_the_environment_is_ever_told() {
    let secret = "s3cr3t-of-the-app";
    let with = |setup: Setup| setup.env("DATABASE_URL", secret).env("OSTLER_LOG_LEVEL", "debug");
    let mut all = String::new();
    for format in ["text", "json"] {
        let mut namespace =
            with(Setup::new(OSTLER, ["--", "sh", "-c", "kill -WINCH 1; (sleep 0 &); exit 3"]))
                .env("OSTLER_LOG", format)
                .env("OSTLER_LISTEN", "unix:x.sock")
                .run();
        assert_eq!(namespace.end(), 3);
        all += &namespace.err();
    }
    // What is told of its settings is what they are, not what the variable holds.
    let words = format!("-k {secret}.Worker --statsd-host {secret}:8125 --access-logfile /{secret}");
    for word in ["-k", "--statsd-host", "--access-logfile"] {
        let mut words = words.split(' ').skip_while(|each| *each != word).take(2).collect::<Vec<_>>();
        words.insert(0, "-w 2");
        for first in [&["--check"][..], &[]] {
            let command = [first, &["--", "true", "gunicorn", "a:b"]].concat();
            let setup = with(Setup::new(OSTLER, command)).env("OSTLER_MAX_REQUESTS", "9");
            let namespace = setup.env("GUNICORN_CMD_ARGS", words.join(" ")).run();
            all += &(namespace.out() + &namespace.err());
        }
    }
    assert!(all.contains("GUNICORN_CMD_ARGS"), "the control: {all}");
    for arguments in
        [&["--check", "--", "gunicorn", "a:b"][..], &["--help"], &["--doctor"], &["--", "/not/there"]]
    {
        let mut namespace = with(Setup::new(OSTLER, arguments)).run();
        namespace.end();
        all += &(namespace.out() + &namespace.err());
    }
    let mut bad = with(Setup::new(OSTLER, ["--", "true"])).env("OSTLER_LOG", "loud").run();
    assert_eq!(bad.end(), 1);
    all += &bad.err();
    assert!(all.contains("OSTLER_LOG=loud"), "the control: ostler's own are told");
    assert!(!all.contains(secret), "{all}");
}
