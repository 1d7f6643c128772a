//! What is done with a fuzzer's bytes where the library is called from outside:
//! by the fuzzer itself, and by the tests of what it has found (tests/corpus.rs).

use ostler::cli::parse;
use ostler::config::{Config, Level, Overrides, stays, variables};
use ostler::count::gunicorn::{FileText, Gunicorn};
use ostler::log::Record;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::SystemTime;

/// An environment, a command line and a text to log, of the same bytes. The first one chooses the variable.
pub(crate) fn settings(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let words =
        bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect::<Vec<_>>();
    let text = String::from_utf8_lossy(bytes);
    let name = variables().nth(usize::from(*which) % variables().count()).unwrap();
    let environment = [(OsString::from(name), words[0].clone())];
    if let Err(errors) = Config::read(&environment, &Overrides::default()) {
        assert!(errors.iter().all(|error| error.contains(name)), "{errors:?}");
    }
    let _ = parse(words.clone());
    let argv: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let file = |_: &str| FileText::Text(text.clone().into_owned());
    let _ = (stays(&argv, file), Gunicorn::find(&argv, &text, file));
    let record = Record::new(Level::Info, "event", text.clone()).with("field", &*text);
    for line in [record.text(SystemTime::UNIX_EPOCH), record.json(SystemTime::UNIX_EPOCH)] {
        assert!(line.len() <= 4096 && line.find(char::is_control) == Some(line.len() - 1), "{line:?}");
    }
}
