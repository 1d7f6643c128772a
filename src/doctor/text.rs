//! Text that others chose (names, arguments, paths), made fit to be shown; sizes and shares for people.

use serde_json::Value;
use std::fmt::{self, Display, Formatter, Write};

/// Text without control characters, direction marks or anything else that is not seen as it is: those are written as
/// Rust writes them (`\n`, `\u{1b}`), a byte that is no UTF-8 as `\xff`, and a backslash as two.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// Any bytes at all.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                if matches!(c, '"' | '\'') {
                    text.push(c);
                } else {
                    text.extend(c.escape_debug());
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        Self(text)
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a shell takes it, if it is shown as it is.
    pub(super) fn quoted(&self) -> Option<String> {
        let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
        match (self.0.contains('\\'), !self.0.is_empty() && self.0.chars().all(safe)) {
            (true, _) => None,
            (false, true) => Some(self.0.clone()),
            (false, false) => Some(format!("'{}'", self.0.replace('\'', "'\\''"))),
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::of(text.as_bytes())
    }
}

impl From<&Text> for Value {
    fn from(text: &Text) -> Self {
        Self::from(text.as_str())
    }
}

/// A size in bytes, for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 5] = [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let found = UNITS.into_iter().find(|(shift, _)| bytes >> shift > 0);
    found.map_or(format!("{bytes} B"), |(shift, unit)| {
        // Tenths, cut: nothing is told as full that is not.
        let tenths = (u128::from(bytes) * 10) >> shift;
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    })
}

/// How many percent one number is of another, rounded up as df(1) does.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    let percent = (u128::from(part) * 100).div_ceil(u128::from(whole.max(1)));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// `1 process`, `2 processes`.
pub(super) fn count(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        for (bytes, shown) in [
            (&b"gunicorn: worker [main:app]"[..], "gunicorn: worker [main:app]"),
            (b"it's \"here\"", "it's \"here\""),
            (b"a\x1b[2Jb\nc", r"a\u{1b}[2Jb\nc"),
            (b"\xff\xc3", r"\xff\xc3"),
            ("Gr\u{fc}\u{df}e \u{9b}\u{202e}\u{7f}".as_bytes(), r"Grüße \u{9b}\u{202e}\u{7f}"),
            (br"C:\n", r"C:\\n"),
        ] {
            assert_eq!(Text::of(bytes).as_str(), shown);
        }
    }

    #[test]
    fn a_shell_takes_it_as_it_is() {
        for (bytes, quoted) in [
            (&b"/app/core.1058"[..], Some("/app/core.1058")),
            (b"/my app/core", Some("'/my app/core'")),
            (b"/it's/$(core)", Some(r"'/it'\''s/$(core)'")),
            (b"/app/\ncore", None),
            (b"", Some("''")),
        ] {
            assert_eq!(Text::of(bytes).quoted().as_deref(), quoted);
        }
    }

    #[test]
    fn sizes_and_shares() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (173_015_040, "165.0 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
        for (part, whole, share) in
            [(0, 0, 0), (0, 5, 0), (1, 1000, 1), (4, 5, 80), (u64::MAX, u64::MAX, 100)]
        {
            assert_eq!(percent(part, whole), share);
        }
        assert_eq!(percent(5, 0), 500);
    }

    proptest! {
        #[test]
        fn no_bytes_are_shown_as_control_characters(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let shown = Text::of(&bytes);
            prop_assert!(!shown.as_str().chars().any(char::is_control));
        }
    }
}
