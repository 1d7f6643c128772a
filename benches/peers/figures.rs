//! What was measured, and how it is put into words: a figure of each, and its ratio to tini's.

use crate::subject::Subject;
use std::fmt::Write;

/// One row: a figure of each of `Subject::ALL`, in their order.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) figures: Vec<f64>,
}

impl Row {
    /// Of one of them.
    pub(crate) fn of(&self, subject: Subject) -> f64 {
        let found = Subject::ALL.iter().zip(&self.figures).find(|(each, _)| **each == subject);
        found.map_or(f64::NAN, |(_, figure)| *figure)
    }

    /// Against tini's. Nothing where tini's is 0.
    pub(crate) fn ratio(&self, subject: Subject) -> Option<f64> {
        let tini = self.of(Subject::Tini);
        (tini != 0.0).then(|| self.of(subject) / tini)
    }
}

/// With as many digits as tell something.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        grouped(value)
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// `1,234,567`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| |".to_owned();
    for subject in Subject::ALL {
        let _ = write!(text, " {} |", subject.name());
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(Subject::ALL.len()));
    text.push('\n');
    for row in rows {
        let _ = write!(text, "| {}, {} |", row.what, row.unit);
        for subject in Subject::ALL {
            let figure = number(row.of(subject));
            let _ = match row.ratio(subject).filter(|_| subject != Subject::Tini) {
                Some(ratio) => write!(text, " {figure} ({ratio:.2} x) |"),
                None => write!(text, " {figure} |"),
            };
        }
        text.push('\n');
    }
    text
}
