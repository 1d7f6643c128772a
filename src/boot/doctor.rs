//! `--doctor`: looks at this container from inside, and says what needs attention.

use super::print;
use crate::cli::Form;
use crate::doctor::{State, findings, json, table, worst};
use crate::system;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::Path;

/// Prints what there is to find, core files below `folder` among it. Changes nothing. 1 if something needs attention.
///
/// # Errors
/// There is no such folder, or stdout cannot be written to.
pub fn doctor(folder: &OsStr, form: Form) -> Result<u8> {
    let path = Path::new(folder);
    let whole = path.canonicalize().with_context(|| format!("--doctor {}", path.display()))?;
    if !whole.is_dir() {
        bail!("--doctor {}: write a folder to look for core files in", path.display());
    }
    let facts = system::gather_facts(&whole);
    let findings = findings(&facts);
    print(
        match form {
            Form::Table => table(&facts, &findings),
            Form::Json => json(&facts, &findings),
        }
        .as_bytes(),
    )?;
    Ok(match worst(&findings) {
        State::Attention => 1,
        State::Ok | State::Unknown | State::Note => 0,
    })
}
