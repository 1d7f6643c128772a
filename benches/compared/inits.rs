//! The four inits: where each is, and what its --help offers for what is looked at.

use crate::support::{OSTLER, Setup, tini};
use crate::watch::{LIMIT, end};
use anyhow::{Context, Result};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Init {
    Ostler,
    Tini,
    Dumb,
    Catatonit,
}

/// What one may want of an init that is not what it does by default.
#[derive(Clone, Copy)]
pub(crate) enum Wish {
    /// Signals go to the whole process group of the child.
    Group,
    /// Signals go to the child alone.
    Leader,
    /// SIGTERM becomes SIGQUIT.
    Rewrite,
    /// SIGHUP is not passed on.
    Swallow,
    /// The status 5 counts as success.
    Expect,
    /// Orphans come to it although it is not PID 1.
    SubReaper,
    /// All that it can tell is told.
    Verbose,
    /// It sleeps, and runs no program.
    Pause,
    /// SIGKILL follows a signal that ends nothing, soon.
    Grace,
    /// A child that fails is started again.
    Restart,
    /// A child is replaced when it has become a second old.
    Age,
}

/// How an init is asked for it.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

impl Offer {
    /// What an init does unasked.
    pub(crate) const DEFAULT: Self = Self { arguments: &[], environment: &[] };

    const fn option(arguments: &'static [&'static str]) -> Self {
        Self { arguments, environment: &[] }
    }

    const fn variable(environment: &'static [(&'static str, &'static str)]) -> Self {
        Self { arguments: &[], environment }
    }

    /// In Markdown.
    pub(crate) fn words(self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let arguments = self.arguments.iter().map(|&argument| argument.to_owned());
        format!("`{}`", variables.chain(arguments).collect::<Vec<_>>().join(" "))
    }
}

impl Init {
    pub(crate) const ALL: [Self; 4] = [Self::Ostler, Self::Tini, Self::Dumb, Self::Catatonit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ostler => "ostler",
            Self::Tini => "tini",
            Self::Dumb => "dumb-init",
            Self::Catatonit => "catatonit",
        }
    }

    /// A missing one is a failure, and no empty column.
    pub(crate) fn path(self) -> &'static Path {
        let path = match self {
            Self::Ostler => OSTLER,
            Self::Tini => tini(),
            Self::Dumb => "/usr/bin/dumb-init",
            Self::Catatonit => "/usr/bin/catatonit",
        };
        let path = Path::new(path);
        assert!(path.exists(), "{} is missing: tests/setup installs it", path.display());
        path
    }

    /// The same that needs no C library, where its package has two.
    pub(crate) fn static_path(self) -> Option<&'static Path> {
        (self == Self::Tini).then_some(Path::new("/usr/bin/tini-static"))
    }

    /// What it says of itself.
    pub(crate) fn version(self) -> Result<String> {
        let mut namespace = Setup::new(self.path(), ["--version"]).start();
        end(&mut namespace, LIMIT);
        let said = namespace.out() + &namespace.err();
        Ok(said.lines().next().context("it does not tell its version")?.to_owned())
    }

    /// It as PID 1, running `command`.
    pub(crate) fn run(self, offer: Offer, command: &[&str]) -> Setup {
        self.run_under(&[], offer, command)
    }

    /// The same, executed by `before`, which sets something up.
    pub(crate) fn run_under(self, before: &[&str], offer: Offer, command: &[&str]) -> Setup {
        let line = [before, &self.line(offer), command].concat();
        let (program, arguments) = line.split_at(1);
        let setup = Setup::new(program.concat(), arguments);
        offer.environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    }

    /// The beginning of its command line.
    pub(crate) fn line(self, offer: Offer) -> Vec<&'static str> {
        let path = self.path().to_str().unwrap_or_default();
        [&[path], offer.arguments, &["--"]].concat()
    }

    /// What its --help has for this.
    pub(crate) fn offer(self, wish: Wish) -> Option<Offer> {
        let option = |arguments| Some(Offer::option(arguments));
        let variable = |environment| Some(Offer::variable(environment));
        match (wish, self) {
            (Wish::Group, Self::Ostler | Self::Tini | Self::Catatonit) => option(&["-g"]),
            (Wish::Leader, Self::Dumb) => option(&["-c"]),
            (Wish::Rewrite, Self::Ostler) => variable(&[("OSTLER_SIGNALS", "TERM=QUIT")]),
            (Wish::Rewrite, Self::Dumb) => option(&["-r", "15:3"]),
            (Wish::Swallow, Self::Ostler) => variable(&[("OSTLER_SIGNALS", "HUP=")]),
            (Wish::Swallow, Self::Dumb) => option(&["-r", "1:0"]),
            (Wish::Expect, Self::Ostler | Self::Tini) => option(&["-e", "5"]),
            (Wish::SubReaper, Self::Tini) => option(&["-s"]),
            (Wish::Verbose, Self::Ostler | Self::Dumb) => option(&["-v"]),
            (Wish::Verbose, Self::Tini) => option(&["-v", "-v", "-v"]),
            (Wish::Pause, Self::Catatonit) => option(&["-P"]),
            (Wish::Grace, Self::Ostler) => variable(&[("OSTLER_GRACE_PERIOD", "300ms")]),
            (Wish::Restart, Self::Ostler) => variable(&[("OSTLER_RESTART", "on-failure")]),
            (Wish::Age, Self::Ostler) => variable(&[("OSTLER_MAX_AGE", "1s"), ("OSTLER_MIN_AGE", "1s")]),
            _ => None,
        }
    }
}

/// `yes` if it does so by default, or how it is asked for it, or `no`.
pub(crate) fn yes_or_how(
    init: Init,
    wish: Wish,
    mut does: impl FnMut(Offer) -> Result<bool>,
) -> Result<String> {
    if does(Offer::DEFAULT)? {
        return Ok("yes".to_owned());
    }
    match init.offer(wish) {
        Some(offer) if does(offer)? => Ok(format!("with {}", offer.words())),
        _ => Ok("no".to_owned()),
    }
}

pub(crate) fn yes(does: bool) -> String {
    if does { "yes" } else { "no" }.to_owned()
}
