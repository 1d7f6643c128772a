//! What works, but not as its user may think: a command and a configuration that do not fit together.

use super::Config;
use crate::count::gunicorn::{Gunicorn, MAX_REQUESTS, REUSE_PORT, program};

const SHELLS: [&str; 4] = ["sh", "ash", "bash", "dash"];

/// A sentence for each, with what to write instead.
#[must_use]
pub fn advice(config: &Config, argv: &[String], gunicorn: Option<&Gunicorn>) -> Vec<String> {
    let mut advice = Vec::new();
    let sets = |setting| gunicorn.is_some_and(|gunicorn| gunicorn.get(setting).is_some());
    if config.policy.budget.requests.is_some() {
        if config.listen.is_empty() {
            advice.push(
                "clients are refused between two generations; let ostler hold the sockets with OSTLER_LISTEN"
                    .into(),
            );
        }
        if sets(&MAX_REQUESTS) {
            advice.push("gunicorn's own --max-requests still recycles its workers; remove it".into());
        }
    }
    if !config.listen.is_empty() {
        if stays(argv) {
            advice.push(
                "a shell stands between ostler and the server, and keeps the held sockets from it; write exec, or the \
                 command as a JSON list"
                    .into(),
            );
        }
        if sets(&REUSE_PORT) {
            advice.push(
                "with --reuse-port the newest gunicorn does not take the held sockets; remove it".into(),
            );
        }
    }
    advice
}

/// Is this `sh -c "COMMAND"` without an exec?
fn stays(argv: &[String]) -> bool {
    let mut words = argv.iter().map(String::as_str);
    let shell = words.next().is_some_and(|word| SHELLS.contains(&program(word)));
    shell && words.next() == Some("-c") && words.next().is_some_and(|script| !script.contains("exec "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use crate::count::gunicorn::FileText;

    fn advised(environment: &[(&str, &str)], command: &[&str]) -> Vec<String> {
        let pairs = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let config = Config::read(pairs, &Overrides::default()).unwrap();
        let argv: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        advice(&config, &argv, Gunicorn::find(&argv, "", |_| FileText::Absent).as_ref())
    }

    #[test]
    fn what_fits_together_needs_no_advice() {
        let both = [("OSTLER_MAX_REQUESTS", "9"), ("OSTLER_LISTEN", "0.0.0.0:80")];
        for command in [&["gunicorn", "a:b"][..], &["sh", "-c", "exec gunicorn a:b"], &["/start.sh"]] {
            assert_eq!(advised(&both, command), [""; 0], "{command:?}");
            assert_eq!(advised(&[], command), [""; 0], "{command:?}");
        }
    }

    #[test]
    fn what_does_not_is_told() {
        let (budget, listen) = (("OSTLER_MAX_REQUESTS", "9"), ("OSTLER_LISTEN", "0.0.0.0:80"));
        for (environment, command, words) in [
            (&[budget][..], &["gunicorn", "a:b"][..], "with OSTLER_LISTEN"),
            (&[budget, listen], &["gunicorn", "--max-requests", "5"], "own --max-requests"),
            (&[listen], &["/bin/sh", "-c", "gunicorn a:b"], "write exec"),
            (&[listen], &["gunicorn", "--reuse-port"], "with --reuse-port"),
        ] {
            let told = advised(environment, command);
            assert!(told.len() == 1 && told[0].contains(words), "{command:?}: {told:?}");
        }
    }
}
