//! Who does not end (stopped, dead and not reaped, in the kernel's hands), and who listens.

use super::{NEARLY_FULL, TOLD, named, object, object_of};
use crate::doctor::text::{count, percent};
use crate::doctor::{Facts, Finding, Holder, Kind, Life, Process, Socket, State, Text};
use serde_json::Value;

pub(super) fn processes(facts: &Facts) -> Finding {
    const NAME: &str = "processes";
    let all = match &facts.processes {
        Ok(all) => all,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let of = |life: Life| -> Vec<&Process> {
        all.iter().filter(|process| process.life == life && process.kind != Kind::Kernel).collect()
    };
    let (stopped, zombies, stuck) = (of(Life::Stopped), of(Life::Zombie), of(Life::Uninterruptible));
    let state = match (stopped.is_empty() && zombies.is_empty(), stuck.is_empty()) {
        (false, _) => State::Attention,
        (true, false) => State::Note,
        (true, true) => State::Ok,
    };
    let number = all.iter().filter(|process| process.kind != Kind::Kernel).count() as u64;
    let mut parts = Vec::new();
    for (list, one, more) in [
        (&stopped, "is stopped", "are stopped"),
        (&zombies, "is a zombie", "are zombies"),
        (&stuck, "waits uninterruptibly", "wait uninterruptibly"),
    ] {
        let length = list.len() as u64;
        if length > 0 {
            parts.push(format!("{length} {}", if length == 1 { one } else { more }));
        }
    }
    let seen = count(number, "process", "processes");
    let message = if parts.is_empty() {
        format!("{seen}, none of them stopped, a zombie or stuck")
    } else {
        format!("of {seen} {}", parts.join(", "))
    };
    let parent = |process: &Process| all.iter().find(|other| other.pid == process.parent);
    let mut finding = Finding::new(NAME, state, message);
    if !stopped.is_empty() {
        finding = finding.line(format!("stopped: {}", named(stopped.iter().copied())));
    }
    for zombie in zombies.iter().take(TOLD) {
        let of = parent(zombie).map_or("one outside this namespace".to_owned(), |parent| {
            format!("{} ({})", parent.name, parent.pid)
        });
        finding = finding.line(format!("zombie: {} ({}), a child of {of}", zombie.name, zombie.pid));
    }
    let more = zombies.len().saturating_sub(TOLD);
    if more > 0 {
        finding = finding.line(format!("and {more} zombies more"));
    }
    if !stuck.is_empty() {
        finding = finding.line(format!("stuck: {}", named(stuck.iter().copied())));
    }
    if let Some(first) = stopped.first() {
        finding = finding
            .hint(format!("a stopped process does not obey SIGTERM; let it go on: kill -CONT {}", first.pid));
    }
    if !zombies.is_empty() {
        finding = finding.hint(
            "its parent does not wait for it (wait(2)): that is to be mended there; it goes when its parent does, and takes \
             a pid and no memory until then",
        );
    }
    if let Some(first) = stuck.first() {
        finding = finding.hint(format!(
            "not even SIGKILL ends it before its disk answers; what it waits for: cat /proc/{}/wchan",
            first.pid
        ));
    }
    let plain = |list: &[&Process]| list.iter().map(|process| object(process, [])).collect::<Vec<_>>();
    let dead: Vec<_> = zombies
        .iter()
        .map(|zombie| {
            let name = parent(zombie).map_or(Value::Null, |parent| Value::from(&parent.name));
            object(zombie, [("parent_pid", Value::from(zombie.parent)), ("parent_program", name)])
        })
        .collect();
    finding
        .with("count", number)
        .with("stopped", plain(&stopped))
        .with("zombies", dead)
        .with("uninterruptible", plain(&stuck))
}

pub(super) fn listening(facts: &Facts) -> Finding {
    const NAME: &str = "listening";
    let sockets = match &facts.sockets {
        Ok(sockets) => sockets,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let full = |socket: &Socket| {
        socket.limit.is_some_and(|limit| socket.queue > 0 && percent(socket.queue, limit) >= NEARLY_FULL)
    };
    let waits = sockets.iter().any(|socket| socket.queue > 0);
    let state = match (sockets.iter().any(full), waits) {
        (true, _) => State::Attention,
        (false, true) => State::Note,
        (false, false) => State::Ok,
    };
    let message = match sockets.len() {
        0 => "no TCP socket listens in this network namespace".to_owned(),
        number => {
            let waiting = sockets.iter().map(|socket| socket.queue).fold(0, u64::saturating_add);
            let number = count(number as u64, "TCP socket listens", "TCP sockets listen");
            format!("{number}; {} to be accepted", count(waiting, "connection waits", "connections wait"))
        }
    };
    let mut finding = Finding::new(NAME, state, message);
    for socket in sockets.iter().take(TOLD) {
        finding = finding.line(line(socket));
    }
    let more = sockets.len().saturating_sub(TOLD);
    if more > 0 {
        finding = finding.line(format!("and {more} more"));
    }
    if sockets.iter().any(|socket| socket.holders.is_empty()) {
        finding =
            finding.line("to see whose: run it as the server's user and group too, docker exec -u UID:GID");
    }
    if state == State::Attention {
        finding = finding.hint(
            "nobody accepts, or too slowly, and clients are turned away: OSTLER_WATCHDOG=30s replaces a server that hangs",
        );
    }
    finding.with("sockets", sockets.iter().map(value).collect::<Vec<_>>())
}

fn line(socket: &Socket) -> String {
    let Socket { address, queue, limit, holders } = socket;
    let limit = limit.map_or(String::new(), |limit| format!(" of {limit}"));
    let mut names: Vec<(&Text, Vec<String>)> = Vec::new();
    for Holder { pid, name } in holders {
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, pids)) => pids.push(pid.to_string()),
            None => names.push((name, vec![pid.to_string()])),
        }
    }
    let words: Vec<_> = names.iter().map(|(name, pids)| format!("{name} ({})", pids.join(", "))).collect();
    let words = if words.is_empty() { "whose, cannot be seen".to_owned() } else { words.join(", ") };
    format!("{address}  queue {queue}{limit}  {words}")
}

fn value(socket: &Socket) -> Value {
    let Socket { address, queue, limit, holders } = socket;
    let holders: Vec<_> = holders
        .iter()
        .map(|holder| object_of([("pid", Value::from(holder.pid)), ("program", Value::from(&holder.name))]))
        .collect();
    object_of([
        ("address", Value::from(address.as_str())),
        ("queue", Value::from(*queue)),
        ("queue_limit", Value::from(*limit)),
        // Every socket that listens is held by somebody: nobody seen is nobody known.
        ("holders", if holders.is_empty() { Value::Null } else { Value::from(holders) }),
    ])
}
