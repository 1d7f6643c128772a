//! With what status does it end?

use crate::inits::{Init, Offer, Wish, yes_or_how};
use crate::watch::{LIMIT, end};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};

pub(crate) const SECTION: Section = Section {
    title: "The status that it ends with",
    behaviours: &[
        Behaviour {
            words: "the child ends with 3",
            see: |init| of(init, Offer::DEFAULT, &["sh", "-c", "exit 3"]),
        },
        Behaviour {
            words: "signal 15 ends the child",
            see: |init| of(init, Offer::DEFAULT, &["sh", "-c", "kill -15 $$"]),
        },
        Behaviour {
            words: "signal 64 ends the child",
            see: |init| of(init, Offer::DEFAULT, &["sh", "-c", "kill -64 $$"]),
        },
        Behaviour {
            words: "the program is not found (a shell says 127)",
            see: |init| of(init, Offer::DEFAULT, &["/nonexistent"]),
        },
        Behaviour {
            words: "the program is not executable (a shell says 126)",
            see: |init| of(init, Offer::DEFAULT, &["/etc/passwd"]),
        },
        Behaviour {
            words: "a status can be told to count as success",
            see: |init| {
                yes_or_how(init, Wish::Expect, |offer| Ok(of(init, offer, &["sh", "-c", "exit 5"])? == "0"))
            },
        },
    ],
};

fn of(init: Init, offer: Offer, command: &[&str]) -> Result<String> {
    let mut namespace = init.run(offer, command).start();
    Ok(end(&mut namespace, LIMIT).context("it does not end")?.to_string())
}
