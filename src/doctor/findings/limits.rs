//! Limits: who could leave a core file, where it would go and what it would hold; who is near the end of its files.

use super::{Who, family, fullness, named, object};
use crate::config::limits::written;
use crate::doctor::text::{count, percent};
use crate::doctor::{Facts, Files, Filter, Finding, Kind, Life, Pattern, Process, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// What setrlimit(2) calls `RLIM_INFINITY`.
const UNLIMITED: u64 = u64::MAX;

/// A core file shorter than this is not even begun (the kernel's `min_coredump`, a page of the smallest size).
const SHORTEST: u64 = 4096;

/// Would a process with this soft limit leave something behind (core(5))?
fn dumps(pattern: Option<Pattern>, soft: u64) -> bool {
    match pattern {
        Some(Pattern::File) => soft >= SHORTEST,
        // 1 is the kernel's mark for a process that dumps already; it stops a pipe, and 0 does not.
        Some(Pattern::Pipe) => soft != 1,
        Some(Pattern::Socket) => true,
        None => soft > 1,
    }
}

/// A limit for programs.
fn value(limit: u64) -> Value {
    if limit == UNLIMITED { Value::from("unlimited") } else { Value::from(limit) }
}

pub(super) fn core_limit(facts: &Facts) -> Finding {
    const NAME: &str = "core-limit";
    let processes = match &facts.processes {
        Ok(processes) => processes,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let pattern = facts.pattern.as_ref().ok().map(|(pattern, _)| *pattern);
    // ostler itself keeps what it was started with: it sets the limits of its child.
    let served: Vec<_> = processes
        .iter()
        .filter(|process| process.kind == Kind::Other && process.life != Life::Zombie)
        .collect();
    let seen: Vec<_> =
        served.iter().filter_map(|process| Some((*process, *process.core.as_ref().ok()?))).collect();
    let hidden = served.len().saturating_sub(seen.len()) as u64;
    let may: Vec<_> = seen.iter().filter(|(_, (soft, _))| dumps(pattern, *soft)).collect();
    let ostler = Who::of(processes).ostler;
    let below = family(processes);
    let (inside, beside): (Vec<_>, Vec<_>) =
        may.iter().partition(|(process, _)| below.contains(&process.pid));
    let names = |list: &[&&(&Process, (u64, u64))]| named(list.iter().map(|(process, _)| *process));
    let finding = match (ostler, inside.is_empty(), beside.is_empty()) {
        _ if seen.is_empty() && hidden > 0 => {
            Finding::unseen(NAME, &"/proc/PID/limits cannot be read".into())
        }
        (_, true, true) => {
            let whom = count(seen.len() as u64, "process", "processes");
            Finding::new(NAME, State::Ok, format!("none of {whom} may leave a core"))
        }
        (Some(_), true, false) => Finding::new(
            NAME,
            State::Note,
            format!("nobody below ostler may leave a core; beside it may {}", names(&beside)),
        )
        .hint("what docker exec starts is beside ostler, with limits of its own"),
        (Some(_), false, _) => {
            Finding::new(NAME, State::Attention, format!("below ostler may leave a core: {}", names(&inside)))
                .hint("is OSTLER_CORES or OSTLER_ULIMIT_CORE set, or did the program raise its limit? The default is 0: ostler --check")
        }
        (None, _, _) => Finding::new(NAME, State::Attention, format!("may leave a core: {}", names(&beside)))
            .hint("start the server by ostler, which sets OSTLER_ULIMIT_CORE to 0, or the container with --ulimit core=0"),
    };
    let list: Vec<_> = may
        .iter()
        .map(|(process, (soft, hard))| {
            let below = Value::from(below.contains(&process.pid));
            object(process, [("soft", value(*soft)), ("hard", value(*hard)), ("below_ostler", below)])
        })
        .collect();
    let init = Who::of(processes).init.and_then(|init| init.core.as_ref().ok());
    let finding = match init {
        Some((soft, hard)) => finding
            .line(format!("PID 1 itself: soft {}, hard {}", written(*soft), written(*hard)))
            .with("pid_1_soft", value(*soft))
            .with("pid_1_hard", value(*hard)),
        None => finding.with("pid_1_soft", Value::Null).with("pid_1_hard", Value::Null),
    };
    finding.with("may_dump", list).with("seen", seen.len()).with("hidden", hidden)
}

pub(super) fn core_pattern(facts: &Facts) -> Finding {
    const NAME: &str = "core-pattern";
    let (pattern, text) = match &facts.pattern {
        Ok((pattern, text)) => (*pattern, text),
        Err(why) => return Finding::unseen(NAME, why),
    };
    let (state, kind, words) = match pattern {
        Pattern::File if text.as_str().starts_with('/') => {
            (State::Ok, "file", "a file of that name, in the container; a limit of 0 stops it".to_owned())
        }
        Pattern::File => {
            (State::Ok, "file", "a file in the folder of whoever dies; a limit of 0 stops it".into())
        }
        Pattern::Pipe => (
            State::Note,
            "pipe",
            "a program on the host gets it; a limit of 0 does not stop that, 1 does, which ostler sets"
                .into(),
        ),
        Pattern::Socket => {
            (State::Note, "socket", "a socket on the host gets it, and no limit stops that".into())
        }
    };
    let relative = pattern == Pattern::File && !text.as_str().starts_with('/');
    let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for process in facts.processes.iter().flatten().filter(|process| process.kind == Kind::Other) {
        if let Ok(folder) = &process.folder
            && relative
        {
            folders.entry(folder).or_default().push(process);
        }
    }
    let mut finding = Finding::new(NAME, state, format!("\"{text}\": {words}"));
    for (folder, processes) in folders.iter().take(super::TOLD) {
        finding = finding.line(format!("{folder}  {}", named(processes.iter().copied())));
    }
    let folders: Vec<_> = folders.keys().map(|folder| Value::from(*folder)).collect();
    finding.with("kind", kind).with("pattern", text).with("folders", folders)
}

/// Each kind of memory by its bit (core(5)).
const CONTENT: [&str; 9] = [
    "private memory",
    "shared memory",
    "private file mappings",
    "shared file mappings",
    "ELF headers",
    "private huge pages",
    "shared huge pages",
    "private DAX pages",
    "shared DAX pages",
];

pub(super) fn core_content(facts: &Facts) -> Finding {
    const NAME: &str = "core-content";
    match &facts.filter {
        Err(why) => Finding::unseen(NAME, why),
        Ok(Filter(bits)) => {
            let kinds = CONTENT.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
            let kinds: Vec<_> = kinds.map(|(_, kind)| *kind).collect();
            let words = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
            Finding::new(NAME, State::Ok, format!("coredump_filter {bits:#x}: a core would hold {words}"))
                .with("coredump_filter", *bits)
        }
    }
}

pub(super) fn open_files(facts: &Facts) -> Finding {
    const NAME: &str = "open-files";
    let processes = match &facts.processes {
        Ok(processes) => processes,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let share = |files: &Files| percent(files.open, files.limit);
    let seen = processes
        .iter()
        .filter(|process| process.kind != Kind::Own)
        .filter_map(|process| Some((process, process.files.as_ref().ok()?)));
    let fullest = seen.clone().max_by_key(|(_, files)| (share(files), files.open));
    let Some((process, files)) = fullest else {
        let others = processes.iter().any(|process| !matches!(process.kind, Kind::Own | Kind::Kernel));
        return if others {
            Finding::unseen(NAME, &"/proc/PID/fd of others is not for this user".into())
        } else {
            Finding::new(NAME, State::Ok, "there is no other process")
        };
    };
    let Files { open, limit } = *files;
    let state = fullness(share(files));
    let message = format!(
        "{} ({}) is nearest to its limit: {open} of {}, {} %",
        process.name,
        process.pid,
        written(limit),
        share(files)
    );
    let finding = Finding::new(NAME, state, message)
        .with("pid", process.pid)
        .with("program", &process.name)
        .with("open", open)
        .with("limit", value(limit))
        .with("percent", share(files))
        .with("seen", seen.count());
    match state {
        State::Attention => finding.hint(format!(
            "set OSTLER_ULIMIT_NOFILE=65536, or look for what is not closed: ls -l /proc/{}/fd",
            process.pid
        )),
        State::Ok | State::Unknown | State::Note => finding,
    }
}
