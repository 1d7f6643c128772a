//! Who the child is to be, and what it may do: `OSTLER_USER`, `OSTLER_CAPS`, `OSTLER_NO_NEW_PRIVS`, `OSTLER_UMASK`.

use super::Owner;
use super::reader::Reader;
use super::values;
use caps::Capability;
use std::collections::BTreeMap;

/// What ostler becomes once its sockets are open, and with it every child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Who; `None`: as it was started.
    pub user: Option<Owner>,
    /// Which capabilities are left; `None`: as the kernel has it.
    pub capabilities: Option<Vec<Capability>>,
    /// May a program that is executed have more privileges than who executes it?
    pub new: NewPrivileges,
    /// The mode bits that new files do not get; `None`: as it was started.
    pub umask: Option<u32>,
}

/// What set-user-ID programs and file capabilities do (prctl(2), `PR_SET_NO_NEW_PRIVS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPrivileges {
    /// What they usually do.
    Possible,
    /// Nothing.
    Never,
}

impl Privileges {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let user = reader.read("OSTLER_USER", "keep", values::owner);
        let capabilities = reader.read("OSTLER_CAPS", "keep", capabilities);
        let new = reader.read("OSTLER_NO_NEW_PRIVS", "auto", new_privileges);
        let umask = reader.read("OSTLER_UMASK", "keep", umask);
        let user = user?;
        // Who is given up is not to be had back by a set-user-ID program.
        let by_user = user.as_ref().map_or(NewPrivileges::Possible, |_| NewPrivileges::Never);
        Some(Self { user, capabilities: capabilities?, new: new?.unwrap_or(by_user), umask: umask? })
    }
}

/// How `docker run --cap-add` calls a capability: without `CAP_`.
#[must_use]
pub fn plain(capability: Capability) -> String {
    capability.to_string().trim_start_matches(PREFIX).to_owned()
}

const PREFIX: &str = "CAP_";

/// `keep`, `none`, `NET_BIND_SERVICE,KILL`.
fn capabilities(value: &str) -> Result<Option<Vec<Capability>>, String> {
    match value {
        "keep" => return Ok(None),
        "none" => return Ok(Some(Vec::new())),
        _ => {}
    }
    // Each once, in the kernel's order.
    let mut all = BTreeMap::new();
    for name in value.split(',') {
        let upper = name.trim().to_ascii_uppercase();
        let known = format!("{PREFIX}{}", upper.strip_prefix(PREFIX).unwrap_or(&upper)).parse::<Capability>();
        let capability = known.map_err(
            |_| "write the names of capabilities(7) to keep, such as NET_BIND_SERVICE,KILL; or none, or keep",
        )?;
        all.insert(capability.index(), capability);
    }
    Ok(Some(all.into_values().collect()))
}

fn new_privileges(value: &str) -> Result<Option<NewPrivileges>, String> {
    match value {
        "auto" => Ok(None),
        "0" | "off" => Ok(Some(NewPrivileges::Possible)),
        "1" | "on" => Ok(Some(NewPrivileges::Never)),
        _ => Err("write 1, 0, or auto (1 where OSTLER_USER is set)".into()),
    }
}

/// `keep`, or octal digits.
fn umask(value: &str) -> Result<Option<u32>, String> {
    if value == "keep" {
        return Ok(None);
    }
    values::mode(value).map(Some).map_err(|_| "write mode bits in octal, such as 0027, or keep".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_any_of_their_names() {
        let two = Some(vec![Capability::CAP_KILL, Capability::CAP_NET_BIND_SERVICE]);
        for (text, expected) in [
            ("keep", None),
            ("none", Some(vec![])),
            ("KILL", Some(vec![Capability::CAP_KILL])),
            ("NET_BIND_SERVICE,KILL", two.clone()),
            ("cap_kill, net_bind_service,CAP_KILL", two),
        ] {
            assert_eq!(capabilities(text), Ok(expected), "{text}");
        }
        for text in ["", ",", "all", "KILL;CHOWN", "CAP_", "NONE,KILL", "CAP_CAP_KILL"] {
            assert!(capabilities(text).unwrap_err().contains("capabilities(7)"), "{text}");
        }
        assert_eq!(plain(Capability::CAP_SYS_ADMIN), "SYS_ADMIN");
    }

    #[test]
    fn a_umask_is_octal() {
        assert_eq!(umask("0027"), Ok(Some(0o27)));
        assert_eq!(umask("keep"), Ok(None));
        for text in ["", "8", "1777", "-1", "u=rwx"] {
            assert!(umask(text).is_err(), "{text}");
        }
    }
}
