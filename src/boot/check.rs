//! `--check`: the effective configuration and where each value comes from.

use super::look::{Outlook, look_at};
use super::tell::{describe, name_of};
use super::{all, memory_budget};
use crate::config::limits::written;
use crate::config::{Config, Overrides};
use crate::count::Source;
use crate::count::plan::{Plan, Telling};
use crate::supervisor::Ready;
use crate::system::{self, Between, CorePattern, GUNICORN_CMD_ARGS};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::io::{self, Write};

/// Prints the effective configuration and where each value comes from. Starts nothing, opens no socket.
///
/// # Errors
/// As [`boot`](super::boot).
pub fn check(overrides: &Overrides, command: &[OsString]) -> Result<u8> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let config = Config::read(environment.iter().cloned(), overrides).map_err(all)?;
    let held = config.listen.addresses.len();
    let Outlook { chosen, plan, between, advice } =
        look_at(&config, held, command, &environment).map_err(anyhow::Error::msg)?;
    let pattern = CorePattern::read();
    let limits = system::resolve_limits(&config.limits, pattern).map_err(all)?;
    let memory = memory_budget(config.memory).map_err(anyhow::Error::msg)?;
    config.forward.as_ref().map(system::look_up).transpose().map_err(anyhow::Error::msg)?;
    let mut page = Vec::new();
    for setting in &config.settings {
        writeln!(page, "{:<28} {:<20} {}", setting.name, setting.value, setting.origin)?;
    }
    writeln!(page)?;
    for (resource, soft, hard) in limits {
        writeln!(page, "limit    {resource:?} soft {} hard {}", written(soft), written(hard))?;
    }
    writeln!(page, "core     the kernel's core_pattern is a {}", describe(pattern))?;
    writeln!(page, "recycle  {}: {}", name_of(chosen.recycle), chosen.because)?;
    if let Some(bytes) = memory {
        writeln!(page, "memory   at most {bytes} bytes")?;
    }
    match plan {
        None => writeln!(page, "count    nothing: OSTLER_MAX_REQUESTS is off")?,
        Some(Plan { source, because, warning, telling, .. }) => {
            writeln!(page, "count    {}: {because}", source.name())?;
            if let Some(warning) = warning {
                writeln!(page, "warning  {warning}")?;
            }
            if let Some(arguments) = system::example_arguments(source, &config.skip) {
                writeln!(page, "adds     {GUNICORN_CMD_ARGS}={arguments} in front of what it holds")?;
            }
            match (source, telling) {
                (Source::Statsd, Telling::Anybody) => {
                    writeln!(page, "adds     STATSD_HOST=127.0.0.1 and STATSD_PORT, unless they are set")?;
                }
                (Source::Stdout, _) => {
                    writeln!(page, "changes  stdout is a pipe to ostler, which passes every line on")?;
                }
                (Source::Statsd | Source::AccessLog | Source::Connections, _) => {}
            }
        }
    }
    for sentence in advice {
        writeln!(page, "warning  {sentence}")?;
    }
    if held > 0 {
        writeln!(page, "adds     LISTEN_FDS={held}, LISTEN_FDNAMES and LISTEN_PID")?;
        if between == Between::Shell {
            writeln!(page, "adds     GUNICORN_FD and GUNICORN_PID, since a shell stands before gunicorn")?;
        }
    }
    if config.policy.ready == Ready::Notify {
        writeln!(page, "adds     NOTIFY_SOCKET")?;
    }
    print(&page)
}

/// Asks the ostler that runs in this container for a recycle, and prints what it says.
///
/// # Errors
/// It does not recycle, or none answers.
pub fn recycle() -> Result<u8> {
    let nobody = "no ostler answers here; run this in its container: docker exec CONTAINER /ostler --recycle";
    match system::ask_for_recycle().context(nobody)? {
        Ok(answer) => print(format!("{answer}\n").as_bytes()),
        Err(answer) => bail!(answer),
    }
}

/// Prints a page for a person who asked for it.
///
/// # Errors
/// stdout cannot be written to.
pub fn print(page: &[u8]) -> Result<u8> {
    io::stdout().lock().write_all(page).context("cannot write to stdout")?;
    Ok(0)
}
