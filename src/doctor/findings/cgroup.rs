//! The cgroup's limits and what is used of them: memory, processes, processor time.

use super::{NEARLY_FULL, fullness};
use crate::doctor::text::{count, percent, size};
use crate::doctor::{Cpu, Facts, Finding, Memory, Pids, State, Version};

/// From so many percent of periods on in which the quota was used up, the processor is scarce.
const OFTEN: u64 = 10;

fn number(version: Version) -> u64 {
    match version {
        Version::V1 => 1,
        Version::V2 => 2,
    }
}

pub(super) fn memory(facts: &Facts) -> Finding {
    const NAME: &str = "memory";
    let Memory { version, limit, used, droppable, kills } = match &facts.memory {
        Ok(memory) => memory,
        Err(why) => return Finding::unseen(NAME, why),
    };
    // What can be dropped does not bring the kernel's killer.
    let held = used.as_ref().ok().map(|used| used.saturating_sub(*droppable));
    let share = held.zip(*limit).map(|(held, limit)| percent(held, limit));
    let used_words = match (held, used) {
        (Some(held), _) => format!("{} used", size(held)),
        (None, Ok(_)) => String::new(),
        (None, Err(why)) => format!("use cannot be seen: {why}"),
    };
    let limit_words = match (limit, share) {
        (Some(limit), Some(share)) => format!("{used_words} of {}, {share} %", size(*limit)),
        (Some(limit), None) => format!("limit {}; {used_words}", size(*limit)),
        (None, _) => format!("no limit; {used_words}"),
    };
    let (killed, kill_words) = match kills {
        Ok(0) => (false, "nobody was killed for want of it".to_owned()),
        Ok(kills) => {
            (true, format!("the kernel has killed {} for want of it", count(*kills, "process", "processes")))
        }
        Err(_) => (false, "the kernel does not tell whether it has killed anybody".into()),
    };
    let full = share.is_some_and(|share| share >= NEARLY_FULL);
    let state = match (killed || full, limit, held) {
        (true, _, _) => State::Attention,
        (false, None, _) => State::Note,
        (false, Some(_), Some(_)) => State::Ok,
        (false, Some(_), None) => State::Unknown,
    };
    let finding = Finding::new(NAME, state, format!("{limit_words}; {kill_words}"))
        .with("cgroup_version", number(*version))
        .with("limit_bytes", *limit)
        .with("used_bytes", used.as_ref().ok().copied())
        .with("droppable_bytes", *droppable)
        .with("percent", share)
        .with("oom_kills", kills.as_ref().ok().copied());
    if killed || full {
        finding.hint("set OSTLER_MAX_MEMORY=70%, which recycles before the kernel kills; or fewer workers, or more memory")
    } else {
        finding
    }
}

pub(super) fn pids(facts: &Facts) -> Finding {
    const NAME: &str = "pids";
    let Pids { version, limit, used } = match &facts.pids {
        Ok(pids) => pids,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let seen = used.as_ref().ok().copied();
    let share = seen.zip(*limit).map(|(used, limit)| percent(used, limit));
    let words = |used: u64| count(used, "process or thread", "processes and threads");
    let (state, message) = match (used, limit, share) {
        (Ok(used), Some(limit), Some(share)) => {
            (fullness(share), format!("{} of {limit}, {share} %", words(*used)))
        }
        (Ok(used), _, _) => (State::Ok, format!("{}, no limit", words(*used))),
        (Err(why), limit, _) => {
            let limit = limit.map_or("no limit".to_owned(), |limit| format!("limit {limit}"));
            (State::Unknown, format!("{limit}; use cannot be seen: {why}"))
        }
    };
    let finding = Finding::new(NAME, state, message)
        .with("cgroup_version", number(*version))
        .with("limit", *limit)
        .with("used", seen)
        .with("percent", share);
    match state {
        State::Attention => finding.hint(
            "none can be started soon: raise the container's --pids-limit, or look for what starts so many",
        ),
        State::Ok | State::Unknown | State::Note => finding,
    }
}

pub(super) fn cpu(facts: &Facts) -> Finding {
    const NAME: &str = "cpu";
    let Cpu { version, quota, periods } = match &facts.cpu {
        Ok(cpu) => cpu,
        Err(why) => return Finding::unseen(NAME, why),
    };
    let hundredths = quota.map(|(quota, period)| {
        u64::try_from(u128::from(quota) * 100 / u128::from(period.max(1))).unwrap_or(u64::MAX)
    });
    let share = periods.map(|(all, throttled)| percent(throttled, all));
    let (state, message) = match (hundredths, periods, share) {
        (None, _, _) => (State::Ok, "no quota".to_owned()),
        (Some(cpus), Some((all, throttled)), Some(share)) => {
            let state = if share >= OFTEN { State::Note } else { State::Ok };
            let words = format!("{}; used up in {throttled} of {all} periods", processors(cpus));
            (state, words)
        }
        (Some(cpus), _, _) => (State::Ok, processors(cpus)),
    };
    let finding = Finding::new(NAME, state, message)
        .with("cgroup_version", number(*version))
        .with("quota_us", quota.map(|(quota, _)| quota))
        .with("period_us", quota.map(|(_, period)| period))
        .with("periods", periods.map(|(all, _)| all))
        .with("throttled", periods.map(|(_, throttled)| throttled));
    match state {
        State::Note => finding
            .hint("workers wait for the processor: fewer workers, or a larger quota (docker run --cpus)"),
        State::Ok | State::Unknown | State::Attention => finding,
    }
}

fn processors(hundredths: u64) -> String {
    format!("quota of {}.{:02} processors", hundredths / 100, hundredths % 100)
}
