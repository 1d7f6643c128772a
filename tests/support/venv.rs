//! Real gunicorns and other servers: which there are, and how each is started.

use std::path::{Path, PathBuf};

/// A Python environment that `tests/setup` has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// gunicorn 20.1.0 with uvicorn 0.29.
    Twenty,
    /// The newest gunicorn, uvicorn and uvicorn-worker.
    New,
    /// Servers beside gunicorn.
    Other,
    /// No server: published schemas.
    Deploy,
}

impl Version {
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Twenty => "20",
            Self::New => "new",
            Self::Other => "other",
            Self::Deploy => "deploy",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venvs").join(name)
    }

    pub fn gunicorn(self) -> String {
        self.program("gunicorn")
    }

    pub fn program(self, name: &str) -> String {
        let path = self.folder().join("bin").join(name);
        assert!(path.exists(), "{} is missing: run tests/setup", path.display());
        path.to_str().unwrap().to_owned()
    }

    /// Where its modules are: the interpreter that it was made with may be somewhere where only its owner may go.
    pub fn modules(self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.folder().join("lib")).unwrap();
        folders.next().unwrap().unwrap().path().join("site-packages")
    }

    /// What `-k` calls the worker class that runs ASGI apps through uvicorn.
    pub fn uvicorn_worker(self) -> &'static str {
        match self {
            Self::Twenty => "uvicorn.workers.UvicornWorker",
            Self::New | Self::Other | Self::Deploy => "uvicorn_worker.UvicornWorker",
        }
    }

    /// The command of a gunicorn with two workers of this class, serving the app that fits it.
    pub fn command(self, class: &str) -> Vec<String> {
        let class = if class == "uvicorn" { self.uvicorn_worker() } else { class };
        let asgi = class.contains("Uvicorn") || class == "asgi";
        let app = if asgi { "app:app" } else { "wsgi:app" };
        let fixtures = super::fixture("");
        let fixtures = fixtures.to_str().unwrap();
        [
            &self.gunicorn(),
            app,
            "--pythonpath",
            fixtures,
            "-w",
            "2",
            "-k",
            class,
            "--worker-tmp-dir",
            "/dev/shm",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}
