//! Which source of counts a command calls for, and what of the user's stands against it.

use super::Source;
use super::gunicorn::{
    ACCESS_LOG, Gunicorn, LOG_CONFIG, LOG_CONFIG_DICT, LOG_CONFIG_JSON, LOG_SYSLOG, LOGGER_CLASS, Origin,
    STATSD_HOST, Setting, Value, WORKER_CLASS, program, words,
};

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

/// The worker classes that send statsd metrics themselves.
const SEND_STATSD: [&str; 4] = ["sync", "gthread", "gevent", "eventlet"];

/// The worker class that logs no access, and so tells of no request in any way.
const SILENT: &str = "tornado";

/// Servers whose requests cannot be counted by gunicorn's means.
const OTHER_SERVERS: [&str; 9] =
    ["fastapi", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "uwsgi", "flask", "nginx"];

/// Why a source would not count, and what to write instead.
struct Against {
    reason: String,
    cure: String,
}

/// Decides how the requests of a command are counted.
#[must_use]
pub fn plan(choice: Choice, argv: &[String], gunicorn: Option<&Gunicorn>) -> Plan {
    let Some(gunicorn) = gunicorn else {
        return plan_for_another(choice, &words(argv));
    };
    let Choice::Only(source) = choice else {
        return plan_auto(gunicorn);
    };
    let against = match source {
        Source::Statsd => against_statsd(gunicorn),
        Source::AccessLog => against_access_log(gunicorn),
    };
    let warning = against.map(|Against { reason, cure }| format!("{reason}; {cure}"));
    Plan { source: Some(source), because: "OSTLER_COUNT says so".into(), warning }
}

fn plan_auto(gunicorn: &Gunicorn) -> Plan {
    let Some(statsd) = against_statsd(gunicorn) else {
        let because = format!("{} sends statsd metrics", worker(gunicorn));
        return Plan { source: Some(Source::Statsd), because, warning: None };
    };
    match against_access_log(gunicorn) {
        None => Plan { source: Some(Source::AccessLog), because: statsd.reason, warning: None },
        Some(log) => Plan {
            source: None,
            because: "no source is left".into(),
            warning: Some(format!(
                "requests are not counted: {}, and {}; {}, or unset OSTLER_MAX_REQUESTS",
                statsd.reason, log.reason, log.cure
            )),
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
                "requests are not counted: {name} alone tells of none; run it under gunicorn, or unset OSTLER_MAX_REQUESTS"
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

/// For people: the worker class in words.
fn worker(gunicorn: &Gunicorn) -> String {
    match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), _)) => format!("worker class {class}"),
        Some((Value::Unclear, _)) | None => "worker class sync".into(),
    }
}

fn against_statsd(gunicorn: &Gunicorn) -> Option<Against> {
    let cure = || "write OSTLER_COUNT=access-log".to_owned();
    match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), _)) if !SEND_STATSD.contains(&class.as_str()) => {
            let reason = format!("worker class {class} sends no statsd metrics of requests");
            return Some(Against { reason, cure: cure() });
        }
        Some((Value::Text(_), _)) => {}
        None if !gunicorn.is_opaque() => {}
        Some((Value::Unclear, _)) | None => {
            let reason = "the worker class may stand in the config file, which ostler cannot read".into();
            return Some(Against { reason, cure: cure() });
        }
    }
    [&STATSD_HOST, &LOGGER_CLASS].into_iter().find_map(|setting| taken(gunicorn, setting))
}

fn against_access_log(gunicorn: &Gunicorn) -> Option<Against> {
    if let Some((Value::Text(class), _)) = gunicorn.get(&WORKER_CLASS)
        && class == SILENT
    {
        let reason = format!("worker class {class} logs no access");
        return Some(Against { reason, cure: "use another worker class".into() });
    }
    [&ACCESS_LOG, &LOG_CONFIG, &LOG_CONFIG_DICT, &LOG_CONFIG_JSON, &LOG_SYSLOG]
        .into_iter()
        .find_map(|setting| taken(gunicorn, setting))
}

fn taken(gunicorn: &Gunicorn, setting: &Setting) -> Option<Against> {
    let (_, origin) = gunicorn.get(setting)?;
    let name = match origin {
        Origin::CommandLine | Origin::Variable => setting.long,
        Origin::ConfigFile => setting.name,
    };
    Some(Against { reason: format!("{origin} sets {name}"), cure: format!("remove {name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::gunicorn::FileText;

    const STATSD: Option<Source> = Some(Source::Statsd);
    const ACCESS_LOG: Option<Source> = Some(Source::AccessLog);

    fn plan_of(command: &[&str], variable: &str, config: &FileText) -> Plan {
        let argv: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let gunicorn = Gunicorn::find(&argv, variable, |_| config.clone());
        plan(Choice::Auto, &argv, gunicorn.as_ref())
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
            (&["fastapi", "run"], None),
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
        let gunicorn = Gunicorn::find(&argv, "", |_| FileText::Absent);
        let plan = plan(Choice::Only(Source::Statsd), &argv, gunicorn.as_ref());
        assert_eq!(plan.source, STATSD);
        assert!(plan.warning.unwrap().contains("asgi sends no statsd"));
    }
}
