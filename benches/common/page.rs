//! A page of docs/ with places that a benchmark fills, each between two comments of its name.

use anyhow::{Context, Result};
use std::path::Path;

/// A page with a place for what is measured.
pub(crate) struct Page {
    name: &'static str,
    before: String,
    after: String,
}

impl Page {
    /// The place is called `name`.
    pub(crate) fn read(path: &Path, name: &'static str) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let [begin, end] = Self::marks(name);
        let parts =
            text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
        let (before, after) =
            parts.with_context(|| format!("{} must hold the lines {begin} and {end}", path.display()))?;
        Ok(Self { name, before: before.to_owned(), after: after.to_owned() })
    }

    pub(crate) fn with(&self, text: &str) -> String {
        let Self { name, before, after } = self;
        let [begin, end] = Self::marks(name);
        format!("{before}{begin}\n\n{text}\n{end}{after}")
    }

    fn marks(name: &str) -> [String; 2] {
        ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->"))
    }
}
