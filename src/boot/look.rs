//! Reads the command as far as it can be read: how it is recycled, how its requests are counted, what does not fit.

use crate::config::{Address, Chosen, Config, Steering, advice, stays, strategy};
use crate::count::Source;
use crate::count::gunicorn::{FileText, Gunicorn};
use crate::count::plan::{Paths, Plan, Stdout, Wish, plan};
use crate::supervisor::{Recycle, Workers};
use crate::system::{Between, GUNICORN_CMD_ARGS, read_plain};
use std::ffi::OsString;
use std::io::{self, IsTerminal};

/// A file longer than this is not read to its end.
const LONGEST_FILE: u64 = 1 << 20;

/// What a command and a configuration come to.
pub(super) struct Outlook {
    /// How generations are recycled.
    pub(super) chosen: Chosen,
    /// How requests are counted, if they are to be.
    pub(super) plan: Option<Plan>,
    /// What stands between ostler and the server.
    pub(super) between: Between,
    /// Is it a gunicorn, whose workers can be watched?
    pub(super) workers: Workers,
    /// What does not fit together, with the cure.
    pub(super) advice: Vec<String>,
}

/// `held` sockets are handed to the child.
///
/// # Errors
/// The strategy that was asked for is not possible.
pub(super) fn look_at(
    config: &Config,
    held: usize,
    command: &[OsString],
    environment: &[(OsString, OsString)],
) -> Result<Outlook, String> {
    let argv: Vec<_> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let variable = environment.iter().find(|(name, _)| name == GUNICORN_CMD_ARGS);
    let variable = variable.map(|(_, value)| value.to_string_lossy()).unwrap_or_default();
    let gunicorn = Gunicorn::find(&argv, &variable, read);
    let chosen = strategy(config, held, gunicorn.as_ref())?;
    let wish = Wish {
        choice: config.count,
        paths: if config.skip.is_empty() { Paths::Unwanted } else { Paths::Wanted },
        stdout: if io::stdout().is_terminal() { Stdout::Terminal } else { Stdout::Plain },
    };
    let counted = config.policy.budget.requests.is_some() || config.metrics.is_some();
    let plan = counted.then(|| plan(wish, &argv, gunicorn.as_ref()));
    let between = if stays(&argv, read) { Between::Shell } else { Between::Nothing };
    let mut advice = advice(config, &argv, gunicorn.as_ref(), held, chosen.recycle);
    let own = chosen.recycle == Recycle::Handover && config.listen.steering == Steering::Auto;
    let is_unix = |address: &Address| matches!(address, Address::Unix(_));
    if between == Between::Shell && !own && config.listen.addresses.iter().any(is_unix) {
        advice.push(
            "a shell stands before gunicorn, which then removes the unix socket when it ends; write exec, or the \
             command as a JSON list"
                .into(),
        );
    }
    let source = plan.as_ref().map(|plan| plan.source);
    advice.extend(plan.as_ref().and_then(|plan| plan.caution).map(str::to_owned));
    if config.forward.is_some() && source != Some(Source::Statsd) {
        let (why, cure) = match (source, gunicorn.as_ref().is_some_and(Gunicorn::has_statsd)) {
            (None, _) => ("nothing is counted", "write OSTLER_MAX_REQUESTS, or unset it"),
            (Some(_), true) => ("gunicorn has a --statsd-host of its own", "remove that"),
            (Some(_), false) => {
                ("requests are not counted by statsd", "unset it, and tell the program where your statsd is")
            }
        };
        advice.push(format!("OSTLER_STATSD_FORWARD has no effect, since {why}; {cure}"));
    }
    if source.is_none() && !config.skip.is_empty() {
        advice.push(
            "OSTLER_COUNT_SKIP has no effect where nothing is counted; write OSTLER_MAX_REQUESTS, or unset it".into(),
        );
    }
    let is_tcp = |address: &Address| matches!(address, Address::Tcp(_));
    let unix_alone =
        held > 0 && held == config.listen.addresses.len() && !config.listen.addresses.iter().any(is_tcp);
    if source == Some(Source::Connections) && unix_alone {
        advice.push(
            "connections to unix sockets are not counted, so no request is; write another OSTLER_COUNT, or a budget of \
             OSTLER_MAX_AGE"
                .into(),
        );
    }
    let workers = gunicorn.map_or(Workers::Unwatched, |_| Workers::Watched);
    Ok(Outlook { chosen, plan, between, workers, advice })
}

/// What a compiled program begins with (elf(5)): megabytes that tell nothing here.
const COMPILED: &[u8] = b"\x7fELF";

fn read(path: &str) -> FileText {
    if read_plain(path, COMPILED.len() as u64).is_ok_and(|bytes| bytes == COMPILED) {
        return FileText::Unreadable;
    }
    let text = read_plain(path, LONGEST_FILE)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into()));
    match text {
        Ok(text) => FileText::Text(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileText::Absent,
        Err(_) => FileText::Unreadable,
    }
}
