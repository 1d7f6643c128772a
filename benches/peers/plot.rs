//! All rows at a glance: for each, where everybody stands against tini.

use crate::chart::{head, text};
use crate::figures::Row;
use crate::subject::Subject;
use std::fmt::Write;

const TOP: f64 = 70.0;
const STEP: f64 = 26.0;
const LEFT: f64 = 390.0;
const RIGHT: f64 = 840.0;
/// Ratios from and to, on a logarithmic axis.
const RANGE: (f64, f64) = (0.03, 100.0);

/// In the order of `Subject::ALL`; tini is the line at 1.
const MARKS: [(&str, &str); 6] = [
    ("#d55e00", "5.5"),
    ("#e69f00", "5.5"),
    ("none", "0"),
    ("#3d7fd9", "4"),
    ("#009e73", "4"),
    ("#cc79a7", "4"),
];

pub(crate) fn plot(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| row.ratio(Subject::Tini).is_some()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a dozen rows")]
    let bottom = TOP + STEP * rows.len() as f64;
    let mut svg = head("What inits cost, against tini", bottom + 40.0, "");
    text(&mut svg, "title", 12.0, 22.0, "What inits cost, against tini (left is less)");
    let mut at = 12.0;
    for (subject, (colour, radius)) in Subject::ALL.into_iter().zip(MARKS) {
        if subject != Subject::Tini {
            let _ = writeln!(svg, "<circle cx=\"{at}\" cy=\"40\" r=\"{radius}\" fill=\"{colour}\"/>");
            text(&mut svg, "", at + 10.0, 44.0, subject.name());
            at += 110.0;
        }
    }
    for (ratio, class, words) in
        [(0.1, "rule", "0.1 x"), (1.0, "limit", "tini"), (10.0, "rule", "10 x"), (100.0, "rule", "100 x")]
    {
        let x = place(ratio);
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {:.1}V{bottom}\"/>", TOP - 8.0);
        text(&mut svg, "tick x", x, bottom + 16.0, words);
    }
    let mut y = TOP + 8.0;
    for row in rows {
        text(&mut svg, "tick y", LEFT - 8.0, y + 3.0, row.what);
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M{LEFT} {y}H{RIGHT}\"/>");
        for (subject, (colour, radius)) in Subject::ALL.into_iter().zip(MARKS).rev() {
            if let Some(ratio) = row.ratio(subject) {
                let x = place(ratio);
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"{radius}\" fill=\"{colour}\"><title>{}: {ratio:.2} x</title></circle>",
                    subject.name()
                );
            }
        }
        y += STEP;
    }
    svg.push_str("</svg>\n");
    svg
}

/// What is beyond the axis stands at its end.
fn place(ratio: f64) -> f64 {
    let (least, most) = RANGE;
    let share = (ratio.clamp(least, most) / least).ln() / (most / least).ln();
    LEFT + share * (RIGHT - LEFT)
}
