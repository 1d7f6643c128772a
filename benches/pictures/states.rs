//! The state machine of src/supervisor, drawn by hand. tests/docs.rs holds that it has the states of the code, and that
//! docs/states.svg is what this draws.

use super::chart::{head, text};
use std::fmt::Write;

const HEIGHT: f64 = 548.0;
const STYLE: &str = "
    .state { fill: #ffffff; stroke: #57606a; stroke-width: 1.3 }
    .serves { fill: #009e73; fill-opacity: 0.12; stroke: #009e73; stroke-dasharray: 5 4 }
    .name { font-size: 13px; font-weight: 600; text-anchor: middle }
    .says { font-size: 10px; text-anchor: middle }
    .on { font-size: 10px }
    .on.y { text-anchor: end }
    .arrow { fill: none; stroke: #57606a; stroke-width: 1.3; marker-end: url(#head) }
    marker path { fill: #57606a }
    @media (prefers-color-scheme: dark) {
        .state { fill: #161b22; stroke: #8b949e }
        .arrow { stroke: #8b949e }
        marker path { fill: #8b949e }
    }
";

/// Half of a box.
const HALF: (f64, f64) = (68.0, 24.0);

/// Name, what it says, and where its middle is.
const STATES: [(&str, &str, f64, f64); 9] = [
    ("Waiting", "nothing runs yet", 100.0, 250.0),
    ("Spawning", "a start is ordered", 100.0, 100.0),
    ("Serving", "one generation", 445.0, 100.0),
    ("HandingOver", "a successor starts", 340.0, 250.0),
    ("Retiring", "another one goes", 560.0, 250.0),
    ("Searching", "for a daemon", 765.0, 100.0),
    ("Departing", "the last one stops", 445.0, 400.0),
    ("Sweeping", "whoever is left ends", 445.0, 500.0),
    ("Ended", "ostler exits", 765.0, 500.0),
];

/// What leads from state to state: the corners of a line, and its words: where they begin, and whether they end there.
type Arrow = (&'static [(f64, f64)], &'static [(f64, f64, &'static str, &'static str)]);

const ARROWS: [Arrow; 17] = [
    (&[(90.0, 226.0), (90.0, 124.0)], &[(84.0, 178.0, "on y", "it is time")]),
    (
        &[(112.0, 124.0), (112.0, 226.0)],
        &[(118.0, 172.0, "on", "it cannot be"), (118.0, 185.0, "on", "started: a pause")],
    ),
    (&[(168.0, 100.0), (377.0, 100.0)], &[(250.0, 93.0, "on", "started")]),
    (
        &[(425.0, 124.0), (336.0, 226.0)],
        &[(370.0, 172.0, "on y", "a budget"), (357.0, 185.0, "on y", "is spent")],
    ),
    (
        &[(359.0, 226.0), (448.0, 124.0)],
        &[(412.0, 190.0, "on", "no process"), (412.0, 203.0, "on", "can be had")],
    ),
    (
        &[(408.0, 250.0), (492.0, 250.0)],
        &[(450.0, 244.0, "says", "ready,"), (450.0, 264.0, "says", "or failed")],
    ),
    (&[(556.0, 226.0), (470.0, 124.0)], &[(527.0, 178.0, "on", "the other one is gone")]),
    (&[(513.0, 92.0), (697.0, 92.0)], &[(678.0, 85.0, "on y", "it ended with 0")]),
    (&[(697.0, 110.0), (513.0, 110.0)], &[(681.0, 125.0, "on y", "its pid file names one")]),
    (
        &[(765.0, 124.0), (765.0, 410.0), (513.0, 410.0)],
        &[(759.0, 424.0, "on y", "SIGTERM, or it names nobody")],
    ),
    (
        &[(445.0, 312.0), (445.0, 376.0)],
        &[
            (453.0, 330.0, "on", "SIGTERM, its drain delay over;"),
            (453.0, 344.0, "on", "the leader has ended; or a budget is"),
            (453.0, 358.0, "on", "spent, and OSTLER_RECYCLE=restart"),
        ],
    ),
    (
        &[(377.0, 390.0), (216.0, 390.0), (216.0, 112.0), (168.0, 112.0)],
        &[(222.0, 384.0, "on", "recycled: the next one")],
    ),
    (
        &[(377.0, 410.0), (130.0, 410.0), (130.0, 274.0)],
        &[(136.0, 424.0, "on", "failed, and OSTLER_RESTART: after a pause")],
    ),
    (&[(445.0, 424.0), (445.0, 476.0)], &[(453.0, 454.0, "on", "stopped, or ended for good")]),
    (&[(70.0, 274.0), (70.0, 500.0), (377.0, 500.0)], &[(76.0, 494.0, "on", "SIGTERM, SIGINT or SIGQUIT")]),
    (&[(513.0, 500.0), (697.0, 500.0)], &[(605.0, 494.0, "says", "nobody is left")]),
    (
        &[(513.0, 390.0), (646.0, 390.0), (646.0, 312.0)],
        &[(652.0, 348.0, "on", "it cannot be told"), (652.0, 361.0, "on", "to stop (CAP_KILL)")],
    ),
];

pub(crate) fn draw() -> String {
    let mut svg = head("The states of ostler", HEIGHT, STYLE);
    svg.push_str(
        "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
    );
    text(&mut svg, "title", 12.0, 28.0, "The states of ostler, and what leads from one to the next");
    svg.push_str("<rect class=\"serves\" x=\"240\" y=\"48\" width=\"420\" height=\"264\" rx=\"10\"/>\n");
    text(&mut svg, "on", 252.0, 66.0, "somebody serves");
    for (corners, words) in ARROWS {
        let mut path = String::new();
        for (number, (x, y)) in corners.iter().enumerate() {
            let _ = write!(path, "{}{x} {y}", if number == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(svg, "<path class=\"arrow\" d=\"{path}\"/>");
        for (x, y, class, words) in words {
            text(&mut svg, class, *x, *y, words);
        }
    }
    for (name, says, x, y) in STATES {
        let (left, top, width, height) = (x - HALF.0, y - HALF.1, HALF.0 * 2.0, HALF.1 * 2.0);
        let _ = writeln!(
            svg,
            "<rect class=\"state\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
        );
        text(&mut svg, "name", x, y - 2.0, name);
        text(&mut svg, "says", x, y + 13.0, says);
    }
    svg.push_str("</svg>\n");
    svg
}
