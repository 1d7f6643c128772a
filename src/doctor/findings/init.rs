//! PID 1: who it is, where orphans go, and what it may do.

use super::Who;
use crate::doctor::{Capabilities, Facts, Finding, Kind, Namespace, Seccomp, State, Subreaper};
use serde_json::Value;

/// As many capabilities that are missing are named instead of those that are there.
const FEW: usize = 5;

pub(super) fn pid_1(facts: &Facts) -> Finding {
    const NAME: &str = "pid-1";
    let processes = match &facts.processes {
        Ok(processes) => processes,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let who = Who::of(processes);
    let place = match facts.namespace {
        Ok(Namespace::Other) => "in a container (a PID namespace of its own)",
        Ok(Namespace::Initial) => "on the host, or in a container that shares the host's PID namespace",
        Err(_) => "in a container or not: /proc does not say",
    };
    let Some(init) = who.init else {
        return Finding::new(NAME, State::Unknown, format!("cannot be seen: /proc hides it; {place}"));
    };
    let name = &init.name;
    let found = match (init.kind, who.ostler) {
        (Kind::Ostler, _) => Finding::new(NAME, State::Ok, format!("is ostler, {place}")),
        (Kind::Own, _) => Finding::new(NAME, State::Note, format!("is this very process, {place}"))
            .hint("look where a server runs: docker exec CONTAINER /ostler --doctor"),
        (Kind::Other | Kind::Kernel, Some(ostler)) => {
            Finding::new(NAME, State::Note, format!("is {name}, and ostler is {}, {place}", ostler.pid))
        }
        (Kind::Other | Kind::Kernel, None) => {
            let finding =
                Finding::new(NAME, State::Note, format!("is {name}, and no ostler is seen, {place}"));
            match facts.namespace {
                Ok(Namespace::Other) => finding.hint("write ostler as the image's ENTRYPOINT"),
                Ok(Namespace::Initial) | Err(_) => finding,
            }
        }
    };
    let container = facts.namespace.as_ref().ok().map(|namespace| *namespace == Namespace::Other);
    found
        .with("program", name)
        .with("is_ostler", init.kind == Kind::Ostler)
        .with("ostler_pid", who.ostler.map(|ostler| ostler.pid))
        .with("in_container", container)
}

/// Of its own attribute a process can ask, of another's not
/// (prctl(2), `PR_GET_CHILD_SUBREAPER`). A child does not inherit it.
pub(super) fn orphans(facts: &Facts) -> Finding {
    const NAME: &str = "orphans";
    let own = match &facts.subreaper {
        Ok(Subreaper::Yes) => Value::from(true),
        Ok(Subreaper::No) => Value::from(false),
        Err(_) => Value::Null,
    };
    let processes = match &facts.processes {
        Ok(processes) => processes,
        Err(why) => return Finding::unseen(NAME, why).with("own_subreaper", own),
    };
    let who = Who::of(processes);
    let (state, message) = match (who.ostler, who.init) {
        (Some(ostler), _) if ostler.pid == 1 => (State::Ok, "come to ostler, which reaps them".to_owned()),
        (Some(ostler), _) => (
            State::Ok,
            format!(
                "below ostler ({}) they come to it, as it becomes a sub-reaper where it is not PID 1",
                ostler.pid
            ),
        ),
        (None, init) => {
            let init = init.map_or("PID 1".to_owned(), |init| format!("PID 1 ({})", init.name));
            let message =
                format!("go to {init}, or to a sub-reaper: which other process is one, no one can see");
            (State::Note, message)
        }
    };
    Finding::new(NAME, state, message).with("own_subreaper", own)
}

pub(super) fn privileges(facts: &Facts) -> Finding {
    const NAME: &str = "privileges";
    let init = match &facts.init {
        Ok(init) => init,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let (state, seccomp) = match init.seccomp {
        Some(Seccomp::Filter) => (State::Ok, "a filter"),
        Some(Seccomp::Strict) => (State::Ok, "strict"),
        Some(Seccomp::Off) => (State::Note, "off"),
        None => (State::Note, "not told"),
    };
    let no_new_privs = init.no_new_privs.map_or("not told".to_owned(), |value| value.to_string());
    Finding::new(NAME, state, format!("of PID 1: no_new_privs {no_new_privs}, seccomp {seccomp}"))
        .with("no_new_privs", init.no_new_privs)
        .with(
            "seccomp",
            init.seccomp.map(|seccomp| match seccomp {
                Seccomp::Off => "off",
                Seccomp::Strict => "strict",
                Seccomp::Filter => "filter",
            }),
        )
}

pub(super) fn capabilities(facts: &Facts) -> Finding {
    const NAME: &str = "capabilities";
    let init = match &facts.init {
        Ok(init) => init,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let Some(Capabilities { effective, bounding, known }) = &init.capabilities else {
        return Finding::unseen(NAME, &"/proc/1/status does not tell".into());
    };
    let words = |names: &[String]| {
        let missing: Vec<_> = known.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
        match (names.len(), missing.len()) {
            (0, _) => "none".to_owned(),
            (all, 0) => format!("all {all}"),
            (number, 1..=FEW) => format!("{number}, all but {}", missing.join(", ")),
            (number, _) => format!("{number}: {}", names.join(", ")),
        }
    };
    let state = if effective.len() >= known.len() { State::Note } else { State::Ok };
    let limit = if effective.is_empty() && init.no_new_privs == Some(1) {
        "with no_new_privs none below it can have any".to_owned()
    } else if effective == bounding {
        "none below it can have more".to_owned()
    } else {
        format!("below it there can be {}", words(bounding))
    };
    Finding::new(NAME, state, format!("PID 1 has {}; {limit}", words(effective)))
        .with("effective", effective.clone())
        .with("bounding", bounding.clone())
}
