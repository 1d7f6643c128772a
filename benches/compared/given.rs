//! What does the child start with?

use crate::inits::{Init, Offer, yes};
use crate::support::{Setup, fixture};
use crate::watch::{LIMIT, end};
use crate::{Behaviour, Section};
use anyhow::{Context, Result, ensure};
use nix::pty::openpty;

pub(crate) const SECTION: Section = Section {
    title: "What the child starts with",
    behaviours: &[
        Behaviour {
            words: "its limit of core files, where the init's own is unlimited",
            see: |init| {
                let limit = ["prlimit", "--core=unlimited:unlimited"];
                said(init.run_under(&limit, Offer::DEFAULT, &["sh", "-c", "ulimit -c"]))
            },
        },
        Behaviour {
            words: "it ignores the signals that the init was started with ignored",
            see: |init| as_given(init, "1,13,34", "", "SigIgn:"),
        },
        Behaviour {
            words: "it blocks the signals that the init was started with blocked, and no other",
            see: |init| as_given(init, "", "10,15,40", "SigBlk:"),
        },
        Behaviour {
            words: "on a terminal, a process group of its own in the foreground",
            see: in_the_foreground,
        },
        Behaviour {
            words: "`LISTEN_PID` is its own pid, where the init was handed sockets",
            see: |init| {
                let own = "import os; print(os.environ['LISTEN_PID'] == str(os.getpid()))";
                let under = ["python3", "-c", HANDS_A_SOCKET];
                Ok(yes(said(init.run_under(&under, Offer::DEFAULT, &["python3", "-c", own]))? == "True"))
            },
        },
    ],
};

/// Becomes its arguments with a listening socket in the manner of `sd_listen_fds(3)`.
const HANDS_A_SOCKET: &str = "import os, socket, sys
held = socket.create_server(('127.0.0.1', 0))
held.set_inheritable(True)
if held.fileno() != 3: os.dup2(held.fileno(), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[1], sys.argv[1:])";

/// What the program writes.
fn said(setup: Setup) -> Result<String> {
    let mut namespace = setup.start();
    end(&mut namespace, LIMIT).context("it does not end")?;
    ensure!(!namespace.out().is_empty(), "the program says nothing: {}", namespace.err());
    Ok(namespace.out().trim().to_owned())
}

/// Compared to a program that is executed without an init.
fn as_given(init: Init, ignored: &str, blocked: &str, field: &str) -> Result<String> {
    let given = fixture("given.py");
    let given = ["python3", given.to_str().context("a path in UTF-8")?, ignored, blocked];
    let status = ["grep", field, "/proc/self/status"];
    let expected = mask(&said(Setup::new("env", [&given[..], &status].concat()))?)?;
    let got = mask(&said(init.run_under(&given, Offer::DEFAULT, &status))?)?;
    let numbers = |mask: u64| {
        let set = (1..=64).filter(|number| mask >> (number - 1) & 1 == 1);
        set.map(|number: u32| number.to_string()).collect::<Vec<_>>().join(", ")
    };
    Ok(match (expected & !got, got & !expected) {
        (0, 0) => "yes".to_owned(),
        (0, more) => format!("no, {} too", numbers(more)),
        (_, _) if got == 0 => "no, none".to_owned(),
        (fewer, _) => format!("no, not {}", numbers(fewer)),
    })
}

/// A line of /proc/PID/status: bit n-1 is signal n (proc(5)).
fn mask(line: &str) -> Result<u64> {
    let (_, digits) = line.split_once(':').context("no colon")?;
    Ok(u64::from_str_radix(digits.trim(), 16)?)
}

/// As with `docker run -t`: PID 1 leads a session, and stdin is its terminal.
fn in_the_foreground(init: Init) -> Result<String> {
    let terminal = openpty(None, None)?;
    let child = ["sh", "-c", "ps -o pid=,pgid=,tpgid= -p $$"];
    let setup = init.run_under(&["setsid", "--ctty"], Offer::DEFAULT, &child);
    let numbers = said(setup.stdin(terminal.slave.into()))?;
    let numbers: Vec<_> = numbers.split_whitespace().collect();
    let [pid, group, foreground] = numbers[..] else { anyhow::bail!("ps says {numbers:?}") };
    // Closing it before would hang the terminal up.
    drop(terminal.master);
    Ok(yes(pid == group && group == foreground))
}
