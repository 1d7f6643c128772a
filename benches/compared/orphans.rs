//! What becomes of processes whose parent has ended?

use crate::inits::{Init, Offer, Wish, yes_or_how};
use crate::support::fixture;
use crate::watch::{LIMIT, end, start};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};

pub(crate) const SECTION: Section = Section {
    title: "Orphans and zombies",
    behaviours: &[
        Behaviour {
            words: "zombies left of 20,000 orphans, of which 500 at a time end at the same moment",
            see: |init| {
                let script = fixture("orphans.py");
                let script = script.to_str().context("a path in UTF-8")?;
                let child = ["python3", script, "20000", "500", "10"];
                let mut namespace = init.run(Offer::DEFAULT, &child).start();
                end(&mut namespace, LIMIT * 4).context("it does not end")?;
                let out = namespace.out();
                let left = out.trim().strip_prefix("zombies ").context("it does not tell")?;
                Ok(left.to_owned())
            },
        },
        Behaviour {
            words: "orphans come to it where it is not PID 1",
            see: |init| yes_or_how(init, Wish::SubReaper, |offer| adopts(init, offer)),
        },
    ],
};

/// Says whether its grandchild, when its child has ended, comes to its parent, the init.
const LEAVES_AN_ORPHAN: &str = "import os, time
init = os.getppid()
if os.fork() == 0:
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle: time.sleep(0.01)
        print('adopted', os.getppid() == init, flush=True)
    os._exit(0)
time.sleep(60)";

fn adopts(init: Init, offer: Offer) -> Result<bool> {
    // The shell stays PID 1: it has something to do after the init.
    let shell = ["sh", "-c", "\"$@\"; exit", "sh"];
    let setup = init.run_under(&shell, offer, &["python3", "-c", LEAVES_AN_ORPHAN]);
    let namespace = start(setup, "adopted", 1).context("the orphan does not tell")?;
    Ok(namespace.out().contains("True"))
}
