//! The plot: an SVG without anything from outside, in the colours of the reader's mode.

use crate::figures::{Measured, Run, grouped};
use crate::matrix::Strategy;
use std::fmt::Write;

const LABELS: f64 = 180.0;
const PANEL: f64 = 300.0;
/// Of a panel, what the longest bar takes; its figure stands behind it.
const BARS: f64 = 236.0;
const TOP: f64 = 84.0;
const BAR: f64 = 12.0;
const GAP: f64 = 16.0;

const STYLE: &str = "
    text { font: 11px system-ui, sans-serif; fill: #24292f }
    .title { font-size: 13px; font-weight: 600 }
    .figure, .tick { font-size: 9px }
    .tick { text-anchor: middle }
    .paper { fill: #ffffff }
    .rule { stroke: #d0d7de }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 }
        .paper { fill: #0d1117 }
        .rule { stroke: #30363d }
    }
";

/// What a panel shows of a cell, on a logarithmic scale.
struct Panel {
    title: &'static str,
    value: fn(&Measured) -> Option<f64>,
    words: fn(f64) -> String,
    least: f64,
    most: f64,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "failures per 100,000, fresh",
        value: |measured| measured.fresh.rate(),
        words: count,
        least: 0.5,
        most: 1e5,
    },
    Panel {
        title: "failures per 100,000, reused",
        value: |measured| measured.reused.rate(),
        words: count,
        least: 0.5,
        most: 1e5,
    },
    Panel {
        title: "worst latency, fresh",
        value: |measured| (measured.fresh.worst_ms > 0.0).then_some(measured.fresh.worst_ms),
        words: latency,
        least: 1.0,
        // What a client waits at most.
        most: 3e4,
    },
];

impl Panel {
    /// How far from the axis a value lies. What is below the scale
    /// is a stump, so that it is seen to have been measured.
    fn length(&self, value: f64) -> f64 {
        let share = (value / self.least).log10() / (self.most / self.least).log10();
        (BARS * share).clamp(1.5, BARS)
    }

    /// The powers of ten on its scale.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        (0..=5).map(|power| 10_f64.powi(power)).filter(|tick| (self.least..=self.most).contains(tick))
    }
}

/// After Okabe and Ito, whose colours do not need eyes that tell
/// red from green; they stand out from white and from black.
fn colour(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Never => "#8b949e",
        Strategy::Handover => "#009e73",
        Strategy::Overlap => "#56b4e9",
        Strategy::Restart => "#e69f00",
        Strategy::StopStart => "#d55e00",
        Strategy::MaxRequests => "#cc79a7",
        Strategy::Hup => "#3d7fd9",
    }
}

fn count(value: f64) -> String {
    if value < 10.0 { short(value) } else { grouped(value) }
}

fn latency(value: f64) -> String {
    if value < 1e3 { format!("{value:.0} ms") } else { format!("{} s", short(value / 1e3)) }
}

/// To a tenth.
fn short(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

pub(crate) fn render(run: &Run) -> String {
    let (servers, strategies) = (run.servers(), run.strategies());
    let block = strategies.iter().map(|_| BAR).sum::<f64>() + GAP;
    let bottom = TOP + servers.iter().map(|_| block).sum::<f64>();
    let (width, height) = (LABELS + PANELS.iter().map(|_| PANEL).sum::<f64>(), bottom + 12.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<title>Failures and worst latency of servers that are recycled under load</title>\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    let mut x = 12.0;
    for strategy in &strategies {
        rect(&mut svg, x, 14.0, 12.0, *strategy);
        text(&mut svg, "", x + 17.0, 24.0, strategy.name());
        x += 110.0;
    }
    let mut left = LABELS;
    for panel in &PANELS {
        scale(&mut svg, panel, left, bottom);
        let mut top = TOP;
        for server in &servers {
            for (strategy, y) in
                strategies.iter().zip((0_u8..).map(|index| top + GAP / 2.0 + BAR * f64::from(index)))
            {
                bar(&mut svg, panel, left, y, run, server, *strategy);
            }
            top += block;
        }
        left += PANEL;
    }
    let mut top = TOP;
    for server in &servers {
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M12 {top}H{width}\"/>");
        text(&mut svg, "title", 12.0, top + block / 2.0 + 4.0, server);
        top += block;
    }
    svg.push_str("</svg>\n");
    svg
}

/// A panel's title, and a line for every power of ten.
fn scale(svg: &mut String, panel: &Panel, left: f64, bottom: f64) {
    text(svg, "title", left, 54.0, panel.title);
    for tick in panel.ticks() {
        let x = left + panel.length(tick);
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
        text(svg, "tick", x, TOP - 6.0, &(panel.words)(tick));
    }
}

fn bar(svg: &mut String, panel: &Panel, left: f64, y: f64, run: &Run, server: &str, strategy: Strategy) {
    let Some(cell) = run.cell(server, strategy) else {
        return;
    };
    let value = cell.result.as_ref().map(panel.value);
    let (length, words) = match value {
        Ok(Some(value)) => (panel.length(value), (panel.words)(value)),
        Ok(None) => (0.0, "–".to_owned()),
        Err(_) => (0.0, "not measured".to_owned()),
    };
    rect(svg, left, y + 1.0, length, strategy);
    text(svg, "figure", left + length + 4.0, y + 9.5, &words);
}

fn rect(svg: &mut String, x: f64, y: f64, width: f64, strategy: Strategy) {
    let (height, fill) = (BAR - 2.0, colour(strategy));
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{fill}\"/>"
    );
}

/// Names of servers and strategies need no escapes: they are this program's own.
fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
