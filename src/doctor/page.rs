//! How findings are written: a table for people, one JSON object for programs.

use super::{Facts, Finding, State, worst};
use serde_json::{Map, Value};
use std::fmt::Write;

/// As wide as the table is made, in characters; what cannot be broken, such as a path, may be longer.
const WIDTH: usize = 100;
/// Where the words begin: behind the state and the name.
const INDENT: usize = 25;

/// The table.
#[must_use]
pub fn table(facts: &Facts, findings: &[Finding]) -> String {
    let mut page = format!("ostler {}, looking at {}\n\n", env!("CARGO_PKG_VERSION"), facts.folder);
    for finding in findings {
        let state = match finding.state {
            State::Attention => "ATTENTION",
            State::Ok | State::Unknown | State::Note => finding.state.name(),
        };
        let head = format!("{state:<9}  {:<12}  ", finding.name);
        wrap(&mut page, &head, "", &finding.message);
        for line in &finding.lines {
            wrap(&mut page, "", "    ", line);
        }
        for hint in &finding.hints {
            wrap(&mut page, "", "   ", &format!("-> {hint}"));
        }
    }
    let number = findings.iter().filter(|finding| finding.state == State::Attention).count();
    let end = match number {
        0 => "nothing needs attention".to_owned(),
        1 => "1 finding needs attention".into(),
        number => format!("{number} findings need attention"),
    };
    let _ = writeln!(page, "\n{end}");
    page
}

/// Words behind a head, and below it on lines that begin with the indent and `hanging`.
fn wrap(page: &mut String, head: &str, hanging: &str, text: &str) {
    let mut line = format!("{head:<INDENT$}");
    let mut fresh = true;
    // Two blanks part what stands in a column, and stay.
    for word in text.split_inclusive(' ') {
        let width = line.chars().count() + word.trim_end().chars().count();
        if width > WIDTH && !fresh {
            let _ = writeln!(page, "{}", line.trim_end());
            line = format!("{:INDENT$}{hanging}", "");
            fresh = true;
        }
        // A blank that parted two columns does not begin a line.
        if !(fresh && word == " ") {
            line.push_str(word);
            fresh = false;
        }
    }
    let _ = writeln!(page, "{}", line.trim_end());
}

/// One JSON object, and a line break.
#[must_use]
pub fn json(facts: &Facts, findings: &[Finding]) -> String {
    let list: Vec<_> = findings
        .iter()
        .map(|finding| {
            let mut object = Map::new();
            object.insert("name".into(), finding.name.into());
            object.insert("state".into(), finding.state.name().into());
            object.insert("message".into(), finding.message.as_str().into());
            object.insert("hints".into(), finding.hints.clone().into());
            let fields = finding.fields.iter();
            object.extend(fields.map(|(name, value)| ((*name).to_owned(), value.clone())));
            Value::Object(object)
        })
        .collect();
    let mut page = Map::new();
    page.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    page.insert("directory".into(), (&facts.folder).into());
    page.insert("state".into(), worst(findings).name().into());
    page.insert("findings".into(), list.into());
    format!("{}\n", Value::Object(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        let long = "word ".repeat(40);
        Finding::new("core-files", State::Attention, long.trim())
            .line(format!("/{}  1.0 MiB  gunicorn", "deep/".repeat(30)))
            .hint("do something about it, as soon as there is time for it, and then look again whether it has come back")
            .with("count", 2)
    }

    fn facts() -> Facts {
        super::super::findings::tests::healthy()
    }

    #[test]
    fn a_table_is_100_columns_wide_and_what_cannot_be_broken_stays_whole() {
        let page = table(&facts(), &[finding(), Finding::new("pids", State::Ok, "7 of 100")]);
        let path = format!("/{}", "deep/".repeat(30));
        assert!(page.contains(&path));
        for line in page.lines() {
            // What cannot be broken has a line of its own.
            assert!(line.chars().count() <= WIDTH || line.contains(&path), "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(page.contains("\nATTENTION  core-files    word word"), "{page}");
        assert!(page.contains("\nok         pids          7 of 100\n"), "{page}");
        assert!(page.contains(&format!("\n{:INDENT$}-> do something", "")), "{page}");
        assert!(page.ends_with("\n1 finding needs attention\n"));
    }

    #[test]
    fn json_is_one_object() {
        let page = json(&facts(), &[finding()]);
        assert_eq!(page.lines().count(), 1);
        let value: Value = serde_json::from_str(&page).unwrap();
        assert_eq!(value["state"], "attention");
        assert_eq!(value["findings"][0]["name"], "core-files");
        assert_eq!(value["findings"][0]["count"], 2);
    }
}
