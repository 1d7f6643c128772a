//! PID 1 by its /proc/1/status (proc(5)), and whose PID namespace it is.

use super::{read, unseen};
use crate::doctor::{Capabilities, Init, Namespace, Seccomp, Sight};
use caps::Capability;
use std::fs;
use std::path::Path;

/// What the first PID namespace of a kernel is called (`PROC_PID_INIT_INO`, linux/nsfs.h).
const INITIAL: &str = "pid:[4026531836]";

pub(super) fn namespace() -> Sight<Namespace> {
    let path = "/proc/self/ns/pid";
    let link = fs::read_link(path).map_err(|error| unseen(path, error))?;
    Ok(if link == Path::new(INITIAL) { Namespace::Initial } else { Namespace::Other })
}

pub(super) fn status() -> Sight<Init> {
    let last = read("/proc/sys/kernel/cap_last_cap").ok().and_then(|text| text.parse().ok());
    Ok(parse(&read("/proc/1/status")?, last))
}

/// `last` is the number of the last capability that the kernel knows.
fn parse(status: &str, last: Option<usize>) -> Init {
    let value = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(field, _)| *field == name).map(|(_, value)| value.trim())
    };
    let set = |name: &str| u64::from_str_radix(value(name)?, 16).ok().map(names);
    // The bits up to the last one; as many as ostler knows where the kernel does not tell.
    let last = last.map_or(caps::all().len(), |last| last.saturating_add(1));
    let known = names(1_u64.checked_shl(u32::try_from(last).unwrap_or(64)).map_or(u64::MAX, |next| next - 1));
    let capabilities = set("CapEff").zip(set("CapBnd"));
    Init {
        no_new_privs: value("NoNewPrivs").and_then(|value| value.parse().ok()),
        seccomp: match value("Seccomp") {
            Some("0") => Some(Seccomp::Off),
            Some("1") => Some(Seccomp::Strict),
            Some("2") => Some(Seccomp::Filter),
            Some(_) | None => None,
        },
        capabilities: capabilities.map(|(effective, bounding)| Capabilities { effective, bounding, known }),
    }
}

/// The names of the bits that are set; a number where this kernel is newer than ostler.
fn names(bits: u64) -> Vec<String> {
    let known: Vec<Capability> = caps::all().into_iter().collect();
    (0..64_u8)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| match known.iter().find(|capability| capability.index() == bit) {
            Some(capability) => capability.to_string().trim_start_matches("CAP_").to_lowercase(),
            None => bit.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_dockers_default() {
        let status = "Name:\tostler\nUid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
                      NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let init = parse(status, Some(40));
        assert_eq!((init.no_new_privs, init.seccomp), (Some(1), Some(Seccomp::Filter)));
        let capabilities = init.capabilities.unwrap();
        assert_eq!((capabilities.effective.len(), capabilities.known.len()), (14, 41));
        assert_eq!(capabilities.effective[0], "chown");
        assert_eq!(capabilities.effective.last().unwrap(), "setfcap");
        assert_eq!(names(1 << 63 | 1 << 21), ["sys_admin", "63"]);
    }

    #[test]
    fn what_a_kernel_does_not_say_is_not_made_up() {
        let init = parse("Name:\tx\nCapEff:\tnonsense\nSeccomp:\t9\n", None);
        assert!(init.no_new_privs.is_none() && init.seccomp.is_none() && init.capabilities.is_none());
    }

    #[test]
    fn the_namespace_is_told() {
        assert!(namespace().is_ok());
    }
}
