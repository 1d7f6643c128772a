//! What people and orchestrators ask of an ostler that runs: `--recycle`, `--status`, `--health`, `--metrics`.

use super::print;
use crate::cli::{Form, Show};
use crate::doctor::Text;
use crate::log::Harmless;
use crate::status::{Drawing, page};
use crate::supervisor::{Page, Pid};
use crate::system;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{self, IsTerminal};
use std::thread::sleep;
use std::time::Duration;

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its upper left corner (`console_codes(4)`).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Asks for a recycle, and prints what is said.
///
/// # Errors
/// It does not recycle, or none answers.
pub fn recycle() -> Result<u8> {
    match system::ask_for_recycle().with_context(|| nobody("recycle"))? {
        Ok(answer) => print(format!("{answer}\n").as_bytes()),
        Err(answer) => bail!(answer),
    }
}

/// Prints what goes on, once or again and again.
///
/// # Errors
/// None answers, or stdout cannot be written to.
pub fn status(form: Form, show: Show) -> Result<u8> {
    loop {
        let report = report()?;
        let drawing = if io::stdout().is_terminal() { Drawing::Bars } else { Drawing::Words };
        let words = match form {
            Form::Json => format!("{}\n", Harmless(&report.to_string())),
            Form::Table => page(&report, drawing),
        };
        match (show, form, drawing) {
            (Show::Once, ..) => return print(words.as_bytes()),
            (Show::Again, Form::Table, Drawing::Bars) => print(format!("{CLEAR}{words}").as_bytes())?,
            (Show::Again, Form::Table, Drawing::Words) => print(format!("{words}\n").as_bytes())?,
            (Show::Again, Form::Json, _) => print(words.as_bytes())?,
        };
        sleep(LOOK);
    }
}

/// Prints whether requests are answered here, and what is not as it should be. 1 if they are not.
///
/// # Errors
/// None answers, or stdout cannot be written to.
pub fn health() -> Result<u8> {
    let report = ask(Page::Status, "health")?;
    let report: Value = serde_json::from_str(&report).context("the answer is no JSON")?;
    let ailment =
        report.get("unhealthy").and_then(Value::as_str).map(str::to_owned).or_else(|| unanswered(&report));
    let mut words = vec![ailment.as_ref().map_or("healthy".to_owned(), |why| format!("not healthy: {why}"))];
    let degraded =
        report.get("degraded").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    words.extend(degraded.map(|what| format!("degraded: {what}")));
    let lines: Vec<_> = words.iter().map(|line| format!("{}\n", Text::of(line.as_bytes()))).collect();
    print(lines.concat().as_bytes())?;
    Ok(ailment.map_or(0, |_| 1))
}

/// Where there is a health path: what is wrong with the answer. A server that hangs looks well from outside.
fn unanswered(report: &Value) -> Option<String> {
    let path = report.get("health_path")?.as_str()?;
    let address = report.get("listening")?.get(0)?.as_str()?;
    system::get(address, path).err()
}

/// Prints the figures as Prometheus reads them.
///
/// # Errors
/// None answers, or stdout cannot be written to.
pub fn metrics() -> Result<u8> {
    print(ask(Page::Metrics, "metrics")?.as_bytes())
}

/// What the running ostler knows, and what it leaves to others
/// to measure: the memory of generations that have no budget.
fn report() -> Result<Value> {
    let mut report: Value =
        serde_json::from_str(&ask(Page::Status, "status")?).context("the answer is no JSON")?;
    let generations = report.get_mut("generations").and_then(Value::as_array_mut);
    for generation in generations.into_iter().flatten().filter_map(Value::as_object_mut) {
        let pid = generation.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
        let measured = generation.get("memory").is_some_and(Value::is_u64);
        if let Some(bytes) = pid.filter(|_| !measured).and_then(|pid| system::memory_of(Pid(pid))) {
            generation.insert("memory".into(), bytes.into());
        }
    }
    Ok(report)
}

fn ask(page: Page, word: &str) -> Result<String> {
    match system::ask_for_page(page).with_context(|| nobody(word))? {
        Ok(answer) => Ok(answer),
        Err(answer) => bail!(answer),
    }
}

fn nobody(word: &str) -> String {
    format!("no ostler answers here; run this in its container: docker exec CONTAINER /ostler --{word}")
}
