//! Everything in the edge that reads bytes which others have chosen, in one place for fuzzing and for the tests of what
//! it has found: no input may panic, hang, or be believed where it lies.

use super::cores::Naming;
use super::counter::passive_opens;
use super::table::{Member, State};
use super::users::account_in;
use super::{control, core_file, hosts, memory, notify, probe, table, waiting, workers};
use crate::config::{Owner, Who};
use std::collections::BTreeSet;

/// Reads the bytes as each of them is read. The first byte chooses; the rest is what was sent or found.
///
/// # Panics
/// If what was made of them cannot be right.
pub fn read(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match which % 10 {
        0 => {
            let member = table::parse(7, &text);
            assert!(member.is_none_or(|member| member.pid == 7));
        }
        1 => {
            let status = probe::status(bytes);
            assert!(status.is_none() || bytes.contains(&b'\n'));
        }
        2 => {
            let (passwd, groups) = text.split_once('\u{1}').unwrap_or((&text, ""));
            for user in [Who::Name("app".into()), Who::Id(1000)] {
                for group in [None, Some(Who::Name("web".into()))] {
                    let owner = Owner { user: user.clone(), group };
                    if let Ok(account) = account_in(&owner, passwd, groups) {
                        assert!(account.groups.contains(&account.group));
                    }
                }
            }
        }
        3 => {
            let naming = Naming::of(bytes);
            assert!(naming.is_none() || !matches!(bytes.trim_ascii_end().first(), Some(b'|' | b'@')));
        }
        4 => {
            let read_at = |offset: u64, to: &mut [u8]| {
                let from =
                    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let length = from.len().min(to.len());
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                Ok(length)
            };
            let left = core_file::program(read_at);
            assert!(left.is_none_or(|left| left.name.len() < 16 && left.arguments.len() < 80));
        }
        5 => {
            let known: [&[u8]; 3] = [b"recycle", b"status", b"metrics"];
            assert!(control::parse(bytes).is_none() || known.contains(&bytes.trim_ascii_end()));
        }
        6 => assert!(!notify::says_ready(bytes) || bytes.windows(7).any(|window| window == b"READY=1")),
        7 => {
            let _ = (hosts::find(&text, "statsd"), memory::pss(&text));
            let _ = (workers::flags(&text), passive_opens(&text));
            // Parents and numbers as they come: in rings, twice, their own.
            let member = |[pid, parent]: &[u8; 2]| Member {
                pid: i32::from(*pid),
                parent: i32::from(*parent),
                group: 0,
                state: State::Any,
                resident: 0,
                name: String::new(),
            };
            let all: Vec<_> = bytes.as_chunks().0.iter().map(member).collect();
            let family = table::family(&all, |member| member.pid == 7);
            assert!(family.len() <= all.len());
        }
        8 => {
            let waits = waiting::connection(&text, &BTreeSet::from([8000]));
            assert!(waits.is_none() || text.contains("1F40") || text.contains("1f40"));
        }
        _ => {
            let pid = super::pid_file::number(&text);
            assert!(pid.is_none() || text.contains(|c: char| c.is_ascii_digit()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn what_fuzzing_has_found_breaks_nothing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/untrusted");
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 10, "the corpus is missing");
        for file in files {
            super::read(&fs::read(file).unwrap());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_anything(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            super::read(&bytes);
        }
    }
}
