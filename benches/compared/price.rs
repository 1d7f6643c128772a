//! What does it need of an image, and how much does it say? What it
//! costs in bytes, memory and time is measured by benches/peers.

use crate::inits::{Init, Offer, yes};
use crate::support::{Folder, Setup};
use crate::watch::{LIMIT, end};
use crate::{Behaviour, Section};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;

pub(crate) const SECTION: Section = Section {
    title: "What it needs, and says",
    behaviours: &[
        Behaviour {
            words: "runs in an image that holds only it and its program: no C library, no /proc",
            see: |init| both(init, alone),
        },
        Behaviour { words: "lines on stderr by default, for `true`", see: lines },
    ],
};

/// Of the binary, and of a static one that comes with it.
fn both(init: Init, see: fn(&Path) -> Result<String>) -> Result<String> {
    let mut cell = see(init.path())?;
    if let Some(path) = init.static_path() {
        let name = path.file_name().context("a path with a name")?.display();
        let _ = write!(cell, "; {name}: {}", see(path)?);
    }
    Ok(cell)
}

fn alone(path: &Path) -> Result<String> {
    let root = Folder::new();
    fs::copy(path, root.path("init"))?;
    fs::copy("/bin/busybox", root.path("busybox"))?;
    let root = root.0.to_str().context("a path in UTF-8")?;
    let mut namespace =
        Setup::new("unshare", ["--root", root, "/init", "--", "/busybox", "sh", "-c", "exit 5"]).start();
    Ok(yes(end(&mut namespace, LIMIT).context("it does not end")? == 5))
}

fn lines(init: Init) -> Result<String> {
    let mut namespace = init.run(Offer::DEFAULT, &["true"]).start();
    end(&mut namespace, LIMIT).context("it does not end")?;
    Ok(namespace.err().lines().count().to_string())
}
