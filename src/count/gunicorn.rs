//! What a gunicorn command says, read as gunicorn reads it: config file < `GUNICORN_CMD_ARGS`
//! < command line, the last of a duplicate wins. The config file is Python: a plain `name =
//! "value"` is understood, and of everything else that names a setting only that it does.

use std::fmt;

/// A gunicorn before it runs.
#[derive(Debug)]
pub struct Gunicorn {
    command_line: Vec<String>,
    variable: Vec<String>,
    config_file: ConfigFile,
}

#[derive(Debug)]
enum ConfigFile {
    Absent,
    Read(String),
    /// There is one, but what it says cannot be known (a Python module, no permission).
    Opaque,
}

/// What a look for a config file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileText {
    /// There is no such file.
    Absent,
    /// Its text.
    Text(String),
    /// It is there, but cannot be read.
    Unreadable,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    CommandLine,
    Variable,
    ConfigFile,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "the command line",
            Self::Variable => "GUNICORN_CMD_ARGS",
            Self::ConfigFile => "the config file",
        })
    }
}

/// What a setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// Something, but only Python knows what.
    Unclear,
}

/// One of gunicorn's settings: its flags, and its name in a config file.
pub(crate) struct Setting {
    short: Option<&'static str>,
    pub(crate) long: &'static str,
    pub(crate) name: &'static str,
}

const CONFIG: Setting = Setting { short: Some("-c"), long: "--config", name: "config" };
pub(crate) const WORKER_CLASS: Setting =
    Setting { short: Some("-k"), long: "--worker-class", name: "worker_class" };
pub(crate) const STATSD_HOST: Setting = Setting { short: None, long: "--statsd-host", name: "statsd_host" };
pub(crate) const LOGGER_CLASS: Setting =
    Setting { short: None, long: "--logger-class", name: "logger_class" };
pub(crate) const ACCESS_LOG: Setting = Setting { short: None, long: "--access-logfile", name: "accesslog" };
pub(crate) const ACCESS_LOG_FORMAT: Setting =
    Setting { short: None, long: "--access-logformat", name: "access_log_format" };
pub(crate) const LOG_CONFIG: Setting = Setting { short: None, long: "--log-config", name: "logconfig" };
pub(crate) const LOG_CONFIG_DICT: Setting =
    Setting { short: None, long: "--log-config-dict", name: "logconfig_dict" };
pub(crate) const LOG_CONFIG_JSON: Setting =
    Setting { short: None, long: "--log-config-json", name: "logconfig_json" };
/// It writes access-log lines too, in the one format there is.
pub(crate) const LOG_SYSLOG: Setting = Setting { short: None, long: "--log-syslog", name: "syslog" };

pub(crate) const MAX_REQUESTS: Setting =
    Setting { short: None, long: "--max-requests", name: "max_requests" };
pub(crate) const BIND: Setting = Setting { short: Some("-b"), long: "--bind", name: "bind" };
pub(crate) const GRACEFUL_TIMEOUT: Setting =
    Setting { short: None, long: "--graceful-timeout", name: "graceful_timeout" };
pub(crate) const PID_FILE: Setting = Setting { short: Some("-p"), long: "--pid", name: "pidfile" };
pub(crate) const USER: Setting = Setting { short: Some("-u"), long: "--user", name: "user" };
pub(crate) const GROUP: Setting = Setting { short: Some("-g"), long: "--group", name: "group" };
pub(crate) const DAEMON: Setting = Setting { short: Some("-D"), long: "--daemon", name: "daemon" };
pub(crate) const REUSE_PORT: Setting = Setting { short: None, long: "--reuse-port", name: "reuse_port" };

/// By what a script goes to another folder.
const MOVES: [&str; 2] = ["cd", "pushd"];

impl Gunicorn {
    /// Finds gunicorn in a command, behind `python -m`, `poetry run`, `sh -c` and others. `variable` is the user's
    /// `GUNICORN_CMD_ARGS`; `read` opens a config file, relative to the folder that the child will start in.
    pub fn find(argv: &[String], variable: &str, read: impl Fn(&str) -> FileText) -> Option<Self> {
        let words = words(argv);
        let at = words.iter().position(|word| program(word) == "gunicorn")?;
        let moves = words.iter().take(at).any(|word| MOVES.contains(&word.as_str()));
        let command_line = words.into_iter().skip(at + 1).collect();
        let mut found = Self { command_line, variable: split(variable), config_file: ConfigFile::Absent };
        // What it will find in another folder nobody can say from here.
        let here =
            |path: &str| if moves && !path.starts_with('/') { FileText::Unreadable } else { read(path) };
        found.config_file = found.find_config_file(here);
        Some(found)
    }

    fn find_config_file(&self, read: impl Fn(&str) -> FileText) -> ConfigFile {
        let given = self.get(&CONFIG).map(|(value, _)| value);
        let path = match &given {
            Some(Value::Unclear) => return ConfigFile::Opaque,
            Some(Value::Text(value)) if value.starts_with("python:") => return ConfigFile::Opaque,
            Some(Value::Text(value)) => value.strip_prefix("file:").unwrap_or(value),
            None => "gunicorn.conf.py",
        };
        match read(path) {
            FileText::Text(text) => ConfigFile::Read(text),
            FileText::Unreadable => ConfigFile::Opaque,
            FileText::Absent if given.is_some() => ConfigFile::Opaque,
            FileText::Absent => ConfigFile::Absent,
        }
    }

    /// The value that gunicorn will use, and where it stands.
    pub(crate) fn get(&self, setting: &Setting) -> Option<(Value, Origin)> {
        let from_file = || match &self.config_file {
            ConfigFile::Read(text) => assigned(text, setting.name),
            ConfigFile::Absent | ConfigFile::Opaque => None,
        };
        let flag = |words| last_flag(words, setting).map(Value::Text);
        flag(&self.command_line)
            .map(|value| (value, Origin::CommandLine))
            .or_else(|| flag(&self.variable).map(|value| (value, Origin::Variable)))
            .or_else(|| from_file().map(|value| (value, Origin::ConfigFile)))
    }

    /// Does it send its metrics somewhere already?
    #[must_use]
    pub fn has_statsd(&self) -> bool {
        self.get(&STATSD_HOST).is_some()
    }

    /// May there be a config file that sets it all the same?
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.config_file, ConfigFile::Opaque)
    }
}

/// The words of a command, those of scripts in one argument (`sh -c "exec gunicorn ..."`) among them.
pub(crate) fn words(argv: &[String]) -> Vec<String> {
    argv.iter().flat_map(|word| split(word)).collect()
}

/// One string as a shell splits it.
fn split(word: &str) -> Vec<String> {
    shlex::split(word).unwrap_or_else(|| word.split_whitespace().map(str::to_owned).collect())
}

/// The last part of a path.
pub(crate) fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The value of the last `--long VALUE`, `--long=VALUE`, `-s VALUE` or `-sVALUE`. As argparse does, a long flag may be
/// cut short; where that is ambiguous, gunicorn does not start.
fn last_flag(words: &[String], setting: &Setting) -> Option<String> {
    let mut found = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, value) =
            word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        let is_long = flag.len() > 2 && flag.starts_with("--") && setting.long.starts_with(flag);
        if is_long || Some(flag) == setting.short {
            // A flag without a value (--reuse-port) may come last.
            found = Some(value.map(str::to_owned).or_else(|| words.next().cloned()).unwrap_or_default());
        } else if let Some(value) = setting.short.and_then(|short| word.strip_prefix(short)) {
            found = Some(value.to_owned());
        }
    }
    found
}

/// What a Python file says of a setting: `None` if nothing, or None.
fn assigned(text: &str, name: &str) -> Option<Value> {
    let mut found = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let plain = line.strip_prefix(name).and_then(|rest| rest.trim_start().strip_prefix('='));
        match plain.filter(|value| !value.starts_with('=')) {
            Some(value) => found = literal(value),
            None if mentions(line, name) => return Some(Value::Unclear),
            None => {}
        }
    }
    // Only the worker class is asked after in every file; that the others are imported from elsewhere is rarer still.
    if found.is_none() && name == WORKER_CLASS.name && text.contains("import *") {
        return Some(Value::Unclear);
    }
    found
}

/// A string literal, or what only Python understands; `None` is Python's.
fn literal(value: &str) -> Option<Value> {
    let value = value.split('#').next().unwrap_or(value).trim();
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    match quoted {
        Some(text) => Some(Value::Text(text.to_owned())),
        None if value == "None" => None,
        None => Some(Value::Unclear),
    }
}

/// Does a line hold this name as a word of its own?
fn mentions(line: &str, name: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_file_is_looked_for_where_gunicorn_looks() {
        for (command, path) in [
            (&["gunicorn"][..], "gunicorn.conf.py"),
            (&["gunicorn", "-c", "conf/g.py"], "conf/g.py"),
            (&["gunicorn", "--config=file:/etc/g.py"], "/etc/g.py"),
        ] {
            let argv: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            Gunicorn::find(&argv, "", |asked| {
                assert_eq!(asked, path);
                FileText::Absent
            });
        }
    }

    #[test]
    fn flags_are_read_as_argparse_reads_them() {
        for (flags, expected) in [
            ("-k gevent", Some("gevent")),
            ("-kgevent", Some("gevent")),
            ("--worker-class gevent", Some("gevent")),
            ("--worker-class=gevent", Some("gevent")),
            ("--worker-cl gevent", Some("gevent")),
            ("-k sync -k gevent", Some("gevent")),
            ("--workers 4", None),
            ("-w 4", None),
        ] {
            let argv = [format!("gunicorn {flags}")];
            let gunicorn = Gunicorn::find(&argv, "", |_| FileText::Absent).unwrap();
            let class = gunicorn.get(&WORKER_CLASS).map(|(value, _)| value);
            assert_eq!(class, expected.map(|class| Value::Text(class.to_owned())), "{flags}");
        }
    }
}
