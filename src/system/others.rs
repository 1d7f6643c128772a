//! All processes below ostler that are no generation's: those
//! that have left its group, and whoever came by `docker exec`.

use super::signals::{self, To};
use super::table::{Member, State, family, processes};
use crate::supervisor::{Kin, Left, Pid, Signal};
use nix::unistd::getpid;
use std::collections::BTreeSet;

/// So many are told of by name; how many more there are does not matter.
const MOST: usize = 1000;

/// Whom ostler may end when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// PID 1: the whole namespace, which ends with it anyway.
    Namespace,
    /// Not PID 1: what descends from it. Orphans do, since it is their sub-reaper.
    Descendants,
}

fn reach() -> Reach {
    if getpid().as_raw() == 1 { Reach::Namespace } else { Reach::Descendants }
}

/// Sends a signal to all of them, if one is given; they are those who
/// were there before. The dead that nobody has reaped do not count.
pub(super) fn sweep(signal: Option<Signal>) -> Vec<Left> {
    let left = all();
    if let Some(signal) = signal {
        match reach() {
            // At once, so that nobody who forks escapes.
            Reach::Namespace => {
                let _ = signals::send(To::Everybody, Some(signal));
            }
            Reach::Descendants => {
                for process in &left {
                    let _ = signals::send(To::Process(process.pid.0), Some(signal));
                }
            }
        }
    }
    left
}

fn all() -> Vec<Left> {
    let own = getpid().as_raw();
    let Ok(all) = processes() else {
        // Without /proc they have no names. Is there anybody?
        let somebody = signals::send(To::Everybody, None).is_ok();
        return Vec::from_iter(somebody.then(|| Left { pid: Pid(0), name: "?".into(), kin: Kin::Own }));
    };
    // The parent of who came from outside is not to be seen from here.
    let guests: BTreeSet<_> = family(&all, |member| member.parent == 0 && member.pid != own)
        .iter()
        .map(|member| member.pid)
        .collect();
    let below = match reach() {
        Reach::Namespace => all.iter().collect(),
        Reach::Descendants => family(&all, |member| member.parent == own),
    };
    let alive = |member: &&&Member| member.pid != own && member.state != State::Dead;
    let left = |member: &Member| Left {
        pid: Pid(member.pid),
        name: member.name.clone(),
        kin: if guests.contains(&member.pid) { Kin::Guest } else { Kin::Own },
    };
    below.iter().filter(alive).take(MOST).map(|member| left(member)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn descendants_are_found_and_the_dead_are_not() {
        let mut parent = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let shell = parent.id().cast_signed();
        let found = |pid: i32| all().into_iter().find(|left| left.pid == Pid(pid));
        let sleeping = loop {
            if let Some(pid) = super::super::workers::children(Pid(shell)).first() {
                break pid.0;
            }
            std::thread::yield_now();
        };
        assert_eq!(found(shell).unwrap().name, "sh");
        assert!(found(sleeping).is_some());
        assert_eq!(found(std::process::id().cast_signed()), None);
        assert_eq!(found(1), None, "it does not descend from this process");
        for pid in [sleeping, shell] {
            signals::send(To::Process(pid), Some(Signal::KILL)).unwrap();
        }
        // A zombie until it is reaped.
        while found(shell).is_some() {
            std::thread::yield_now();
        }
        assert!(std::fs::exists(format!("/proc/{shell}")).unwrap());
        parent.wait().unwrap();
    }
}
