//! Commands, settings and wishes, and the source that each calls for.

use super::*;
use crate::count::gunicorn::FileText;

const AUTO: Wish = Wish { choice: Choice::Auto, paths: Paths::Unwanted, stdout: Stdout::Plain };

fn plan_of(wish: Wish, command: &[&str], variable: &str, config: &FileText) -> Plan {
    let argv: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let gunicorn = Gunicorn::find(&argv, variable, |_| config.clone());
    plan(wish, &argv, gunicorn.as_ref())
}

#[test]
fn auto_by_command_line() {
    for (command, source) in [
        (&["gunicorn", "app:app"][..], Source::Statsd),
        (&["gunicorn", "app:app", "-k", "gevent"], Source::Statsd),
        (&["gunicorn", "app:app", "-kgthread", "--threads", "4"], Source::Statsd),
        (&["/venv/bin/gunicorn", "app:app", "--worker-class=gthread"], Source::Statsd),
        (&["python3", "-m", "gunicorn", "app:app"], Source::Statsd),
        (&["sh", "-c", "exec gunicorn app:app -k sync"], Source::Statsd),
        (&["gunicorn", "app:app", "-k", "uvicorn.workers.UvicornWorker"], Source::AccessLog),
        (&["gunicorn", "app:app", "-k", "uvicorn_worker.UvicornWorker"], Source::AccessLog),
        (&["gunicorn", "app:app", "-k", "asgi"], Source::AccessLog),
        (&["gunicorn", "app:app", "-k", "sync", "-k", "asgi"], Source::AccessLog),
        (&["sh", "-c", "exec gunicorn app:app -k 'asgi'"], Source::AccessLog),
        (&["gunicorn", "app:app", "--statsd-host", "10.0.0.1:8125"], Source::AccessLog),
        (&["gunicorn", "app:app", "--logger-class", "my.Logger"], Source::AccessLog),
        (&["gunicorn", "app:app", "-c", "python:conf"], Source::AccessLog),
        (&["gunicorn", "app:app", "--worker-cl", "asgi"], Source::AccessLog),
        (&["gunicorn", "app:app", "--log-syslog", "-k", "asgi"], Source::Connections),
        (&["gunicorn", "app:app", "-k", "tornado"], Source::Connections),
        (&["python", "-m", "uvicorn", "app:app"], Source::Stdout),
        (&["sh", "-c", "exec uvicorn app:app"], Source::Stdout),
        (&["uvicorn", "app:app", "--no-access-log"], Source::Connections),
        (&["hypercorn", "app:app"], Source::Connections),
        // Its config file is in another folder, if there is one.
        (&["sh", "-c", "cd app && exec gunicorn app:app"], Source::AccessLog),
        (&["sh", "-c", "cd app && exec gunicorn app:app -k sync"], Source::Statsd),
        (&["/start.sh"], Source::AccessLog),
        (&["gunicorn", "app:app", "-k", "asgi", "--access-logfile", "-"], Source::Stdout),
        (&["gunicorn", "app:app", "-k", "asgi", "--access-logfile=/dev/stdout"], Source::Stdout),
        (&["gunicorn", "app:app", "-k", "asgi", "--access-logfile", "/log"], Source::Connections),
        (&["gunicorn", "app:app", "-k", "asgi", "--log-config", "log.ini"], Source::Connections),
        (&["uvicorn", "app:app"], Source::Stdout),
        (&["fastapi", "run"], Source::Stdout),
    ] {
        let plan = plan_of(AUTO, command, "", &FileText::Absent);
        assert_eq!(plan.source, source, "{command:?}: {plan:?}");
        assert_eq!(plan.warning.is_some(), source == Source::Connections, "{command:?}: {plan:?}");
        assert_eq!(plan.cure.is_none(), source == Source::Connections, "{command:?}: {plan:?}");
    }
}

#[test]
fn auto_by_variable_and_config_file() {
    let text = |text: &str| FileText::Text(text.to_owned());
    for (variable, config, source) in [
        ("-k asgi", FileText::Absent, Source::AccessLog),
        ("--statsd-host=h:1", FileText::Absent, Source::AccessLog),
        ("--access-logfile -", FileText::Absent, Source::Statsd),
        ("", text("worker_class = \"uvicorn.workers.UvicornWorker\"\n"), Source::AccessLog),
        ("", text("worker_class='asgi'  # new\n"), Source::AccessLog),
        ("", text("workers = 4\nworker_class_name = 'asgi'\n"), Source::Statsd),
        ("", text("statsd_host = 'localhost:8125'\n"), Source::AccessLog),
        ("", text("statsd_host = None\n"), Source::Statsd),
        ("", text("# statsd_host = 'x'\n"), Source::Statsd),
        ("", text("if x:\n    worker_class = 'asgi'\n"), Source::AccessLog),
        ("", text("worker_class: str = 'asgi'\n"), Source::AccessLog),
        ("", text("workers = 1; worker_class = 'asgi'\n"), Source::AccessLog),
        ("", text("worker_class = os.environ.get('CLASS', 'sync')\n"), Source::AccessLog),
        ("", text("from base import *\n"), Source::AccessLog),
        ("", text("from base import *\nworker_class = 'gevent'\n"), Source::Statsd),
        ("", text("statsd_host = os.environ['STATSD']\n"), Source::AccessLog),
        ("-k asgi", text("if x:\n    accesslog = '-'\n"), Source::Connections),
        ("-k asgi", text("accesslog = '-'\n"), Source::Stdout),
        ("-k sync", text("worker_class = 'asgi'\n"), Source::Statsd),
        ("", FileText::Unreadable, Source::AccessLog),
    ] {
        let plan = plan_of(AUTO, &["gunicorn", "app:app"], variable, &config);
        assert_eq!(plan.source, source, "{variable:?} {config:?}: {plan:?}");
    }
}

#[test]
fn a_choice_is_obeyed_and_what_stands_against_it_is_told() {
    let asgi = &["gunicorn", "-k", "asgi"][..];
    let to_stdout = &["gunicorn", "-k", "asgi", "--access-logfile", "-"][..];
    for (chosen, command, source, warning) in [
        (Source::Statsd, asgi, Source::Statsd, "asgi sends no statsd"),
        (Source::AccessLog, asgi, Source::AccessLog, ""),
        (Source::AccessLog, to_stdout, Source::Stdout, ""),
        (
            Source::AccessLog,
            &["gunicorn", "--access-logfile", "x"],
            Source::AccessLog,
            "the command line sets --access-logfile; write --access-logfile - in its place",
        ),
        (
            Source::Stdout,
            &["gunicorn", "--access-logfile", "-", "--access-logformat", "%(m)s"],
            Source::Stdout,
            "put \"%(r)s\" into the format",
        ),
        (
            Source::Stdout,
            &["gunicorn", "--access-logfile", "-", "--access-logformat", "'{\"r\":\"%(r)s\"}'"],
            Source::Stdout,
            "",
        ),
        (Source::Connections, asgi, Source::Connections, ""),
        (Source::Stdout, asgi, Source::Stdout, "write --access-logfile -"),
        (Source::Stdout, to_stdout, Source::Stdout, ""),
        (Source::Stdout, &["node", "server.js"], Source::Stdout, ""),
        (Source::Statsd, &["node", "server.js"], Source::Statsd, ""),
        (Source::AccessLog, &["hypercorn", "app"], Source::Stdout, ""),
    ] {
        let wish = Wish { choice: Choice::Only(chosen), ..AUTO };
        let plan = plan_of(wish, command, "", &FileText::Absent);
        assert_eq!(plan.source, source, "{command:?}");
        let told = plan.warning.unwrap_or_default();
        assert!(told.contains(warning) && told.is_empty() == warning.is_empty(), "{command:?}: {told}");
    }
}

#[test]
fn paths_are_named_by_access_logs_alone() {
    let wish = Wish { paths: Paths::Wanted, ..AUTO };
    for (command, source, warned) in [
        (&["gunicorn", "app"][..], Source::AccessLog, false),
        (&["gunicorn", "app", "--access-logfile", "-"], Source::Stdout, false),
        (&["gunicorn", "app", "--access-logfile", "x"], Source::Statsd, true),
        (&["uvicorn", "app"], Source::Stdout, false),
        (&["hypercorn", "app"], Source::Connections, true),
    ] {
        let plan = plan_of(wish, command, "", &FileText::Absent);
        assert_eq!((plan.source, plan.warning.is_some()), (source, warned), "{command:?} {plan:?}");
    }
}

#[test]
fn nobody_stands_between_a_program_and_its_terminal() {
    let wish = Wish { stdout: Stdout::Terminal, ..AUTO };
    for command in [&["uvicorn", "app"][..], &["gunicorn", "-k", "asgi", "--access-logfile", "-"]] {
        let plan = plan_of(wish, command, "", &FileText::Absent);
        assert_eq!(plan.source, Source::Connections, "{command:?}");
    }
}

#[test]
fn where_the_users_statsd_is_to_be_kept_the_cure_says_how() {
    let wish = Wish { choice: Choice::Only(Source::Statsd), ..AUTO };
    let plan = plan_of(wish, &["gunicorn", "app", "--statsd-host", "10.0.0.1:8125"], "", &FileText::Absent);
    assert!(plan.warning.unwrap().contains("OSTLER_STATSD_FORWARD=10.0.0.1:8125"));
}

#[test]
fn what_a_config_file_may_say_that_nobody_sees_is_told() {
    let told = |choice, command: &[&str]| {
        let plan = plan_of(Wish { choice, ..AUTO }, command, "", &FileText::Absent);
        plan.caution.unwrap_or_default().split(' ').find(|word| word.contains('_')).map(str::to_owned)
    };
    let (log, statsd) = (Some("GUNICORN_CMD_ARGS".to_owned()), Some("statsd_host".to_owned()));
    for (command, expected) in [
        (&["/start.sh"][..], &log),
        (&["gunicorn", "a:b", "-c", "python:conf"], &log),
        (&["sh", "-c", "cd x; exec gunicorn a:b -k gevent"], &statsd),
        (&["gunicorn", "a:b"], &None),
        (&["uvicorn", "a:b"], &None),
    ] {
        assert_eq!(told(Choice::Auto, command), *expected, "{command:?}");
        assert_eq!(told(Choice::Only(Source::AccessLog), command), None, "{command:?}");
    }
}
