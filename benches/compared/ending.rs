//! What happens at the end of the child, and of the container?

use crate::inits::{Init, Offer, Wish, yes, yes_or_how};
use crate::support::Folder;
use crate::watch::{LIMIT, NEVER, end, start, within};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};
use std::io::{ErrorKind, PipeWriter, Write, pipe};

pub(crate) const SECTION: Section = Section {
    title: "The end of the child",
    behaviours: &[
        Behaviour {
            words: "a child that ignores TERM is killed after a grace period (here 300 ms)",
            see: |init| {
                let offer = init.offer(Wish::Grace).unwrap_or(Offer::DEFAULT);
                let namespace = start(init.run(offer, &["sh", "-c", IGNORES_TERM]), "ready", 1);
                let mut namespace = namespace.context("the child is not started")?;
                namespace.signal(15);
                Ok(yes(end(&mut namespace, NEVER).is_some()))
            },
        },
        Behaviour {
            words: "when the child has ended, the rest of its group gets TERM, and time to end",
            see: |init| rest(init, "group"),
        },
        Behaviour {
            words: "the same for a daemon with a session of its own",
            see: |init| rest(init, "session"),
        },
        Behaviour {
            words: "a child that fails can be started again",
            see: |init| yes_or_how(init, Wish::Restart, |offer| Ok(starts_again(init, offer, "exit 1"))),
        },
        Behaviour {
            words: "a child can be replaced while it is well (by age; requests and memory likewise)",
            see: |init| yes_or_how(init, Wish::Age, |offer| Ok(starts_again(init, offer, "exec sleep 60"))),
        },
        Behaviour {
            words: "without a program it can sleep, as the pause container of a pod does",
            see: |init| {
                let offer = init.offer(Wish::Pause).unwrap_or(Offer::DEFAULT);
                let mut namespace = init.run(offer, &[]).start();
                Ok(if end(&mut namespace, NEVER).is_some() {
                    yes(false)
                } else {
                    format!("with {}", offer.words())
                })
            },
        },
        Behaviour {
            words: "works while nobody reads a stderr that is full",
            see: |init| works_unread(init, Offer::DEFAULT),
        },
        Behaviour {
            words: "the same, told to tell all (`-v`, tini three times)",
            see: |init| match init.offer(Wish::Verbose) {
                Some(offer) => works_unread(init, offer),
                None => Ok("has no `-v`".to_owned()),
            },
        },
    ],
};

const IGNORES_TERM: &str = "trap '' TERM; echo ready; while :; do sleep 0.1; done";

/// The child ends by itself once another process, of its group or a session of its own, works. That one says when it is
/// asked to end, needs a moment for it, and says when it is done.
const LEAVES_SOMEONE: &str = "import os, signal, sys, time
def stop(*_):
    print('asked', flush=True)
    time.sleep(0.2)
    print('done', flush=True)
    os._exit(0)
works, tell = os.pipe()
if os.fork() == 0:
    if sys.argv[1] == 'session': os.setsid()
    signal.signal(signal.SIGTERM, stop)
    os.write(tell, b'.')
    while True: time.sleep(60)
os.read(works, 1)
print('ready', flush=True)
os._exit(3)";

fn rest(init: Init, whose: &str) -> Result<String> {
    let (mut asked, mut done) = (0, 0);
    for _ in 0..TRIES {
        let mut namespace = init.run(Offer::DEFAULT, &["python3", "-c", LEAVES_SOMEONE, whose]).start();
        end(&mut namespace, LIMIT).context("it does not end")?;
        let out = namespace.out();
        anyhow::ensure!(out.contains("ready"), "the child is not started: {}", namespace.err());
        asked += usize::from(out.contains("asked"));
        done += usize::from(out.contains("done"));
    }
    Ok(match (asked, done) {
        (0, _) => "no".to_owned(),
        (_, TRIES) => "yes".to_owned(),
        _ => format!("{asked} of {TRIES} got TERM, {done} the time"),
    })
}

const TRIES: usize = 10;

fn starts_again(init: Init, offer: Offer, then: &str) -> bool {
    let script = format!("echo started; {then}");
    let mut namespace = init.run(offer, &["sh", "-c", &script]).start();
    within(NEVER * 2, || namespace.ended() || again(&namespace.out()));
    again(&namespace.out())
}

fn again(out: &str) -> bool {
    out.matches("started").count() >= 2
}

/// A child that writes nothing itself, and needs no other process of its group.
const TELLS_BY_FILES: &str = "import os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: open('usr1', 'w').close())
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
open('ready', 'w').close()
while True: time.sleep(60)";

/// It must start its child, pass a signal on, and end with the child's status.
fn works_unread(init: Init, offer: Offer) -> Result<String> {
    let (_unread, mut full) = pipe()?;
    fill(&mut full)?;
    let child = ["python3", "-c", TELLS_BY_FILES];
    let mut namespace = init.run(offer, &child).output(&full).start();
    let there = |name: &str, folder: &Folder| folder.path(name).exists();
    if !within(NEVER, || there("ready", &namespace.folder)) {
        return Ok("no, the child is not started".to_owned());
    }
    namespace.signal(10);
    if !within(NEVER, || there("usr1", &namespace.folder)) {
        return Ok("no, signals do not come".to_owned());
    }
    namespace.signal(15);
    if end(&mut namespace, NEVER) != Some(5) {
        return Ok("no, it does not end with the child".to_owned());
    }
    Ok("yes".to_owned())
}

/// Writes until nothing more goes in.
fn fill(pipe: &mut PipeWriter) -> Result<()> {
    use nix::fcntl::{FcntlArg::F_SETFL, OFlag, fcntl};
    fcntl(&*pipe, F_SETFL(OFlag::O_NONBLOCK))?;
    // The last bytes one by one: a write of many that does not fit as a whole may be refused as a whole.
    for size in [4096, 1] {
        loop {
            match pipe.write(&vec![b'.'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    // Whoever gets it must wait as at any pipe.
    fcntl(&*pipe, F_SETFL(OFlag::empty()))?;
    Ok(())
}
