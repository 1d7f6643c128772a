//! Which source a gunicorn command calls for, and what of the user's stands against it.
//!
//! Read as gunicorn reads it: config file < `GUNICORN_CMD_ARGS` < command line, the last of a duplicate wins. The config
//! file is Python: a plain `name = "value"` is understood, and of everything else that names a setting only that it does.

use super::Source;
use std::fmt;

/// What the user wants (`OSTLER_COUNT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The cheapest source that works for this command.
    Auto,
    /// This one.
    Only(Source),
}

/// How requests will be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where; `None` if nothing can be counted.
    pub source: Option<Source>,
    /// For people: why this source.
    pub because: String,
    /// For people: what stands against it, and what to write instead.
    pub warning: Option<String>,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
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

/// One of gunicorn's settings: its flags, and its name in a config file.
struct Setting {
    short: Option<&'static str>,
    long: &'static str,
    name: &'static str,
}

const CONFIG: Setting = Setting { short: Some("-c"), long: "--config", name: "config" };
const WORKER_CLASS: Setting = Setting { short: Some("-k"), long: "--worker-class", name: "worker_class" };
const STATSD_HOST: Setting = Setting { short: None, long: "--statsd-host", name: "statsd_host" };
const LOGGER_CLASS: Setting = Setting { short: None, long: "--logger-class", name: "logger_class" };
const ACCESS_LOG: Setting = Setting { short: None, long: "--access-logfile", name: "accesslog" };
const LOG_CONFIG: Setting = Setting { short: None, long: "--log-config", name: "logconfig" };
const LOG_CONFIG_DICT: Setting = Setting { short: None, long: "--log-config-dict", name: "logconfig_dict" };
const LOG_CONFIG_JSON: Setting = Setting { short: None, long: "--log-config-json", name: "logconfig_json" };
/// It writes access-log lines too, in the one format there is.
const LOG_SYSLOG: Setting = Setting { short: None, long: "--log-syslog", name: "syslog" };

/// The worker classes that send statsd metrics themselves.
const SEND_STATSD: [&str; 4] = ["sync", "gthread", "gevent", "eventlet"];

/// The worker class that logs no access, and so tells of no request in any way.
const SILENT: &str = "tornado";

/// Servers whose requests cannot be counted by gunicorn's means.
const OTHER_SERVERS: [&str; 8] =
    ["uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "uwsgi", "flask", "nginx"];

/// What is known of a gunicorn before it runs.
struct Settings {
    command_line: Vec<String>,
    variable: Vec<String>,
    config_file: ConfigFile,
}

enum ConfigFile {
    Absent,
    Read(String),
    /// There is one, but what it says cannot be known (a Python module, a script's own arguments, no permission).
    Opaque,
}

/// What a setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Something, but only Python knows what.
    Unclear,
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

/// Decides how the requests of `argv` are counted. `variable` is the user's `GUNICORN_CMD_ARGS`; `read` opens a config
/// file, relative to the folder that the child will start in.
pub fn plan(choice: Choice, argv: &[String], variable: &str, read: impl Fn(&str) -> FileText) -> Plan {
    let words: Vec<String> = argv.iter().flat_map(|word| split(word)).collect();
    let Some(at) = words.iter().position(|word| program(word) == "gunicorn") else {
        return plan_for_another(choice, &words);
    };
    let command_line: Vec<String> = words.into_iter().skip(at + 1).collect();
    let mut settings = Settings { command_line, variable: split(variable), config_file: ConfigFile::Absent };
    settings.config_file = settings.find_config_file(read);
    match choice {
        Choice::Auto => plan_auto(&settings),
        Choice::Only(source) => Plan {
            source: Some(source),
            because: "OSTLER_COUNT says so".into(),
            warning: match source {
                Source::Statsd => settings.against_statsd(),
                Source::AccessLog => settings.against_access_log(),
            },
        },
    }
}

fn plan_auto(settings: &Settings) -> Plan {
    let Some(against_statsd) = settings.against_statsd() else {
        let because = format!("{} sends statsd metrics", settings.worker());
        return Plan { source: Some(Source::Statsd), because, warning: None };
    };
    match settings.against_access_log() {
        None => Plan { source: Some(Source::AccessLog), because: against_statsd, warning: None },
        Some(against_access_log) => Plan {
            source: None,
            because: "every source is taken".into(),
            warning: Some(format!("{against_statsd}; {against_access_log}")),
        },
    }
}

/// The command is not gunicorn itself: another server, or a script that may run gunicorn.
fn plan_for_another(choice: Choice, words: &[String]) -> Plan {
    if let Some(name) = words.iter().map(|word| program(word)).find(|name| OTHER_SERVERS.contains(name)) {
        return Plan {
            source: None,
            because: format!("{name} is not gunicorn"),
            warning: Some(format!(
                "requests of {name} alone cannot be counted: run it under gunicorn, or unset OSTLER_MAX_REQUESTS"
            )),
        };
    }
    match choice {
        Choice::Only(source) => {
            Plan { source: Some(source), because: "OSTLER_COUNT says so".into(), warning: None }
        }
        Choice::Auto => Plan {
            source: Some(Source::AccessLog),
            because: format!(
                "{} may run a gunicorn of any worker class",
                words.first().map_or("", |word| program(word))
            ),
            warning: None,
        },
    }
}

impl Settings {
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
    fn get(&self, setting: &Setting) -> Option<(Value, Origin)> {
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

    /// For people: the worker class in words.
    fn worker(&self) -> String {
        match self.get(&WORKER_CLASS) {
            Some((Value::Text(class), _)) => format!("worker class {class}"),
            Some((Value::Unclear, _)) | None => "worker class sync".into(),
        }
    }

    /// Why statsd would not count, and what to write instead.
    fn against_statsd(&self) -> Option<String> {
        match (self.get(&WORKER_CLASS), &self.config_file) {
            (Some((Value::Text(class), _)), _) if !SEND_STATSD.contains(&class.as_str()) => {
                return Some(format!("worker class {class} sends no statsd metrics of its requests"));
            }
            (Some((Value::Unclear, _)), _) | (None, ConfigFile::Opaque) => {
                return Some(
                    "the worker class may stand in the config file, which ostler cannot read".into(),
                );
            }
            (Some(_) | None, ConfigFile::Absent | ConfigFile::Read(_) | ConfigFile::Opaque) => {}
        }
        [&STATSD_HOST, &LOGGER_CLASS].into_iter().find_map(|setting| self.taken(setting))
    }

    /// Why the access log would not count, and what to write instead.
    fn against_access_log(&self) -> Option<String> {
        if let Some((Value::Text(class), _)) = self.get(&WORKER_CLASS)
            && class == SILENT
        {
            return Some(format!("worker class {class} tells of no request: unset OSTLER_MAX_REQUESTS"));
        }
        [&ACCESS_LOG, &LOG_CONFIG, &LOG_CONFIG_DICT, &LOG_CONFIG_JSON, &LOG_SYSLOG]
            .into_iter()
            .find_map(|setting| self.taken(setting))
    }

    fn taken(&self, setting: &Setting) -> Option<String> {
        let (_, origin) = self.get(setting)?;
        let (long, name) = (setting.long, setting.name);
        Some(match origin {
            Origin::CommandLine | Origin::Variable => format!("{origin} sets {long}: remove it"),
            Origin::ConfigFile => format!("{origin} sets {name}: remove it"),
        })
    }
}

/// The words of one argument: scripts and `sh -c "exec gunicorn ..."` hold whole commands in one.
fn split(word: &str) -> Vec<String> {
    shlex::split(word).unwrap_or_else(|| word.split_whitespace().map(str::to_owned).collect())
}

/// The last part of a path.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The value of the last `--long VALUE`, `--long=VALUE`, `-s VALUE` or `-sVALUE`. As argparse does, a long flag may be cut
/// short; where that is ambiguous, gunicorn does not start.
fn last_flag(words: &[String], setting: &Setting) -> Option<String> {
    let mut found = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, value) =
            word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        let is_long = flag.len() > 2 && flag.starts_with("--") && setting.long.starts_with(flag);
        if is_long || Some(flag) == setting.short {
            found = value.map(str::to_owned).or_else(|| words.next().cloned());
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

    const STATSD: Option<Source> = Some(Source::Statsd);
    const ACCESS_LOG: Option<Source> = Some(Source::AccessLog);

    fn plan_of(command: &[&str], variable: &str, config: &FileText) -> Plan {
        let argv: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        plan(Choice::Auto, &argv, variable, |_| config.clone())
    }

    #[test]
    fn auto_by_command_line() {
        for (command, source) in [
            (&["gunicorn", "app:app"][..], STATSD),
            (&["gunicorn", "app:app", "-k", "gevent"], STATSD),
            (&["gunicorn", "app:app", "-kgthread", "--threads", "4"], STATSD),
            (&["/venv/bin/gunicorn", "app:app", "--worker-class=gthread"], STATSD),
            (&["python3", "-m", "gunicorn", "app:app"], STATSD),
            (&["sh", "-c", "exec gunicorn app:app -k sync"], STATSD),
            (&["gunicorn", "app:app", "-k", "uvicorn.workers.UvicornWorker"], ACCESS_LOG),
            (&["gunicorn", "app:app", "-k", "uvicorn_worker.UvicornWorker"], ACCESS_LOG),
            (&["gunicorn", "app:app", "-k", "asgi"], ACCESS_LOG),
            (&["gunicorn", "app:app", "-k", "sync", "-k", "asgi"], ACCESS_LOG),
            (&["sh", "-c", "exec gunicorn app:app -k 'asgi'"], ACCESS_LOG),
            (&["gunicorn", "app:app", "--statsd-host", "10.0.0.1:8125"], ACCESS_LOG),
            (&["gunicorn", "app:app", "--logger-class", "my.Logger"], ACCESS_LOG),
            (&["gunicorn", "app:app", "-c", "python:conf"], ACCESS_LOG),
            (&["gunicorn", "app:app", "--worker-cl", "asgi"], ACCESS_LOG),
            (&["gunicorn", "app:app", "--log-syslog", "-k", "asgi"], None),
            (&["gunicorn", "app:app", "-k", "tornado"], None),
            (&["python", "-m", "uvicorn", "app:app"], None),
            (&["sh", "-c", "exec uvicorn app:app"], None),
            (&["/start.sh"], ACCESS_LOG),
            (&["gunicorn", "app:app", "-k", "asgi", "--access-logfile", "-"], None),
            (&["gunicorn", "app:app", "-k", "asgi", "--log-config", "log.ini"], None),
            (&["uvicorn", "app:app"], None),
        ] {
            let plan = plan_of(command, "", &FileText::Absent);
            assert_eq!(plan.source, source, "{command:?}: {plan:?}");
            assert_eq!(plan.warning.is_some(), source.is_none(), "{command:?}: {plan:?}");
        }
    }

    #[test]
    fn auto_by_variable_and_config_file() {
        let text = |text: &str| FileText::Text(text.to_owned());
        for (variable, config, source) in [
            ("-k asgi", FileText::Absent, ACCESS_LOG),
            ("--statsd-host=h:1", FileText::Absent, ACCESS_LOG),
            ("--access-logfile -", FileText::Absent, STATSD),
            ("", text("worker_class = \"uvicorn.workers.UvicornWorker\"\n"), ACCESS_LOG),
            ("", text("worker_class='asgi'  # new\n"), ACCESS_LOG),
            ("", text("workers = 4\nworker_class_name = 'asgi'\n"), STATSD),
            ("", text("statsd_host = 'localhost:8125'\n"), ACCESS_LOG),
            ("", text("statsd_host = None\n"), STATSD),
            ("", text("# statsd_host = 'x'\n"), STATSD),
            ("", text("if x:\n    worker_class = 'asgi'\n"), ACCESS_LOG),
            ("", text("worker_class: str = 'asgi'\n"), ACCESS_LOG),
            ("", text("workers = 1; worker_class = 'asgi'\n"), ACCESS_LOG),
            ("", text("worker_class = os.environ.get('CLASS', 'sync')\n"), ACCESS_LOG),
            ("", text("from base import *\n"), ACCESS_LOG),
            ("", text("from base import *\nworker_class = 'gevent'\n"), STATSD),
            ("", text("statsd_host = os.environ['STATSD']\n"), ACCESS_LOG),
            ("-k asgi", text("if x:\n    accesslog = '-'\n"), None),
            ("-k sync", text("worker_class = 'asgi'\n"), STATSD),
            ("", FileText::Unreadable, ACCESS_LOG),
        ] {
            let plan = plan_of(&["gunicorn", "app:app"], variable, &config);
            assert_eq!(plan.source, source, "{variable:?} {config:?}: {plan:?}");
        }
    }

    #[test]
    fn a_choice_is_obeyed_and_what_stands_against_it_is_told() {
        let argv = ["gunicorn", "-k", "asgi"].map(str::to_owned);
        let plan = plan(Choice::Only(Source::Statsd), &argv, "", |_| FileText::Absent);
        assert_eq!(plan.source, STATSD);
        assert!(plan.warning.unwrap().contains("asgi sends no statsd"));
    }

    #[test]
    fn the_config_file_is_looked_for_where_gunicorn_looks() {
        for (command, path) in [
            (&["gunicorn"][..], "gunicorn.conf.py"),
            (&["gunicorn", "-c", "conf/g.py"], "conf/g.py"),
            (&["gunicorn", "--config=file:/etc/g.py"], "/etc/g.py"),
        ] {
            let argv: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            plan(Choice::Auto, &argv, "", |asked| {
                assert_eq!(asked, path);
                FileText::Absent
            });
        }
    }
}
