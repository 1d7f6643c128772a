//! Does a shell stand between ostler and the server? A process
//! that stays is not the one that `LISTEN_PID` is meant for.

use crate::count::gunicorn::{FileText, program, words};

const SHELLS: [&str; 4] = ["sh", "ash", "bash", "dash"];

/// Is this `sh -c "COMMAND"` or a shell script that starts gunicorn without an exec? `read` opens the script.
#[must_use]
pub fn stays(argv: &[String], read: impl Fn(&str) -> FileText) -> bool {
    let Some(first) = argv.first() else { return false };
    let is_shell = SHELLS.contains(&program(first));
    let flags = argv.iter().skip(1).take_while(|word| is_shell && word.starts_with('-'));
    let takes_text = flags.clone().any(|flag| flag.contains('c'));
    // What comes behind the flags: a text with -c, else a script;
    // without a shell the first word may be a script itself.
    let operand = if is_shell { argv.get(1 + flags.count()) } else { Some(first) };
    let text = match operand {
        Some(text) if takes_text => text.clone(),
        Some(path) => match read(path) {
            FileText::Text(text) if is_shell || is_shell_script(&text) => text,
            FileText::Text(_) | FileText::Absent | FileText::Unreadable => return false,
        },
        None => return false,
    };
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| starts_gunicorn(line) && !words(&[line.to_owned()]).iter().any(|word| word == "exec"))
}

fn starts_gunicorn(line: &str) -> bool {
    words(&[line.to_owned()]).iter().any(|word| program(word) == "gunicorn")
}

fn is_shell_script(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let interpreter = first.strip_prefix("#!").unwrap_or_default();
    interpreter.split_whitespace().any(|word| SHELLS.contains(&program(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stays_with(argv: &[&str], script: &str) -> bool {
        let argv: Vec<_> = argv.iter().map(|word| (*word).to_owned()).collect();
        stays(
            &argv,
            |path| {
                if path == "/start.sh" { FileText::Text(script.to_owned()) } else { FileText::Absent }
            },
        )
    }

    #[test]
    fn shells_that_stay() {
        for (argv, script, expected) in [
            (&["sh", "-c", "gunicorn a:b"][..], "", true),
            (&["/bin/bash", "-ec", "migrate && gunicorn a:b"], "", true),
            (&["/bin/bash", "-e", "-c", "/venv/bin/gunicorn a:b"], "", true),
            (&["sh", "-c", "exec gunicorn a:b"], "", false),
            (&["sh", "-c", "migrate && exec gunicorn a:b"], "", false),
            (&["sh", "-c", "uvicorn a:b"], "", false),
            (&["sh", "-c"], "", false),
            (&["gunicorn", "a:b"], "", false),
            (&["python", "-m", "gunicorn", "a:b"], "", false),
            (&["/start.sh"], "#!/bin/sh\nset -e\nmigrate\ngunicorn a:b\n", true),
            (&["/start.sh"], "#!/usr/bin/env bash\n# exec it\npython -m gunicorn a:b\n", true),
            (&["sh", "/start.sh"], "gunicorn a:b", true),
            (&["/start.sh"], "#!/bin/sh\nexec gunicorn a:b\n", false),
            (&["/start.sh"], "#!/bin/sh\n# gunicorn\nexec \"$@\"\n", false),
            (&["/start.sh"], "#!/usr/bin/python3\nimport gunicorn\n", false),
            (&["/other.sh"], "", false),
            (&[], "", false),
        ] {
            assert_eq!(stays_with(argv, script), expected, "{argv:?} {script:?}");
        }
    }
}
