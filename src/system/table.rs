//! The table of processes, as /proc shows it (proc(5)).

use nix::unistd::getpid;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// One process, by /proc/PID/stat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) state: State,
    /// Pages, an upper bound of what is its own.
    pub(super) resident: u64,
    /// What the kernel calls it.
    pub(super) name: String,
}

/// What matters of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In the hands of the kernel (`D`).
    Uninterruptible,
    /// A zombie.
    Dead,
    Any,
}

/// All that can be seen.
///
/// # Errors
/// There is no /proc, or it is another namespace's, in which numbers mean others; or no descriptor is left.
pub(super) fn processes() -> io::Result<Vec<Member>> {
    if !is_own(&fs::read_link("/proc/self")?) {
        return Err(io::Error::other("/proc is another PID namespace's"));
    }
    let entries = fs::read_dir("/proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(process).collect())
}

fn is_own(link: &Path) -> bool {
    link == Path::new(&getpid().to_string())
}

/// Is there a /proc, and does it tell of other processes than ours?
pub(super) fn proc_is_anothers() -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| !is_own(&link))
}

/// One, if it is there.
pub(super) fn process(pid: i32) -> Option<Member> {
    // A name may be cut within a character, or hold any bytes at all.
    parse(pid, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// The fields behind the name, which may hold anything; no later one holds a parenthesis.
pub(super) fn parse(pid: i32, stat: &str) -> Option<Member> {
    let (head, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let (state, parent, group) = (fields.next()?, fields.next()?, fields.next()?);
    // rss is the 24th of all, and so the 19th after the process group.
    let resident = fields.nth(18)?;
    Some(Member {
        pid,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
        state: match state {
            "D" => State::Uninterruptible,
            "Z" | "X" => State::Dead,
            _ => State::Any,
        },
        // The kernel's sum of counters that are updated in turn may be below 0 for a moment.
        resident: resident.parse().unwrap_or(0),
        name: head.split_once('(')?.1.to_owned(),
    })
}

/// Those who are chosen, and all that descends from one of them. Each is looked at once, in whatever order they are and
/// however deep they stand: whoever nests thousands of processes must not keep ostler from its signals.
pub(super) fn family(all: &[Member], chosen: impl Fn(&Member) -> bool) -> Vec<&Member> {
    let mut by_parent: Vec<&Member> = all.iter().collect();
    by_parent.sort_unstable_by_key(|member| member.parent);
    let children = |parent: i32| {
        let first = by_parent.partition_point(|member| member.parent < parent);
        by_parent
            .iter()
            .skip(first)
            .take_while(move |member| member.parent == parent)
            .map(|member| member.pid)
    };
    let mut to_do: Vec<i32> = all.iter().filter(|member| chosen(member)).map(|member| member.pid).collect();
    let mut belong = BTreeSet::new();
    while let Some(pid) = to_do.pop() {
        if belong.insert(pid) {
            to_do.extend(children(pid));
        }
    }
    all.iter().filter(|member| belong.contains(&member.pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_text_hides_nobody() {
        let name = [b'g', 0xc3, 0xb6, b')', 0xc3];
        let script = "printf '\\147\\303\\266\\051\\303' >/proc/self/comm; echo; read line";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let pid = child.id().cast_signed();
        let found = process(pid);
        let listed = processes().unwrap().iter().any(|member| member.pid == pid);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(found.unwrap().name, String::from_utf8_lossy(&name));
        assert!(listed);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let rest = "S 7 9 9 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 5 1000 321 18446744073709551615";
        for name in ["sh", "a) b", "a) R 1 1 (x", ""] {
            let found = parse(8, &format!("8 ({name}) {rest}")).unwrap();
            let expected = Member {
                pid: 8,
                parent: 7,
                group: 9,
                state: State::Any,
                resident: 321,
                name: name.to_owned(),
            };
            assert_eq!(found, expected, "{name}");
        }
        for (letter, state) in [("D", State::Uninterruptible), ("Z", State::Dead), ("T", State::Any)] {
            let text = format!("8 (sh) {}", rest.replacen('S', letter, 1));
            assert_eq!(parse(8, &text).unwrap().state, state);
        }
        for text in ["", "8 (sh)", "8 (sh) S 7", "8 (sh) S x 9 9 0 -1"] {
            assert_eq!(parse(8, text), None, "{text}");
        }
    }
    #[test]
    fn who_nests_processes_costs_no_more_than_who_does_not() {
        // The last first, so that going over all of them finds one more each time: that would take hours.
        const DEEP: i32 = 200_000;
        let nested = |pid| Member {
            pid,
            parent: pid - 1,
            group: 1,
            state: State::Any,
            resident: 0,
            name: String::new(),
        };
        let all: Vec<_> = (1..=DEEP).rev().map(nested).collect();
        assert_eq!(family(&all, |member| member.pid == 2).len(), all.len() - 1);
        // Numbers that were given anew while the table was read may make a ring.
        let ring: Vec<_> = all.iter().cloned().chain([Member { parent: DEEP, ..nested(0) }]).collect();
        assert_eq!(family(&ring, |member| member.pid == 2).len(), ring.len());
    }
}
