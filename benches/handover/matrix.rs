//! Which servers there are, and which ways to recycle them.

use crate::support;
use crate::support::venv::Version;
use std::path::Path;
use std::process::Command;

/// A way to recycle a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Not at all: the base line of latency.
    Never,
    /// The successor serves before the outgoing generation is told
    /// to stop; new connections are steered to one of the two.
    Handover,
    /// The same on one socket: whoever accepts first serves.
    Overlap,
    /// Stopped, then started, on a held socket.
    Restart,
    /// Stopped, then started, with a socket of the server's own.
    StopStart,
    /// gunicorn's own budget for each worker.
    MaxRequests,
    /// SIGHUP to gunicorn's master, which replaces its workers.
    Hup,
}

impl Strategy {
    pub(crate) const ALL: [Self; 7] = [
        Self::Never,
        Self::Handover,
        Self::Overlap,
        Self::Restart,
        Self::StopStart,
        Self::MaxRequests,
        Self::Hup,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Never => "none",
            Self::Handover => "handover",
            Self::Overlap => "overlap",
            Self::Restart => "restart",
            Self::StopStart => "stop-start",
            Self::MaxRequests => "max-requests",
            Self::Hup => "hup",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Does ostler hold the socket?
    pub(crate) fn held(self) -> bool {
        matches!(self, Self::Never | Self::Handover | Self::Overlap | Self::Restart)
    }
}

/// A server whose worker or workers answer with their pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// A gunicorn with two workers of a class.
    Gunicorn(Version, &'static str),
    /// The newest uvicorn without gunicorn: one process.
    Uvicorn,
}

impl Server {
    pub(crate) const ALL: [Self; 10] = [
        Self::Gunicorn(Version::Twenty, "sync"),
        Self::Gunicorn(Version::Twenty, "gthread"),
        Self::Gunicorn(Version::Twenty, "gevent"),
        Self::Gunicorn(Version::Twenty, "uvicorn"),
        Self::Gunicorn(Version::New, "sync"),
        Self::Gunicorn(Version::New, "gthread"),
        Self::Gunicorn(Version::New, "gevent"),
        Self::Gunicorn(Version::New, "uvicorn"),
        Self::Gunicorn(Version::New, "asgi"),
        Self::Uvicorn,
    ];

    /// What `--servers` calls it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Gunicorn(version, class) => {
                let venv = if version == Version::Twenty { "20" } else { "new" };
                format!("{venv}-{class}")
            }
            Self::Uvicorn => "uvicorn".to_owned(),
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.name() == name)
    }

    /// What the table calls it: with its release, since the newest will be another one some day.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Gunicorn(version, "uvicorn") => format!("{} UvicornWorker", release(version, "gunicorn")),
            Self::Gunicorn(version, class) => format!("{} {class}", release(version, "gunicorn")),
            Self::Uvicorn => format!("uvicorn {} alone", release(Version::New, "uvicorn")),
        }
    }

    /// uvicorn alone ends at its `--limit-max-requests` and replaces nothing at SIGHUP.
    pub(crate) fn has(self, strategy: Strategy) -> bool {
        self != Self::Uvicorn || !matches!(strategy, Strategy::MaxRequests | Strategy::Hup)
    }

    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Gunicorn(..) => 2,
            Self::Uvicorn => 1,
        }
    }

    /// Its command, on the socket that is held for it or on one of its own.
    pub(crate) fn command(self, held: bool, port: u16) -> Vec<String> {
        let (mut command, place) = match self {
            Self::Gunicorn(version, class) => {
                let mut command = version.command(class);
                if class == "gthread" {
                    command.extend(["--threads", "4"].map(str::to_owned));
                }
                let bind = ["-b".to_owned(), format!("127.0.0.1:{port}")];
                (command, if held { Vec::new() } else { bind.to_vec() })
            }
            Self::Uvicorn => {
                let fixtures = support::fixture("").display().to_string();
                // gunicorn has no access log either unless it is told to.
                let command =
                    [&beside(Version::New, "uvicorn"), "app:app", "--no-access-log", "--app-dir", &fixtures];
                let place = if held {
                    ["--fd".to_owned(), "3".to_owned()]
                } else {
                    ["--port".to_owned(), port.to_string()]
                };
                (command.map(str::to_owned).to_vec(), place.to_vec())
            }
        };
        command.extend(place);
        command
    }
}

/// The releases of everything in both environments, in words.
pub(crate) fn releases() -> String {
    let all = [Version::Twenty, Version::New].map(|version| {
        let [gunicorn, uvicorn, python] =
            ["gunicorn", "uvicorn", "python"].map(|name| release(version, name));
        format!("gunicorn {gunicorn} with uvicorn {uvicorn} on Python {python}")
    });
    all.join(", ")
}

/// The path of a program of gunicorn's environment.
fn beside(version: Version, program: &str) -> String {
    Path::new(&version.gunicorn()).with_file_name(program).display().to_string()
}

/// A program's release, by its own word: the first that begins with a digit.
fn release(version: Version, program: &str) -> String {
    let program = beside(version, program);
    let output = Command::new(&program).arg("--version").output().expect(&program);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.expect(&program).trim_end_matches(')').to_owned()
}
