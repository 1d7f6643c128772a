//! What is shown of it all: to whoever asked, at once, and as the judge knows it.

use crate::judge::{Judge, Verdict};
use crate::member::{Fate, Role as Known, Stage};
use ostler::supervisor::{Client, Role, Status};
use proptest::prelude::*;

impl Judge {
    pub(crate) fn shown(&mut self, client: Client, status: &Status) -> Verdict {
        prop_assert_eq!(self.turn.curious.take(), Some(client), "who is shown");
        let role = |known: &Known| match known {
            Known::Incumbent => Role::Incumbent,
            Known::Successor(_) => Role::Successor,
            Known::Former(_) => Role::Former,
            Known::Leaving(_) => Role::Leaving,
        };
        let there = self.members.iter().filter(|member| member.stage != Stage::Ordered);
        let mut known: Vec<_> = there.map(|member| (member.id, role(&member.role))).collect();
        let mut told: Vec<_> =
            status.generations.iter().map(|portrait| (portrait.id, portrait.role)).collect();
        known.sort_by_key(|(id, _)| *id);
        told.sort_by_key(|(id, _)| *id);
        prop_assert_eq!(&known, &told, "in {:?}", status.phase);
        for portrait in &status.generations {
            let member = self.members.iter().find(|member| member.id == portrait.id);
            let used = member.filter(|member| member.is_incumbent()).map_or(portrait.requests, |it| it.used);
            prop_assert_eq!(portrait.requests, used);
        }
        let serves = self.incumbent().is_some_and(|member| member.stage != Stage::Ordered) && !self.stopping;
        let asked = self.incumbent().is_some_and(|member| member.fate == Fate::Asked);
        prop_assert_eq!(status.phase.serves(), serves && !asked, "{:?}", status.phase);
        Ok(())
    }
}
