//! Which signals reach whom?

use crate::inits::{Init, Offer, Wish, yes, yes_or_how};
use crate::support::{Namespace, children, fixture, state};
use crate::watch::{LIMIT, NEVER, end, says, start, within};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::hint::spin_loop;
use std::process::id;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const SECTION: Section = Section {
    title: "Signals",
    behaviours: &[
        Behaviour { words: "of the 64 signals, so many reach the child", see: how_many },
        Behaviour {
            words: "TTIN reaches the child (gunicorn: one worker more)",
            see: |init| reaches(init, 21),
        },
        Behaviour {
            words: "TTOU reaches the child (gunicorn: one worker less)",
            see: |init| reaches(init, 22),
        },
        Behaviour { words: "who gets USR1, by default", see: |init| who(init, Offer::DEFAULT) },
        Behaviour {
            words: "it can reach the child alone",
            see: |init| yes_or_how(init, Wish::Leader, |offer| Ok(who(init, offer)? == "child")),
        },
        Behaviour {
            words: "it can reach the child's whole process group",
            see: |init| yes_or_how(init, Wish::Group, |offer| Ok(who(init, offer)? == "child, group")),
        },
        Behaviour {
            words: "TERM can become QUIT",
            see: |init| yes_or_how(init, Wish::Rewrite, |offer| becomes(init, offer, 15, "got 3\n")),
        },
        Behaviour {
            words: "HUP can be kept from the child",
            see: |init| {
                yes_or_how(init, Wish::Swallow, |offer| {
                    let Some(namespace) = listening(init, offer)? else { return Ok(false) };
                    namespace.signal(1);
                    namespace.signal(10);
                    // What comes after it has come: so it would be there.
                    says(&namespace, "got 10\n", LIMIT);
                    Ok(!says(&namespace, "got 1\n", Duration::from_millis(500)))
                })
            },
        },
        Behaviour { words: "TERMs lost of 100, in the first 2 ms of its life", see: lost },
        Behaviour {
            words: "TERM ends a child that was stopped (STOP, ctrl-Z)",
            see: |init| {
                let namespace = start(init.run(Offer::DEFAULT, &SLEEPS), "ready", 1);
                let mut namespace = namespace.context("the child is not started")?;
                let child = only_child(&namespace)?;
                signal(child, Signal::SIGSTOP)?;
                within(LIMIT, || state(child) == Some('T'));
                namespace.signal(15);
                Ok(yes(end(&mut namespace, NEVER).is_some()))
            },
        },
    ],
};

pub(crate) const SLEEPS: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 60"];

/// A child that tells of every signal, and ends after TERM. Nothing if the init refuses.
fn listening(init: Init, offer: Offer) -> Result<Option<Namespace>> {
    let script = fixture("signals.py");
    let script = script.to_str().context("a path in UTF-8")?;
    Ok(start(init.run(offer, &["python3", script]), "ready", 1))
}

pub(crate) fn only_child(namespace: &Namespace) -> Result<u32> {
    children(namespace.init()).first().copied().context("it has no child")
}

/// `pid` is one that was found below the namespace's own unshare.
fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?);
    assert!(pid > Pid::from_raw(1));
    Ok(kill(pid, signal)?)
}

fn how_many(init: Init) -> Result<String> {
    let mut namespace = listening(init, Offer::DEFAULT)?.context("the child is not started")?;
    // KILL and STOP would end or freeze PID 1. TSTP, TTIN and
    // TTOU make dumb-init stop its child: CONT comes after each.
    let most = (1..=64).filter(|number| ![9, 15, 19, 20, 21, 22].contains(number));
    for number in most.chain([20, 18, 21, 18, 22, 18]) {
        namespace.signal(number);
        sleep(Duration::from_millis(5));
    }
    // The last: it ends the child.
    namespace.signal(15);
    end(&mut namespace, LIMIT).context("it does not end")?;
    let out = namespace.out();
    let got: BTreeSet<i32> = out.lines().filter_map(|line| line.strip_prefix("got ")?.parse().ok()).collect();
    Ok(got.len().to_string())
}

fn reaches(init: Init, number: i32) -> Result<String> {
    let namespace = listening(init, Offer::DEFAULT)?.context("the child is not started")?;
    let child = only_child(&namespace)?;
    namespace.signal(number);
    let got = format!("got {number}\n");
    within(NEVER, || namespace.out().contains(&got) || state(child) == Some('T'));
    Ok(if state(child) == Some('T') {
        "no, it stops the child".to_owned()
    } else {
        yes(namespace.out().contains(&got))
    })
}

fn becomes(init: Init, offer: Offer, number: i32, got: &str) -> Result<bool> {
    let Some(namespace) = listening(init, offer)? else { return Ok(false) };
    namespace.signal(number);
    Ok(says(&namespace, got, NEVER))
}

/// The child, another process of its group, and one of the same session in a group of its own: each says who it is.
const THREE: &str = "import os, signal, time
def listen(name):
    signal.signal(signal.SIGUSR1, lambda *_: print(name, flush=True))
    print('ready', flush=True)
    while True: time.sleep(60)
if os.fork() == 0: listen('group')
if os.fork() == 0:
    os.setpgid(0, 0)
    listen('session')
listen('child')";

fn who(init: Init, offer: Offer) -> Result<String> {
    let namespace = start(init.run(offer, &["python3", "-c", THREE]), "ready", 3);
    let namespace = namespace.context("the child is not started")?;
    namespace.signal(10);
    says(&namespace, "child", LIMIT);
    sleep(Duration::from_millis(500));
    let out = namespace.out();
    let got: Vec<_> = ["child", "group", "session"].into_iter().filter(|name| out.contains(name)).collect();
    Ok(got.join(", "))
}

/// Each TERM comes 20 us later than the one before it. It is
/// lost if the child comes to execute its program, and lives on.
fn lost(init: Init) -> Result<String> {
    let mut lost = 0;
    for number in 0..100 {
        let mut namespace = init.run(Offer::DEFAULT, &SLEEPS).start();
        let pid = as_soon_as_it_is(init)?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(20) * number {
            spin_loop();
        }
        signal(pid, Signal::SIGTERM)?;
        let mut ended = false;
        within(LIMIT, || {
            ended = namespace.ended();
            ended || namespace.out().contains("ready")
        });
        lost += usize::from(!ended && end(&mut namespace, Duration::from_millis(500)).is_none());
    }
    Ok(lost.to_string())
}

/// The pid of the init that this thread has just started, once it is executed: looked for without a pause.
fn as_soon_as_it_is(init: Init) -> Result<u32> {
    let begin = Instant::now();
    let name = format!("{}\n", init.name());
    while begin.elapsed() < LIMIT {
        for pid in children(id()).into_iter().flat_map(children) {
            if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == name) {
                return Ok(pid);
            }
        }
    }
    anyhow::bail!("it is not executed")
}
