//! Who ostler is once its sockets are open, and with it every child: the user, the capabilities, and no way back.

use super::users::{self, Account};
use crate::config::privileges::plain;
use crate::config::{NewPrivileges, Privileges as Wanted};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl::{get_dumpable, set_dumpable, set_keepcaps, set_no_new_privs};
use nix::sys::stat::{Mode, SFlag, fstat, umask};
use nix::unistd::{
    Gid, Uid, fchown, getgroups, getresgid, getresuid, setegid, seteuid, setgroups, setresgid, setresuid,
};
use std::fmt;
use std::io;
use std::os::fd::AsFd;

/// The real and the saved user of an ostler that has become another one: nobody's numbers.
/// Whom kill(2) lets send a signal is decided by these two, as is who may lower the limits
/// of a process (prlimit(2)) until the kernel ends it; whom ostler itself may signal, by
/// its effective user. So ostler reaches the child, and the child does not reach ostler.
const ALOOF: [u32; 2] = [65_534, 65_533];

/// What was asked for, found possible.
#[derive(Debug)]
pub struct Privileges {
    user: Option<Account>,
    capabilities: Option<CapsHashSet>,
    new: NewPrivileges,
    umask: Option<Mode>,
}

/// Looks up who is meant, and whether all that can be done here. Changes nothing.
///
/// # Errors
/// A line for each thing that cannot be done, with what to write instead.
pub fn resolve_privileges(wanted: &Wanted) -> Result<Privileges, Vec<String>> {
    let user = wanted.user.as_ref().map(|owner| {
        users::account(owner).and_then(may_become).map_err(|error| format!("OSTLER_USER: {error}"))
    });
    let capabilities = wanted.capabilities.as_deref().map(|kept| may_keep(kept, wanted.new));
    match (user.transpose(), capabilities.transpose()) {
        (Ok(user), Ok(capabilities)) => Ok(Privileges {
            user,
            capabilities,
            new: wanted.new,
            umask: wanted.umask.map(Mode::from_bits_truncate),
        }),
        (user, capabilities) => Err([user.err(), capabilities.err()].into_iter().flatten().collect()),
    }
}

fn holds(set: CapSet, capability: Capability) -> bool {
    caps::has_cap(None, set, capability).unwrap_or(false)
}

fn may_become(account: Account) -> Result<Account, String> {
    let needed = [Capability::CAP_SETUID, Capability::CAP_SETGID];
    if is_already(&account) || needed.into_iter().all(|capability| holds(CapSet::Effective, capability)) {
        return Ok(account);
    }
    let own = Uid::effective();
    Err(if own.is_root() {
        format!(
            "becoming {account} needs CAP_SETUID and CAP_SETGID; start the container with --cap-add SETUID --cap-add SETGID"
        )
    } else {
        format!(
            "ostler runs as {own}, and only root can become {account}; start the container as root, or unset it"
        )
    })
}

fn is_already(account: &Account) -> bool {
    let (Ok(user), Ok(group)) = (getresuid(), getresgid()) else { return false };
    [user.real, user.effective, user.saved].map(Uid::as_raw) == [account.user; 3]
        && [group.real, group.effective, group.saved].map(Gid::as_raw) == [account.group; 3]
}

/// A capability that is not held cannot be kept, and one that the bounding set has is had back from a file.
fn may_keep(kept: &[Capability], new: NewPrivileges) -> Result<CapsHashSet, String> {
    let absent: Vec<_> =
        kept.iter().copied().filter(|capability| !holds(CapSet::Permitted, *capability)).collect();
    if !absent.is_empty() {
        let names = names(absent);
        return Err(format!(
            "OSTLER_CAPS: {names} not held here, so it cannot be kept; leave it out, or start the container as root with --cap-add, \
             which does not reach another user"
        ));
    }
    let kept: CapsHashSet = kept.iter().copied().collect();
    let bounding = caps::read(None, CapSet::Bounding).unwrap_or_default();
    let left = bounding.difference(&kept).next().is_some();
    if left && new == NewPrivileges::Possible && !holds(CapSet::Effective, Capability::CAP_SETPCAP) {
        return Err(
            "OSTLER_CAPS: only CAP_SETPCAP can take others out of the bounding set, from which an executed file can have \
             them back; write OSTLER_NO_NEW_PRIVS=1 too, or start the container with --cap-drop ALL"
                .into(),
        );
    }
    Ok(kept)
}

/// `KILL, NET_RAW`, in the kernel's order.
fn names(capabilities: impl IntoIterator<Item = Capability>) -> String {
    let mut all: Vec<_> = capabilities.into_iter().collect();
    all.sort_unstable_by_key(Capability::index);
    if all.is_empty() { "none".into() } else { all.into_iter().map(plain).collect::<Vec<_>>().join(", ") }
}

impl Privileges {
    /// What was asked for, for people: names and values.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let groups =
            |account: &Account| account.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let facts = [
            ("user", self.user.as_ref().map(ToString::to_string)),
            ("groups", self.user.as_ref().map(groups)),
            ("home", self.user.as_ref().map(|account| account.home.clone())),
            ("capabilities", self.capabilities.as_ref().map(|kept| names(kept.iter().copied()))),
            ("no_new_privs", (self.new == NewPrivileges::Never).then(|| "1".to_owned())),
            ("umask", self.umask.map(|mask| format!("{:04o}", mask.bits()))),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.user.as_ref()
    }

    /// Does it, for good, and looks whether it has been done. What is not as it might be is returned.
    ///
    /// # Errors
    /// Which step could not be done, or has not had its effect.
    pub fn take_effect(&self) -> Result<Vec<String>, String> {
        let mut advice = Vec::new();
        let failed = |what: &str, error: &dyn fmt::Display| format!("cannot {what}: {error}");
        if let Some(mask) = self.umask {
            umask(mask);
        }
        if let Some(kept) = &self.capabilities {
            // Now, as it needs CAP_SETPCAP.
            let bounding = caps::read(None, CapSet::Bounding).unwrap_or_default();
            for capability in bounding.difference(kept) {
                // Those that cannot be taken out are of no use: `may_keep`.
                let _ = caps::drop(None, CapSet::Bounding, *capability);
            }
        }
        if let Some(account) = self.user.as_ref().filter(|account| !is_already(account)) {
            if self.capabilities.is_some() {
                // Otherwise all go with root (capabilities(7)).
                set_keepcaps(true).map_err(|errno| failed("keep capabilities", &errno.desc()))?;
            }
            advice.extend(give_standard_streams(account));
            become_account(account).map_err(|errno| failed(&format!("become {account}"), &errno.desc()))?;
            verify_account(account)?;
            if account.user != 0 && getresuid().is_ok_and(|ids| ids.saved.as_raw() == account.user) {
                advice.push(format!(
                    "this user namespace has no number for ostler alone, so what runs as {account} may signal ostler and lower its limits; \
                     map {} and {} into it",
                    ALOOF[0], ALOOF[1]
                ));
            }
        }
        if let Some(kept) = &self.capabilities {
            keep_only(kept).map_err(|error| failed("give up capabilities", &error))?;
            let _ = set_keepcaps(false);
            verify_capabilities(kept)?;
        }
        if self.user.is_some() {
            // Nobody but root may look into ostler, change it or trace it (ptrace(2)).
            // Where nobody was to be become it is left as it is: many a script writes
            // to /proc/1/fd/1. The kernel sets it anew with each change of the user.
            let _ = set_dumpable(false);
            if get_dumpable() == Ok(true) {
                advice.push(
                    "the kernel lets processes of OSTLER_USER trace ostler: it refuses PR_SET_DUMPABLE"
                        .into(),
                );
            }
        }
        match self.new {
            NewPrivileges::Possible => {}
            NewPrivileges::Never => {
                set_no_new_privs().map_err(|errno| failed("set no_new_privs", &errno.desc()))?;
            }
        }
        Ok(advice)
    }
}

/// The kernel's word, not that of the calls that have changed it. There must be no way back.
fn verify_account(account: &Account) -> Result<(), String> {
    let not = || format!("has not become {account}");
    let (Ok(user), Ok(group), Ok(groups)) = (getresuid(), getresgid(), getgroups()) else {
        return Err(not());
    };
    let mut groups: Vec<_> = groups.into_iter().map(Gid::as_raw).collect();
    groups.sort_unstable();
    groups.dedup();
    let root = Uid::from_raw(0);
    let may_be_root = account.user == 0 || ![user.real, user.saved].contains(&root);
    let is_it = user.effective.as_raw() == account.user
        && [group.real, group.effective, group.saved].map(Gid::as_raw) == [account.group; 3]
        && groups == account.groups;
    if !may_be_root || !is_it {
        return Err(not());
    }
    if account.user != 0
        && !holds(CapSet::Permitted, Capability::CAP_SETUID)
        && setresuid(root, root, root).is_ok()
    {
        return Err(format!("could become root again after {account}"));
    }
    Ok(())
}

fn verify_capabilities(kept: &CapsHashSet) -> Result<(), String> {
    for set in [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable, CapSet::Ambient] {
        let held = caps::read(None, set).map_err(|error| error.to_string())?;
        if held != *kept {
            let (held, kept) = (names(held), names(kept.iter().copied()));
            return Err(format!("{set:?} capabilities are {held}, not {kept}"));
        }
    }
    Ok(())
}

/// The groups first: only root may have them, or give them up.
fn become_account(account: &Account) -> nix::Result<()> {
    let groups: Vec<_> = account.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let group = Gid::from_raw(account.group);
    setresgid(group, group, group)?;
    let user = Uid::from_raw(account.user);
    if account.user == 0 {
        return setresuid(user, user, user);
    }
    let aloof = ALOOF.into_iter().find(|number| *number != account.user).map_or(user, Uid::from_raw);
    match setresuid(aloof, user, aloof) {
        // This user namespace has no such number.
        Err(Errno::EINVAL) => setresuid(user, user, user),
        done => done,
    }
}

/// Does something with that user's rights to files, which root can take back.
pub(super) fn as_user<T>(account: Option<&Account>, act: impl FnOnce() -> T) -> nix::Result<T> {
    let root = Uid::effective();
    let Some(account) = account.filter(|account| root.is_root() && !is_already(account)) else {
        return Ok(act());
    };
    let (group, groups) = (Gid::effective(), getgroups()?);
    setgroups(&account.groups.iter().copied().map(Gid::from_raw).collect::<Vec<_>>())?;
    setegid(Gid::from_raw(account.group))?;
    seteuid(Uid::from_raw(account.user))?;
    let done = act();
    seteuid(root)?;
    setegid(group)?;
    setgroups(&groups)?;
    Ok(done)
}

/// In the child: entirely that user, which needs no privilege.
pub(super) fn be_entirely(account: &Account) -> nix::Result<()> {
    let user = Uid::from_raw(account.user);
    setresuid(user, user, user)
}

/// A pipe or a terminal that root was given can be written to, but not opened again, as /dev/stdout is by those who are
/// told to log there. runc gives it to the user of `docker run --user`; so does ostler.
fn give_standard_streams(account: &Account) -> Option<String> {
    let mut refused = false;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let kind = fstat(stream)
            .map_or(SFlag::empty(), |found| SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT);
        let is_terminal = nix::unistd::isatty(stream).unwrap_or(false);
        if kind == SFlag::S_IFIFO || is_terminal {
            refused |= fchown(stream, Some(Uid::from_raw(account.user)), None).is_err();
        }
    }
    refused.then(|| {
        format!(
            "{account} can write to stdout and stderr, but not open /dev/stdout: it could not be given to it; start the container \
             with --cap-add CHOWN, or let the server log to its own stdout (gunicorn: -)"
        )
    })
}

/// In all sets but the bounding one, so that they survive exec (capabilities(7), ambient).
fn keep_only(kept: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Ambient)?;
    // Each is within the next one, and inheritable ones may be added only as long as they are permitted.
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, kept)?;
    }
    caps::set(None, CapSet::Ambient, kept)
}
