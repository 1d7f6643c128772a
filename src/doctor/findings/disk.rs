//! The disk: how full it is, and which core files lie on it.

use super::{NEARLY_FULL, TOLD, object_of};
use crate::doctor::text::{count, percent, size};
use crate::doctor::{Core, Cores, Disk, Facts, Finding, Reach, Room, State, Usage};
use serde_json::Value;

impl Room {
    /// As df(1) tells it: of what is there for an ordinary user.
    fn percent(self) -> u64 {
        percent(self.used, self.used.saturating_add(self.available))
    }
}

pub(super) fn disk(disk: &Disk) -> Finding {
    const NAME: &str = "disk";
    let paths: Vec<_> = disk.paths.iter().map(ToString::to_string).collect();
    let list: Vec<_> = disk.paths.iter().map(Value::from).collect();
    let paths = paths.join(", ");
    let Usage { bytes, inodes } = match &disk.usage {
        Ok(usage) => *usage,
        Err(why) => {
            return Finding::new(NAME, State::Unknown, format!("{paths}: cannot be seen: {why}"))
                .with("paths", list);
        }
    };
    let inode_words = match inodes {
        Some(inodes) => format!("inodes {} %", inodes.percent()),
        None => "inodes without limit".into(),
    };
    let inodes_full = inodes.is_some_and(|inodes| inodes.percent() >= NEARLY_FULL);
    let full = bytes.percent() >= NEARLY_FULL;
    let state = if full || inodes_full { State::Attention } else { State::Ok };
    let message = format!(
        "{paths}: {} % full: {} used, {} left to use; {inode_words}",
        bytes.percent(),
        size(bytes.used),
        size(bytes.available)
    );
    let mut finding = Finding::new(NAME, state, message)
        .with("paths", list)
        .with("total_bytes", bytes.total)
        .with("used_bytes", bytes.used)
        .with("available_bytes", bytes.available)
        .with("percent", bytes.percent())
        .with("inodes_total", inodes.map(|inodes| inodes.total))
        .with("inodes_used", inodes.map(|inodes| inodes.used))
        .with("inodes_percent", inodes.map(Room::percent));
    let place = disk.paths.first().and_then(crate::doctor::Text::quoted).unwrap_or_else(|| "DIR".into());
    if full {
        finding = finding.hint(format!(
            "look for what is large: du -xah {place} | sort -h | tail; core files are listed below"
        ));
    }
    if inodes_full {
        finding = finding.hint(format!("look for many small files: du -x --inodes {place} | sort -n | tail"));
    }
    finding
}

pub(super) fn core_files(facts: &Facts) -> Finding {
    const NAME: &str = "core-files";
    let folder = &facts.folder;
    let cores = match &facts.cores {
        Ok(cores) => cores,
        Err(why) => {
            return Finding::new(NAME, State::Unknown, format!("below {folder} cannot be looked for: {why}"));
        }
    };
    let Cores { largest, count: number, length, allocated, entries, unreadable, reach } = cores;
    let (state, message) = match (number, reach) {
        (0, Reach::All) if *unreadable == 0 => {
            (State::Ok, format!("none below {folder}, among {}", count(*entries, "entry", "entries")))
        }
        (0, _) => {
            (State::Note, format!("none seen below {folder}, among {}", count(*entries, "entry", "entries")))
        }
        (_, _) => (
            State::Attention,
            format!(
                "{} below {folder}: {} on the disk, {} long",
                count(*number, "core file", "core files"),
                size(*allocated),
                size(*length)
            ),
        ),
    };
    let mut finding = Finding::new(NAME, state, message);
    for core in largest.iter().take(TOLD) {
        finding = finding.line(line(core));
    }
    let more = number.saturating_sub(largest.len().min(TOLD) as u64);
    if more > 0 {
        finding = finding.line(format!("and {more} more, which take no more than these"));
    }
    match reach {
        Reach::All => {}
        Reach::Entries(most) => {
            finding = finding.line(format!("the search ended at {most} entries: give a folder further down"));
        }
        Reach::Depth(most) => {
            finding =
                finding.line(format!("folders {most} deep were not entered: give a folder further down"));
        }
    }
    if *unreadable > 0 {
        let what = count(*unreadable, "file or folder", "files and folders");
        finding = finding.line(format!("{what} could not be read"));
    }
    if *number > 0 {
        finding = finding
            .hint("OSTLER_ULIMIT_CORE is 0 by default, which prevents them in all that ostler starts, unless OSTLER_CORES keeps some; docker exec is beside it")
            .hint(cure(largest));
    }
    let (bound, reached) = match reach {
        Reach::All => (None, None),
        Reach::Entries(most) => (Some("entries"), Some(*most)),
        Reach::Depth(most) => (Some("depth"), Some(*most)),
    };
    finding
        .with("directory", folder)
        .with("count", *number)
        .with("bytes", *length)
        .with("allocated_bytes", *allocated)
        .with("files", largest.iter().map(object).collect::<Vec<_>>())
        .with("entries", *entries)
        .with("unreadable", *unreadable)
        .with("bound", bound)
        .with("bound_at", reached)
}

fn line(core: &Core) -> String {
    let Core { path, length, allocated, time, program } = core;
    let room = if allocated < length {
        format!("{} ({} long)", size(*allocated), size(*length))
    } else {
        size(*length)
    };
    let program = match program {
        Some((0, name, arguments)) => format!("{name}: {arguments}"),
        Some((pid, name, arguments)) => format!("{name} ({pid}): {arguments}"),
        None => "does not tell who left it".into(),
    };
    format!("{path}  {room}  {time}  {program}")
}

/// Whole paths where they are few and a shell takes them as they are shown.
fn cure(largest: &[Core]) -> String {
    const FEW: usize = 3;
    let quoted: Option<Vec<_>> = largest.iter().map(|core| core.path.quoted()).collect();
    let files = match quoted {
        Some(paths) if paths.len() <= FEW => paths.join(" "),
        Some(_) | None => "FILE ...".into(),
    };
    format!(
        "they hold the memory of a process, with its secrets; delete those that nobody needs: rm -- {files}"
    )
}

fn object(core: &Core) -> Value {
    let Core { path, length, allocated, time, program } = core;
    let (pid, name, arguments) = match program {
        Some((pid, name, arguments)) => (Value::from(*pid), Value::from(name), Value::from(arguments)),
        None => (Value::Null, Value::Null, Value::Null),
    };
    object_of([
        ("path", Value::from(path)),
        ("bytes", Value::from(*length)),
        ("allocated_bytes", Value::from(*allocated)),
        ("time", Value::from(time.as_str())),
        ("pid", pid),
        ("program", name),
        ("arguments", arguments),
    ])
}
