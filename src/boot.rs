//! From arguments and environment to a supervisor, an edge and a log. Straight-line, and the only code that may fail.

use crate::config::limits::written;
use crate::config::{Address, Config, Level, Limit, Overrides, advice};
use crate::count::Source;
use crate::count::gunicorn::{FileText, Gunicorn};
use crate::count::plan::{Plan, plan};
use crate::log::{Log, Record};
use crate::supervisor::Supervisor;
use crate::system::{self, CorePattern, GUNICORN_CMD_ARGS, Program, SetLimit, Signals, System};
use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::OFlag;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::Resource;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

/// A config file longer than this is not read to its end.
const CONFIG_FILE: u64 = 1 << 20;

/// Everything that [`run`](crate::run) needs.
#[derive(Debug)]
pub struct Booted {
    pub(crate) supervisor: Supervisor,
    pub(crate) system: System,
    pub(crate) log: Log,
}

/// Reads the environment, resolves limits, opens sockets. Nothing is started.
///
/// # Errors
/// Everything that is wrong, a line each, with the variable and what to write instead.
pub fn boot(signals: io::Result<Signals>, overrides: &Overrides, command: Vec<OsString>) -> Result<Booted> {
    let signals = signals.context("cannot catch signals")?;
    let environment: Vec<_> = std::env::vars_os().collect();
    let config = Config::read(environment.iter().cloned(), overrides).map_err(all)?;
    let pattern = CorePattern::read();

    let (limits, held) =
        match (system::resolve_limits(&config.limits, pattern), system::listen(&config.listen)) {
            (Ok(limits), Ok(held)) => (limits, held),
            (limits, held) => return Err(all([limits.err(), held.err()].into_iter().flatten().flatten())),
        };
    hand_over_is_possible(&limits, config.listen.len())?;
    let mut log = Log::new(config.logging);
    log.write(
        &Record::new(Level::Info, "boot", concat!("ostler ", env!("CARGO_PKG_VERSION")))
            .with("pid", std::process::id()),
    );
    tell_of_core(&mut log, &config, &limits, pattern);
    tell_of_sockets(&mut log, &config.listen);
    become_reaper(&mut log);
    let (mut plan, advice) = look_at(&config, &command, &environment);
    for sentence in advice {
        log.write(&Record::new(Level::Warn, "advice", sentence));
    }
    if let Some(plan) = &mut plan {
        leave_out_what_cannot_be_opened(plan);
        tell_of_counting(&mut log, plan);
    }

    // std keys its hash maps with the kernel's randomness, getrandom(2), and falls back by itself where that is refused.
    let seed = RandomState::new().hash_one(());
    let supervisor = Supervisor::new(config.policy, seed, Instant::now());
    let argv = command
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect::<Result<_, _>>()
        .context("an argument holds a byte 0")?;
    let source = plan.and_then(|plan| plan.source);
    let program = Program { argv, environment, limits, held, source };
    Ok(Booted { supervisor, system: System::new(signals, program), log })
}

/// Prints the effective configuration and where each value comes from. Starts nothing, opens no socket.
///
/// # Errors
/// As [`boot`].
pub fn check(overrides: &Overrides, command: &[OsString]) -> Result<u8> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let config = Config::read(environment.iter().cloned(), overrides).map_err(all)?;
    let pattern = CorePattern::read();
    let limits = system::resolve_limits(&config.limits, pattern).map_err(all)?;
    let mut page = Vec::new();
    for setting in &config.settings {
        writeln!(page, "{:<28} {:<20} {}", setting.name, setting.value, setting.origin)?;
    }
    writeln!(page)?;
    for (resource, soft, hard) in limits {
        writeln!(page, "limit    {resource:?} soft {} hard {}", written(soft), written(hard))?;
    }
    writeln!(page, "core     the kernel's core_pattern is a {}", describe(pattern))?;
    let (plan, advice) = look_at(&config, command, &environment);
    match plan {
        None => writeln!(page, "count    nothing: OSTLER_MAX_REQUESTS is off")?,
        Some(Plan { source, because, warning }) => {
            writeln!(page, "count    {}: {because}", name(source))?;
            if let Some(warning) = warning {
                writeln!(page, "warning  {warning}")?;
            }
            if let Some(source) = source {
                let arguments = system::example_arguments(source);
                writeln!(page, "adds     {GUNICORN_CMD_ARGS}={arguments} in front of what it holds")?;
            }
        }
    }
    for sentence in advice {
        writeln!(page, "warning  {sentence}")?;
    }
    if !config.listen.is_empty() {
        writeln!(page, "adds     LISTEN_FDS={} and LISTEN_PID", config.listen.len())?;
    }
    print(&page)
}

/// Prints a page for a person who asked for it.
///
/// # Errors
/// stdout cannot be written to.
pub fn print(page: &[u8]) -> Result<u8> {
    io::stdout().lock().write_all(page).context("cannot write to stdout")?;
    Ok(0)
}

/// The child opens the held sockets at 3, 4, ..., under the limit that it is given.
fn hand_over_is_possible(limits: &[SetLimit], sockets: usize) -> Result<()> {
    let needed = sockets as u64 + 3;
    let soft = soft_limit(limits, Resource::RLIMIT_NOFILE);
    if sockets > 0 && soft.is_some_and(|soft| soft < needed) {
        bail!("OSTLER_ULIMIT_NOFILE: too few for the sockets of OSTLER_LISTEN; write {needed} at least");
    }
    Ok(())
}

/// Several errors as one, a line each.
fn all(lines: impl IntoIterator<Item = String>) -> anyhow::Error {
    anyhow!(lines.into_iter().collect::<Vec<_>>().join("\n"))
}

/// The soft limit that a child gets, if it is set at all.
fn soft_limit(limits: &[SetLimit], wanted: Resource) -> Option<u64> {
    limits.iter().find(|(resource, ..)| *resource == wanted).map(|(_, soft, _)| *soft)
}

fn name(source: Option<Source>) -> &'static str {
    source.map_or("none", Source::name)
}

fn describe(pattern: CorePattern) -> &'static str {
    match pattern {
        CorePattern::File => "file name: a limit of 0 stops core files",
        CorePattern::Pipe => "pipe: only a limit of 1 stops core dumps",
        CorePattern::Socket => "socket: no limit stops core dumps",
        CorePattern::Unknown => "secret (no /proc): a limit of 1 stops files and pipes",
    }
}

/// Reads the command as far as it can be read: how its requests are counted, if they are to be, and what does not fit.
fn look_at(
    config: &Config,
    command: &[OsString],
    environment: &[(OsString, OsString)],
) -> (Option<Plan>, Vec<String>) {
    let argv: Vec<_> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let variable = environment.iter().find(|(name, _)| name == GUNICORN_CMD_ARGS);
    let variable = variable.map(|(_, value)| value.to_string_lossy()).unwrap_or_default();
    let gunicorn = Gunicorn::find(&argv, &variable, |path| match read_file(path) {
        Ok(text) => FileText::Text(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileText::Absent,
        Err(_) => FileText::Unreadable,
    });
    let plan = config.policy.budget.requests.map(|_| plan(config.count, &argv, gunicorn.as_ref()));
    (plan, advice(config, &argv, gunicorn.as_ref()))
}

/// Reads a plain file. Anything else is left to who it is for: a FIFO may never open, and what is read from it is gone.
fn read_file(path: &str) -> io::Result<String> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    io::read_to_string(file.take(CONFIG_FILE))
}

fn tell_of_core(log: &mut Log, config: &Config, limits: &[SetLimit], pattern: CorePattern) {
    let none = (Resource::RLIMIT_CORE, Limit::Set { soft: 0, hard: 0 });
    if !config.limits.contains(&none) {
        return;
    }
    let (level, message) = match (pattern, soft_limit(limits, Resource::RLIMIT_CORE)) {
        (CorePattern::Pipe | CorePattern::Unknown, Some(1)) => {
            (Level::Info, "1 instead of 0, which would not stop a dump to a pipe")
        }
        (CorePattern::Pipe, _) => {
            let message = "core dumps are not stopped: a pipe ignores the hard limit of 0; start the container with --ulimit core=1";
            (Level::Warn, message)
        }
        (CorePattern::Socket, _) => {
            (Level::Warn, "core dumps are not stopped: no limit does that for a socket")
        }
        (CorePattern::File | CorePattern::Unknown, _) => return,
    };
    log.write(&Record::new(level, "core-limit", message).with("core_pattern", describe(pattern)));
}

fn tell_of_sockets(log: &mut Log, addresses: &[Address]) {
    for address in addresses {
        log.write(
            &Record::new(Level::Info, "listening", "held open for the child")
                .with("address", address.to_string()),
        );
    }
}

/// Orphans come to PID 1 by themselves, to others only if they ask for them (prctl(2), `PR_SET_CHILD_SUBREAPER`).
fn become_reaper(log: &mut Log) {
    if std::process::id() == 1 {
        return;
    }
    let record = match set_child_subreaper(true) {
        Ok(()) => Record::new(Level::Info, "subreaper", "not PID 1, so orphans of the child are asked for"),
        Err(errno) => {
            Record::new(Level::Warn, "subreaper", "not PID 1 and no sub-reaper: orphans go elsewhere")
                .with("error", errno.desc())
        }
    };
    log.write(&record);
}

/// A server that is not counted is better than none.
fn leave_out_what_cannot_be_opened(plan: &mut Plan) {
    if let Some(Err(error)) = plan.source.map(system::try_source) {
        plan.warning =
            Some(format!("{} cannot be opened here: {error}; requests are not counted", name(plan.source)));
        plan.source = None;
    }
}

fn tell_of_counting(log: &mut Log, plan: &Plan) {
    let source = name(plan.source);
    if let Some(warning) = &plan.warning {
        log.write(&Record::new(Level::Warn, "count-unsure", warning.clone()).with("source", source));
    } else {
        log.write(
            &Record::new(
                Level::Info,
                "counting",
                format!("requests are counted by {source}, since {}", plan.because),
            )
            .with("source", source),
        );
    }
}
