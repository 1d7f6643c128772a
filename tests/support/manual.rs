//! The manual page's list of variables, made from the tables of docs/configuration.md.

use std::fmt::Write;

const BEGIN: &str = ".\\\" variables: begin\n";
const END: &str = ".\\\" variables: end\n";
const WIDTH: usize = 78;

/// The manual with this list between its two marks.
pub(crate) fn with_variables(manual: &str, list: &str) -> String {
    let (before, rest) = manual.split_once(BEGIN).expect("the manual has the mark where variables begin");
    let (_, after) = rest.split_once(END).expect("the manual has the mark where variables end");
    format!("{before}{BEGIN}{list}{END}{after}")
}

/// Every row of the page that begins with a variable: its names, its default, its meaning.
pub(crate) fn variables(page: &str) -> String {
    let mut list = ".Bl -tag -width Ds\n".to_owned();
    for row in page.lines().filter(|line| line.starts_with("| `OSTLER_")) {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let first = cells.next().unwrap_or_default();
        let (names, default) = first.split_once(" (default ").unwrap_or((first, ""));
        let names: Vec<_> = names.split(", ").map(|name| name.trim_matches('`')).collect();
        // Names that share a row with other things, as in the table of what is added to the environment.
        if names.iter().any(|name| name.contains(|c: char| !(c.is_ascii_uppercase() || c == '_'))) {
            continue;
        }
        let rest: Vec<_> = cells.collect();
        let (default, meaning) = match rest.as_slice() {
            [default, meaning] => (*default, *meaning),
            [meaning] if names[0].starts_with("OSTLER_ULIMIT_") => (default.trim_end_matches(')'), *meaning),
            _ => continue,
        };
        let default = default.trim_matches('`');
        let default = if default.is_empty() { String::new() } else { format!(" Pq {default}") };
        let _ = writeln!(list, ".It Ev {}{default}", names.join(" , "));
        list.push_str(&roff(meaning));
    }
    list.push_str(".El\n");
    list
}

/// Markdown as running text of roff: a sentence begins a line, and code is bold.
fn roff(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    // Links to other pages go, with their parentheses; others keep their words.
    while let Some((before, bracket)) = rest.split_once('[') {
        plain.push_str(before);
        let link = bracket.split_once("](").filter(|(words, _)| !words.contains(']'));
        let Some((words, link)) = link else {
            plain.push('[');
            rest = bracket;
            continue;
        };
        let (_, after) = link.split_once(')').expect("a link ends");
        let brackets = plain.strip_suffix(" (").map(str::len).zip(after.strip_prefix(')'));
        if let Some((length, after)) = brackets {
            plain.truncate(length);
            rest = after;
        } else {
            plain.push_str(words);
            rest = after;
        }
    }
    plain.push_str(rest);
    let mut escaped = String::new();
    for (number, part) in plain.replace('\\', "\\e").split('`').enumerate() {
        if number % 2 == 0 {
            escaped.push_str(part);
        } else {
            let _ = write!(escaped, "\\fB{}\\fP", part.replace('-', "\\-"));
        }
    }
    let escaped = escaped.replace('…', "...");
    let mut lines = String::new();
    let mut line = String::new();
    for word in escaped.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            end(&mut lines, &mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if word.ends_with(['.', '?', '!']) {
            end(&mut lines, &mut line);
        }
    }
    if !line.is_empty() {
        end(&mut lines, &mut line);
    }
    lines
}

/// A line may not begin with what roff would take for a request.
fn end(lines: &mut String, line: &mut String) {
    if line.starts_with(['.', '\'']) {
        lines.push_str("\\&");
    }
    lines.push_str(line);
    lines.push('\n');
    line.clear();
}
