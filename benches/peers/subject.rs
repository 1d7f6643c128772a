//! Who is measured: both builds of ostler, and the inits of Debian.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, OSTLER, Setup};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Musl,
    Glibc,
    Tini,
    TiniStatic,
    Dumb,
    Catatonit,
}

impl Subject {
    pub(crate) const ALL: [Self; 6] =
        [Self::Musl, Self::Glibc, Self::Tini, Self::TiniStatic, Self::Dumb, Self::Catatonit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Musl => "ostler (musl)",
            Self::Glibc => "ostler (glibc)",
            Self::Tini => "tini",
            Self::TiniStatic => "tini-static",
            Self::Dumb => "dumb-init",
            Self::Catatonit => "catatonit",
        }
    }

    fn path(self) -> PathBuf {
        match self {
            Self::Musl => {
                let name = concat!("target/dist/ostler-", env!("CARGO_PKG_VERSION"), "-linux-amd64");
                Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
            }
            Self::Glibc => OSTLER.into(),
            Self::Tini => "/usr/bin/tini".into(),
            Self::TiniStatic => "/usr/bin/tini-static".into(),
            Self::Dumb => "/usr/bin/dumb-init".into(),
            Self::Catatonit => "/usr/bin/catatonit".into(),
        }
    }

    /// A missing one is a failure, and no empty column.
    pub(crate) fn found(self) -> Result<PathBuf> {
        let path = self.path();
        let cure = match self {
            Self::Musl => "tools/release makes it",
            Self::Glibc | Self::Tini | Self::TiniStatic | Self::Dumb | Self::Catatonit => "run tests/setup",
        };
        ensure!(path.exists(), "{} is missing: {cure}", path.display());
        Ok(path)
    }
}

/// The program that the inits start, built as the musl release is.
pub(crate) struct Child {
    folder: Folder,
}

impl Child {
    pub(crate) fn build() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Folder::new();
        let built = Command::new(root.join("target/venvs/musl/bin/python"))
            .args(["-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-O2", "-static", "-s", "-o"])
            .arg(folder.path("child"))
            .arg(root.join("benches/peers/child.c"))
            .status()
            .context("tools/release sets up the compiler")?;
        ensure!(built.success(), "child.c: {built}");
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path("child").display().to_string()
    }

    /// It with these words, as the child of an init that is PID 1.
    pub(crate) fn under(&self, subject: Subject, words: &[&str]) -> Result<Setup> {
        let child = self.path();
        Ok(Setup::new(subject.found()?, [&["--", &child], words].concat()))
    }
}
