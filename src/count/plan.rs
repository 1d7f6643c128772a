//! Which source of counts a command calls for, and what of the user's stands against it.

use super::Source;
use super::gunicorn::{
    ACCESS_LOG, ACCESS_LOG_FORMAT, Gunicorn, LOG_CONFIG, LOG_CONFIG_DICT, LOG_CONFIG_JSON, LOG_SYSLOG,
    LOGGER_CLASS, Origin, STATSD_HOST, Setting, Value, WORKER_CLASS, program, words,
};

/// What the user wants (`OSTLER_COUNT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The cheapest source that works for this command.
    Auto,
    /// This one.
    Only(Source),
}

/// Must a source name the paths of requests (`OSTLER_COUNT_SKIP`)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// It must.
    Wanted,
    /// It need not.
    Unwanted,
}

/// What stdout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Something that programs write to: ostler can stand in between, and nobody sees a difference.
    Plain,
    /// A terminal, as programs can tell.
    Terminal,
}

/// What a plan has to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where the user wants requests to be counted.
    pub choice: Choice,
    /// Whether paths matter.
    pub paths: Paths,
    /// What stdout is.
    pub stdout: Stdout,
}

/// How a child is told of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// By `GUNICORN_CMD_ARGS` alone.
    Gunicorn,
    /// Also by the variables that statsd clients read, `STATSD_HOST` and `STATSD_PORT`, where they are not set.
    Anybody,
}

/// How requests will be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub source: Source,
    /// Who is told.
    pub telling: Telling,
    /// For people: why this source.
    pub because: String,
    /// For people: what stands against it, and what to write instead.
    pub warning: Option<String>,
    /// For people: what of theirs may be set where it cannot be seen, and is not used then.
    pub caution: Option<&'static str>,
    /// For people: what to write instead if it stays silent; `None` if it cannot.
    pub cure: Option<&'static str>,
}

/// The worker classes that send statsd metrics themselves.
const SEND_STATSD: [&str; 4] = ["sync", "gthread", "gevent", "eventlet"];

/// The worker class that logs no access, and so tells of no request in any way.
const SILENT: &str = "tornado";

/// Servers that write an access log to stdout unless they are told not to.
const LOG_TO_STDOUT: [&str; 2] = ["uvicorn", "fastapi"];

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
pub fn plan(wish: Wish, argv: &[String], gunicorn: Option<&Gunicorn>) -> Plan {
    let cautious = |plan: Plan| {
        // Whoever says where to count knows what is taken for it.
        let unseen = wish.choice == Choice::Auto && gunicorn.is_none_or(Gunicorn::is_opaque);
        Plan { caution: caution(plan.source).filter(|_| unseen), ..plan }
    };
    match (gunicorn, wish.choice) {
        (None, _) => cautious(plan_for_another(wish, &words(argv))),
        (Some(gunicorn), Choice::Auto) => cautious(plan_auto(wish, gunicorn)),
        (Some(gunicorn), Choice::Only(chosen)) => {
            let source = if chosen == Source::AccessLog { log_of(gunicorn) } else { chosen };
            let because =
                if source == chosen { "OSTLER_COUNT says so" } else { "its access log goes to stdout" };
            let paths = without_paths(source, wish, || "write OSTLER_COUNT=access-log".into());
            let warning = [against(source, wish, gunicorn), paths];
            Plan { warning: told(warning), ..Plan::new(source, Telling::Gunicorn, because) }
        }
    }
}

impl Plan {
    fn new(source: Source, telling: Telling, because: impl Into<String>) -> Self {
        let cure = match (source, telling) {
            (Source::Statsd, Telling::Gunicorn) => Some("write OSTLER_COUNT=access-log"),
            (Source::Statsd, Telling::Anybody) => Some(
                "let the program send requests:1|c to STATSD_HOST, STATSD_PORT, or write OSTLER_COUNT=connections",
            ),
            (Source::AccessLog, Telling::Gunicorn) => Some(
                "let the app's own logging leave the access log alone (disable_existing_loggers=False), or write \
                 OSTLER_COUNT=connections, an estimate",
            ),
            (Source::AccessLog, Telling::Anybody) => Some(
                "unless it runs a gunicorn write OSTLER_COUNT=stdout (its access log goes there), or connections",
            ),
            (Source::Stdout, _) => {
                Some("let the server write its access log to stdout, or write OSTLER_COUNT=connections")
            }
            (Source::Connections, _) => None,
        };
        Self { source, telling, because: because.into(), warning: None, caution: None, cure }
    }
}

/// What `GUNICORN_CMD_ARGS` overrides in a config file that cannot be read from here.
fn caution(source: Source) -> Option<&'static str> {
    match source {
        Source::AccessLog => Some(
            "a config file of gunicorn's may be read that ostler cannot see; an accesslog that it sets is not written. Write \
             --access-logfile - into the command or into GUNICORN_CMD_ARGS to keep it, or OSTLER_COUNT=access-log if there is none",
        ),
        Source::Statsd => Some(
            "a config file of gunicorn's may be read that ostler cannot see; a statsd_host that it sets gets nothing. Write \
             OSTLER_STATSD_FORWARD=host:port to keep it, or OSTLER_COUNT=statsd if there is none",
        ),
        Source::Stdout | Source::Connections => None,
    }
}

/// statsd costs least; an access log names paths; connections are an estimate.
fn plan_auto(wish: Wish, gunicorn: &Gunicorn) -> Plan {
    let log = log_of(gunicorn);
    let (no_statsd, no_log) = (against(Source::Statsd, wish, gunicorn), against(log, wish, gunicorn));
    let because_of_log = || match log {
        Source::Stdout => "its access log goes to stdout".to_owned(),
        Source::Statsd | Source::AccessLog | Source::Connections => "it names paths".to_owned(),
    };
    let because_of_statsd = || format!("{} sends statsd metrics", worker(gunicorn));
    let plan = |source, because| Plan::new(source, Telling::Gunicorn, because);
    match (wish.paths, no_statsd, no_log) {
        (Paths::Unwanted, None, _) => plan(Source::Statsd, because_of_statsd()),
        (Paths::Unwanted, Some(no_statsd), None) => plan(log, no_statsd.reason),
        (Paths::Wanted, _, None) => plan(log, because_of_log()),
        (Paths::Wanted, None, Some(no_log)) => {
            let cure = || format!("{} ({})", no_log.cure, no_log.reason);
            let warning = told([without_paths(Source::Statsd, wish, cure), None]);
            Plan { warning, ..plan(Source::Statsd, because_of_statsd()) }
        }
        // What cures statsd is the access log, and that is not possible either.
        (_, Some(no_statsd), Some(no_log)) => {
            let warning = format!(
                "requests are only estimated, by connections: {}, and {}; {} to have them counted",
                no_statsd.reason, no_log.reason, no_log.cure
            );
            Plan { warning: Some(warning), ..plan(Source::Connections, "no other source is left".into()) }
        }
    }
}

/// The command is not gunicorn itself: another server, or a script that may run gunicorn.
fn plan_for_another(wish: Wish, words: &[String]) -> Plan {
    let name = |list: &[&str]| words.iter().map(|word| program(word)).find(|name| list.contains(name));
    let plan = |source, because: String| Plan::new(source, Telling::Anybody, because);
    let own = "OSTLER_COUNT says so".to_owned();
    let (plan, against) = match (wish.choice, name(&LOG_TO_STDOUT), name(&OTHER_SERVERS)) {
        (Choice::Only(Source::AccessLog), _, Some(_)) => {
            (plan(Source::Stdout, "that is where its access log is to be had".into()), None)
        }
        (Choice::Only(source), _, _) => (plan(source, own), None),
        (Choice::Auto, Some(name), _) => {
            let because = format!("{name} writes its access log there");
            let quiet = words.iter().any(|word| word == "--no-access-log").then(|| Against {
                reason: "it is told to write no access log".into(),
                cure: "remove --no-access-log".into(),
            });
            match quiet.or_else(|| on_a_terminal(Source::Stdout, wish)) {
                None => (plan(Source::Stdout, because), None),
                Some(against) => (plan(Source::Connections, "no other source is left".into()), Some(against)),
            }
        }
        (Choice::Auto, None, Some(name)) => {
            let because = format!("ostler knows of nothing better for {name}");
            let against = Against {
                reason: format!("it is not known whether {name} writes an access log"),
                cure: "let it write one to stdout, with OSTLER_COUNT=stdout,".into(),
            };
            (plan(Source::Connections, because), Some(against))
        }
        (Choice::Auto, None, None) => {
            let script = words.first().map_or("", |word| program(word));
            (plan(Source::AccessLog, format!("{script} may run a gunicorn of any worker class")), None)
        }
    };
    let estimated = against.map(|Against { reason, cure }| Against {
        reason: format!("requests are only estimated, by connections: {reason}"),
        cure: format!("{cure} to have them counted"),
    });
    let paths = without_paths(plan.source, wish, || {
        "let it write an access log to stdout, with OSTLER_COUNT=stdout".into()
    });
    let terminal = on_a_terminal(plan.source, wish);
    Plan { warning: told([estimated.or(terminal), paths]), ..plan }
}

/// Sentences for people.
fn told(against: [Option<Against>; 2]) -> Option<String> {
    let sentences = against.into_iter().flatten().map(|Against { reason, cure }| format!("{reason}; {cure}"));
    let text = sentences.collect::<Vec<_>>().join(". ");
    Some(text).filter(|text| !text.is_empty())
}

/// For people: the worker class in words.
fn worker(gunicorn: &Gunicorn) -> String {
    match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), _)) => format!("worker class {class}"),
        Some((Value::Unclear, _)) | None => "worker class sync".into(),
    }
}

/// The request line in an access log's format.
const REQUEST_LINE: &str = "\"%(r)s\"";

/// How an access log is sent to stdout.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Where its access log is to be had: on stdout, if the user wants it there.
fn log_of(gunicorn: &Gunicorn) -> Source {
    match gunicorn.get(&ACCESS_LOG) {
        Some((Value::Text(file), _)) if STDOUT.contains(&file.as_str()) => Source::Stdout,
        Some(_) | None => Source::AccessLog,
    }
}

fn against(source: Source, wish: Wish, gunicorn: &Gunicorn) -> Option<Against> {
    let others = [&LOG_CONFIG, &LOG_CONFIG_DICT, &LOG_CONFIG_JSON, &LOG_SYSLOG];
    let others = || others.into_iter().find_map(|setting| taken(gunicorn, setting));
    match source {
        Source::Statsd => against_statsd(gunicorn),
        Source::AccessLog => {
            against_silence(gunicorn).or_else(|| taken(gunicorn, &ACCESS_LOG)).or_else(others)
        }
        Source::Stdout => against_silence(gunicorn)
            .or_else(|| on_a_terminal(source, wish))
            .or_else(|| {
                (log_of(gunicorn) != Source::Stdout).then(|| Against {
                    reason: "its access log does not go to stdout".into(),
                    cure: "write --access-logfile -".into(),
                })
            })
            .or_else(|| against_format(gunicorn))
            .or_else(others),
        Source::Connections => None,
    }
}

fn against_silence(gunicorn: &Gunicorn) -> Option<Against> {
    match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), _)) if class == SILENT => Some(Against {
            reason: format!("worker class {class} logs no access"),
            cure: "use another worker class".into(),
        }),
        Some(_) | None => None,
    }
}

/// A request is known by its request line. `UvicornWorker` has a format of its own, which holds it.
fn against_format(gunicorn: &Gunicorn) -> Option<Against> {
    let own = match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), _)) => class.contains("Uvicorn"),
        Some((Value::Unclear, _)) | None => false,
    };
    match gunicorn.get(&ACCESS_LOG_FORMAT) {
        Some((Value::Text(format), _)) if !own && !format.contains(REQUEST_LINE) => Some(Against {
            reason: format!("no request is known by an access log without {REQUEST_LINE}"),
            cure: format!("put {REQUEST_LINE} into the format, quotes included"),
        }),
        Some(_) | None => None,
    }
}

/// ostler cannot stand in between there.
fn on_a_terminal(source: Source, wish: Wish) -> Option<Against> {
    (source == Source::Stdout && wish.stdout == Stdout::Terminal).then(|| Against {
        reason: "the access log goes to a terminal".into(),
        cure: "start the container without -t".into(),
    })
}

fn without_paths(source: Source, wish: Wish, cure: impl FnOnce() -> String) -> Option<Against> {
    let names_paths = matches!(source, Source::AccessLog | Source::Stdout);
    (wish.paths == Paths::Wanted && !names_paths).then(|| Against {
        reason: format!("OSTLER_COUNT_SKIP has no effect, since {} names no paths", source.name()),
        cure: cure(),
    })
}

fn against_statsd(gunicorn: &Gunicorn) -> Option<Against> {
    let cure = || "write OSTLER_COUNT=access-log".to_owned();
    match gunicorn.get(&WORKER_CLASS) {
        Some((Value::Text(class), origin)) if !SEND_STATSD.contains(&class.as_str()) => {
            let class = match origin {
                // What a variable holds is never told.
                Origin::Variable => "the worker class of GUNICORN_CMD_ARGS".into(),
                Origin::CommandLine | Origin::ConfigFile => format!("worker class {class}"),
            };
            let reason = format!("{class} sends no statsd metrics of requests");
            return Some(Against { reason, cure: cure() });
        }
        Some((Value::Text(_), _)) => {}
        None if !gunicorn.is_opaque() => {}
        Some((Value::Unclear, _)) | None => {
            let reason = "the worker class may stand in the config file, which ostler cannot read".into();
            return Some(Against { reason, cure: cure() });
        }
    }
    let mut against = [&STATSD_HOST, &LOGGER_CLASS].into_iter().find_map(|setting| taken(gunicorn, setting));
    if let (Some(against), Some((Value::Text(host), origin))) = (&mut against, gunicorn.get(&STATSD_HOST)) {
        // gunicorn knows other forms too (a port that is left out, unix://).
        let is_endpoint = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if is_endpoint && origin != Origin::Variable { &host } else { "host:port" };
        against.cure = format!("{}, and write OSTLER_STATSD_FORWARD={host}", against.cure);
    }
    against
}

fn taken(gunicorn: &Gunicorn, setting: &Setting) -> Option<Against> {
    let (value, origin) = gunicorn.get(setting)?;
    let name = match origin {
        Origin::CommandLine | Origin::Variable => setting.long,
        Origin::ConfigFile => setting.name,
    };
    let (reason, cure) = match (value, setting.long == ACCESS_LOG.long) {
        (Value::Text(_), true) => {
            (format!("{origin} sets {name}"), "write --access-logfile - in its place".into())
        }
        (Value::Unclear, true) => (
            format!("{origin} sets {name} to what only Python knows"),
            "write --access-logfile - into the command if that is it".into(),
        ),
        (Value::Text(_) | Value::Unclear, false) => {
            (format!("{origin} sets {name}"), format!("remove {name}"))
        }
    };
    Some(Against { reason, cure })
}

#[cfg(test)]
mod tests;
