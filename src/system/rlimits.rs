//! Limits: what was asked for against what is possible here. They are set in the child; of ostler's own only hard ones
//! are raised, for a child that is to have more.

use super::spawn::SetLimit;
use crate::config::Limit;
use crate::config::limits::{variable, written};
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;

/// What the kernel does with a core dump (core(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorePattern {
    /// It writes a file.
    File,
    /// It feeds a program: a limit of 0 does not stop that, 1 does.
    Pipe,
    /// It feeds a socket (Linux 6.16): no limit stops that.
    Socket,
    /// /proc does not tell.
    Unknown,
}

impl CorePattern {
    /// What /proc says.
    #[must_use]
    pub fn read() -> Self {
        fs::read("/proc/sys/kernel/core_pattern").map_or(Self::Unknown, |pattern| match pattern.first() {
            Some(b'|') => Self::Pipe,
            Some(b'@') => Self::Socket,
            Some(_) | None => Self::File,
        })
    }
}

/// Turns what was asked for into limits that a child can set
/// without any privilege: hard limits are raised here and now.
///
/// # Errors
/// A line for each limit that cannot be had, with what to write instead.
pub fn resolve(limits: &[(Resource, Limit)], pattern: CorePattern) -> Result<Vec<SetLimit>, Vec<String>> {
    let mut resolved = Vec::new();
    let mut errors = Vec::new();
    for (resource, limit) in limits {
        match resolve_one(*resource, *limit, pattern) {
            Ok(set) => resolved.extend(set),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(resolved) } else { Err(errors) }
}

fn resolve_one(resource: Resource, limit: Limit, pattern: CorePattern) -> Result<Option<SetLimit>, String> {
    let name = variable(resource);
    let (current_soft, current_hard) =
        getrlimit(resource).map_err(|errno| format!("{name}: cannot read the limit: {}", errno.desc()))?;
    let (soft, hard) = match limit {
        Limit::Keep => return Ok(None),
        Limit::Max => (current_hard, current_hard),
        Limit::Set { soft, hard } => no_core(resource, pattern, (soft, hard)),
    };
    if hard > current_hard
        && let Err(errno) = setrlimit(resource, current_soft, hard)
    {
        // Nobody asked for the 1 that was to stop a pipe; the hard limit is 0, and stays so.
        if (limit, hard) == (Limit::Set { soft: 0, hard: 0 }, 1) {
            return Ok(Some((resource, 0, 0)));
        }
        return Err(refused(name, resource, hard, current_hard, errno));
    }
    Ok(Some((resource, soft, hard)))
}

/// A core limit of 0 becomes 1 where 0 would not stop the dump.
fn no_core(resource: Resource, pattern: CorePattern, (soft, hard): (u64, u64)) -> (u64, u64) {
    match (resource, pattern, soft) {
        (Resource::RLIMIT_CORE, CorePattern::Pipe | CorePattern::Unknown, 0) => (1, hard.max(1)),
        _ => (soft, hard),
    }
}

/// A second fence, where no core is wanted: what is dumped all the same (a socket takes it, or a process has raised its
/// limit) holds no memory of the process. Inherited by all that ostler starts (core(5), `coredump_filter`).
pub fn without_memory_in_cores(limits: &[SetLimit]) {
    let unwanted = |(resource, soft, _): &SetLimit| *resource == Resource::RLIMIT_CORE && *soft <= 1;
    if limits.iter().any(unwanted) {
        // A kernel without it, or no /proc: then the limit alone is the fence.
        let _ = fs::write("/proc/self/coredump_filter", "0");
    }
}

fn may_raise() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap_or(false)
}

fn refused(name: &str, resource: Resource, hard: u64, current: u64, errno: Errno) -> String {
    let docker = name.trim_start_matches("OSTLER_ULIMIT_").to_lowercase();
    let (hard, most) = (written(hard), written(current));
    match (errno, may_raise(), resource) {
        (Errno::EPERM, true, Resource::RLIMIT_NOFILE) => format!(
            "{name}: the kernel refuses {hard} (sysctl fs.nr_open, or a user namespace); write {most} at most"
        ),
        (Errno::EPERM, true, _) => {
            format!("{name}: the kernel refuses {hard} (a user namespace); write {most} at most")
        }
        (Errno::EPERM, false, _) => format!(
            "{name}: the hard limit is {most}, and raising it to {hard} needs CAP_SYS_RESOURCE; write {most} at most, \
             or start the container with --ulimit {docker}={hard}"
        ),
        (_, true | false, _) => format!("{name}: cannot set {hard}: {}; write {most} at most", errno.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_becomes_one_where_a_pipe_takes_the_dump() {
        let core = Resource::RLIMIT_CORE;
        for (resource, pattern, asked, expected) in [
            (core, CorePattern::File, (0, 0), (0, 0)),
            (core, CorePattern::Pipe, (0, 0), (1, 1)),
            (core, CorePattern::Pipe, (0, 9), (1, 9)),
            (core, CorePattern::Unknown, (0, 0), (1, 1)),
            (core, CorePattern::Pipe, (5, 9), (5, 9)),
            (Resource::RLIMIT_CPU, CorePattern::Pipe, (0, 0), (0, 0)),
        ] {
            assert_eq!(no_core(resource, pattern, asked), expected, "{resource:?} {pattern:?}");
        }
    }
}
