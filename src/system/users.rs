//! Names of users and groups to numbers, from /etc/passwd and /etc/group: a static binary has no other name service.

use crate::config::{Owner, Who};
use std::fs;

/// A user, and perhaps a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: u32,
    pub(super) group: Option<u32>,
}

/// Looks up who is meant.
pub(super) fn look_up(owner: &Owner) -> Result<Ids, String> {
    let user = number(&owner.user, "/etc/passwd")?;
    let group = owner.group.as_ref().map(|group| number(group, "/etc/group")).transpose()?;
    Ok(Ids { user, group })
}

fn number(who: &Who, file: &str) -> Result<u32, String> {
    match who {
        Who::Id(id) => Ok(*id),
        Who::Name(name) => fs::read_to_string(file)
            .ok()
            .and_then(|text| find(&text, name))
            .ok_or_else(|| format!("{file} names no {name}; write a number, or a name that it has")),
    }
}

/// The third field of the line whose first one is this name (passwd(5), group(5)).
fn find(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\napp:x:1000:1001::/:/sh\nbad:x:many:1::/:/sh\n";
        for (name, id) in
            [("root", Some(0)), ("app", Some(1000)), ("bad", None), ("broken", None), ("ap", None)]
        {
            assert_eq!(find(text, name), id, "{name}");
        }
        let owner = Owner { user: Who::Name("nobody-here".into()), group: None };
        assert!(look_up(&owner).unwrap_err().contains("names no nobody-here"));
        let owner = Owner { user: Who::Id(7), group: Some(Who::Id(8)) };
        assert_eq!(look_up(&owner), Ok(Ids { user: 7, group: Some(8) }));
    }
}
