//! `--check`: the effective configuration and where each value comes from.

use super::look::{Outlook, look_at};
use super::tell::{describe, name_of};
use super::{all, memory_budget, metrics_address};
use crate::config::limits::written;
use crate::config::{Config, Endpoint, Metrics, Overrides};
use crate::count::Source;
use crate::count::plan::{Plan, Telling};
use crate::log::signal_name;
use crate::supervisor::{Policy, Ready, Recipient, Restart};
use crate::system::{self, Between, CorePattern, GUNICORN_CMD_ARGS};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::io::{self, Write};

/// Prints the effective configuration and where each value comes from. Starts nothing, opens no socket.
///
/// # Errors
/// As [`boot`](super::boot).
// Not inlined, as `patiently` is not: for the stack of PID 1.
#[inline(never)]
pub fn check(overrides: &Overrides, command: &[OsString]) -> Result<u8> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let config = Config::read(&environment, overrides).map_err(all)?;
    let held = config.listen.addresses.len();
    let Outlook { chosen, plan, between, advice, .. } =
        look_at(&config, held, command, &environment).map_err(anyhow::Error::msg)?;
    let pattern = CorePattern::read();
    let limits = system::resolve_limits(&config.limits, pattern);
    let privileges = system::resolve_privileges(&config.privileges);
    let memory = memory_budget(config.memory).map_err(|error| vec![error]);
    let forward = config
        .forward
        .as_ref()
        .map(|endpoint| system::look_up("OSTLER_STATSD_FORWARD", endpoint))
        .transpose()
        .map_err(|error| vec![error]);
    let statsd = metrics_address(config.metrics.as_ref()).map_err(|error| vec![error]);
    let (limits, privileges, memory) = match (limits, privileges, memory, forward, statsd) {
        (Ok(limits), Ok(privileges), Ok(memory), Ok(_), Ok(_)) => (limits, privileges, memory),
        (limits, privileges, memory, forward, statsd) => {
            let errors = [limits.err(), privileges.err(), memory.err(), forward.err(), statsd.err()];
            return Err(all(errors.into_iter().flatten().flatten()));
        }
    };
    let mut page = Vec::new();
    for setting in &config.settings {
        writeln!(page, "{:<28} {:<20} {}", setting.name, setting.value, setting.origin)?;
    }
    writeln!(page)?;
    for (resource, soft, hard) in limits {
        writeln!(page, "limit    {resource:?} soft {} hard {}", written(soft), written(hard))?;
    }
    writeln!(page, "core     the kernel's core_pattern is a {}", describe(pattern))?;
    for (name, value) in privileges.facts() {
        writeln!(page, "becomes  {name} {value}")?;
    }
    writeln!(page, "recycle  {}: {}", name_of(chosen.recycle), chosen.because)?;
    let Policy { stop_signal, drain_delay, grace_period, recipient, restart, restart_limit, .. } =
        config.policy;
    let delay = if drain_delay.is_zero() { String::new() } else { format!("{drain_delay:?} later ") };
    let whom = match recipient {
        Recipient::Leader => "the leader",
        Recipient::Group => "its whole process group",
    };
    writeln!(
        page,
        "stop     at SIGTERM: {delay}{} to {whom}, and SIGKILL {grace_period:?} after that",
        signal_name(stop_signal)
    )?;
    let then = match restart {
        Restart::Never => "ostler ends with its status".to_owned(),
        Restart::OnFailure => {
            format!("started again unless with 0, {} times in {:?}", restart_limit.ends, restart_limit.window)
        }
        Restart::Always => {
            format!("started again, {} times in {:?}", restart_limit.ends, restart_limit.window)
        }
    };
    writeln!(page, "end      when the child ends by itself: {then}")?;
    if let Some(bytes) = memory {
        writeln!(page, "memory   at most {bytes} bytes, that is {:.1} MiB", mebibytes(bytes))?;
    }
    of_counting(&mut page, plan, &config)?;
    for sentence in advice {
        writeln!(page, "warning  {sentence}")?;
    }
    if held > 0 {
        writeln!(page, "sockets  are not tried here: whether they can be opened the start tells")?;
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

fn of_counting(page: &mut Vec<u8>, plan: Option<Plan>, config: &Config) -> io::Result<()> {
    let counted = plan.as_ref().map(|plan| plan.source);
    match plan {
        None => writeln!(page, "count    nothing: OSTLER_MAX_REQUESTS and OSTLER_METRICS are off")?,
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
    if let Some(Endpoint { host, port }) = config.forward.as_ref().filter(|_| counted == Some(Source::Statsd))
    {
        writeln!(page, "forwards statsd datagrams to {host}:{port}")?;
    }
    match &config.metrics {
        None => {}
        Some(Metrics::Emf { every, .. }) => {
            writeln!(page, "metrics  a line for CloudWatch on stdout, every {every:?}")?;
        }
        Some(Metrics::Statsd(Endpoint { host, port })) => {
            writeln!(page, "metrics  to the statsd at {host}:{port}, every ten seconds")?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for people, to one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Prints a page for a person who asked for it.
///
/// # Errors
/// stdout cannot be written to.
pub fn print(page: &[u8]) -> Result<u8> {
    io::stdout().lock().write_all(page).context("cannot write to stdout")?;
    Ok(0)
}
