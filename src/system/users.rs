//! Names of users and groups to numbers, from /etc/passwd and /etc/group: a static binary has no other name service.

use super::plain::read_plain;
use crate::config::{Owner, Who};
use std::fmt;
use std::io;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Of a file longer than this only so many bytes are read.
const LONGEST: u64 = 4 << 20;
/// What setresuid(2) takes for "as it is".
const NOBODY_AT_ALL: u32 = u32::MAX;

/// A user, and perhaps a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: u32,
    pub(super) group: Option<u32>,
}

/// Somebody to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
    /// With the group itself.
    pub(super) groups: Vec<u32>,
    /// As /etc/passwd has it.
    pub(super) name: Option<String>,
    pub(super) home: String,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({}:{})", self.user, self.group),
            None => write!(f, "{}:{}", self.user, self.group),
        }
    }
}

/// Looks up who is meant.
pub(super) fn look_up(owner: &Owner) -> Result<Ids, String> {
    look_up_in(owner, &read(PASSWD).unwrap_or_default(), &read(GROUP).unwrap_or_default())
}

fn look_up_in(owner: &Owner, passwd: &str, group_file: &str) -> Result<Ids, String> {
    let user = number(&owner.user, PASSWD, passwd)?;
    let group = owner.group.as_ref().map(|group| number(group, GROUP, group_file)).transpose()?;
    Ok(Ids { user, group })
}

/// Looks up who is meant, with all that it takes to be that user.
pub(super) fn account(owner: &Owner) -> Result<Account, String> {
    let (passwd, groups) = (read(PASSWD).unwrap_or_default(), read(GROUP).unwrap_or_default());
    account_in(owner, &passwd, &groups)
}

/// As docker has it for `--user`: a group that is named is the only
/// one; else /etc/passwd says which, and /etc/group what others.
pub(super) fn account_in(owner: &Owner, passwd: &str, group_file: &str) -> Result<Account, String> {
    let Ids { user, group } = look_up_in(owner, passwd, group_file)?;
    if [Some(user), group].contains(&Some(NOBODY_AT_ALL)) {
        return Err(format!("{NOBODY_AT_ALL} is nobody; write another number"));
    }
    let entry = passwd.lines().filter_map(Entry::parse).find(|entry| match &owner.user {
        Who::Name(name) => entry.name == name,
        Who::Id(id) => entry.user == *id,
    });
    let own = entry.as_ref().map(|entry| entry.group);
    let Some(main) = group.or(own) else {
        return Err(format!(
            "{PASSWD} does not say which group {user} has; write user:group, such as {user}:{user}"
        ));
    };
    let mut all = vec![main];
    if let (None, Some(entry)) = (group, &entry) {
        all.extend(group_file.lines().filter_map(|line| membership(line, entry.name)));
        all.sort_unstable();
        all.dedup();
    }
    Ok(Account {
        user,
        group: main,
        groups: all,
        name: entry.as_ref().map(|entry| entry.name.to_owned()),
        home: entry.map(|entry| entry.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned(),
    })
}

/// A line of passwd(5).
struct Entry<'a> {
    name: &'a str,
    user: u32,
    group: u32,
    home: &'a str,
}

impl<'a> Entry<'a> {
    /// `name:password:UID:GID:GECOS:directory:shell`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _, user, group) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Self { name, user: user.parse().ok()?, group: group.parse().ok()?, home })
    }
}

/// The group of a line of group(5), `name:password:GID:users`, if this user is among those.
fn membership(line: &str, user: &str) -> Option<u32> {
    let mut fields = line.split(':');
    let number = fields.nth(2)?.parse().ok()?;
    fields.next()?.split(',').any(|member| member.trim() == user).then_some(number)
}

fn number(who: &Who, file: &str, text: &str) -> Result<u32, String> {
    match who {
        Who::Id(id) => Ok(*id),
        Who::Name(name) => find(text, name)
            .ok_or_else(|| format!("{file} names no {name}; write a number, or a name that it has")),
    }
}

/// Names that are no UTF-8 hide nobody else's.
fn read(file: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_plain(file, LONGEST)?).into_owned())
}

/// The third field of the line whose first one is this name (passwd(5), group(5)).
fn find(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\napp:x:1000:1001::/srv/app:/sh\n\
                         bad:x:many:1::/:/sh\nhomeless:x:7:8\n";
    const GROUPS: &str =
        "root:x:0:\napp:x:1001:\nweb:x:33:www,app\nlog:x:4:app\nbroken:x\nnone:x:many:app\nother:x:9:apple\n";

    fn name(name: &str) -> Who {
        Who::Name(name.into())
    }

    #[test]
    fn names_are_found() {
        for (name, id) in
            [("root", Some(0)), ("app", Some(1000)), ("bad", None), ("broken", None), ("ap", None)]
        {
            assert_eq!(find(USERS, name), id, "{name}");
        }
        let owner = Owner { user: name("nobody-here"), group: None };
        assert!(look_up(&owner).unwrap_err().contains("names no nobody-here"));
        let owner = Owner { user: Who::Id(7), group: Some(Who::Id(8)) };
        assert_eq!(look_up(&owner), Ok(Ids { user: 7, group: Some(8) }));
    }

    #[test]
    fn whoever_is_meant_has_all_that_belongs_to_them() {
        let app = Account {
            user: 1000,
            group: 1001,
            groups: vec![4, 33, 1001],
            name: Some("app".into()),
            home: "/srv/app".into(),
        };
        let alone = |group| Account { group, groups: vec![group], ..app.clone() };
        let stranger = Account { user: 5, group: 6, groups: vec![6], name: None, home: "/".into() };
        let homeless =
            Account { user: 7, group: 8, groups: vec![8], name: Some("homeless".into()), home: "/".into() };
        for (user, group, expected) in [
            (name("app"), None, Ok(app.clone())),
            (Who::Id(1000), None, Ok(app.clone())),
            (name("app"), Some(name("web")), Ok(alone(33))),
            (name("app"), Some(Who::Id(5)), Ok(alone(5))),
            (Who::Id(5), Some(Who::Id(6)), Ok(stranger)),
            (Who::Id(7), None, Ok(homeless)),
            (Who::Id(5), None, Err("write user:group, such as 5:5")),
            (name("bad"), None, Err("names no bad")),
            (name("app"), Some(name("wob")), Err("/etc/group names no wob")),
            (Who::Id(u32::MAX), Some(Who::Id(1)), Err("is nobody")),
        ] {
            let found = account_in(&Owner { user, group }, USERS, GROUPS);
            match expected {
                Ok(account) => assert_eq!(found, Ok(account)),
                Err(words) => assert!(found.unwrap_err().contains(words), "{words}"),
            }
        }
    }
}
