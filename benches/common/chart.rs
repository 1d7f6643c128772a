//! Line charts: an SVG without anything from outside, in the colours of the reader's mode.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const PLOT: f64 = 180.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const HEAD: f64 = 40.0;
const FOOT: f64 = 44.0;

const STYLE: &str = "
    text { font: 11px system-ui, sans-serif; fill: #24292f }
    .title { font-size: 13px; font-weight: 600 }
    .tick { font-size: 9px }
    .x { text-anchor: middle }
    .y { text-anchor: end }
    .paper { fill: #ffffff }
    .rule { stroke: #d0d7de }
    .line { fill: none; stroke-width: 1.3 }
    .limit { stroke: #d55e00; stroke-dasharray: 5 4 }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 }
        .paper { fill: #0d1117 }
        .rule { stroke: #30363d }
    }
";

/// After Okabe and Ito, whose colours do not need eyes that tell red from green.
const COLOURS: [&str; 4] = ["#009e73", "#e69f00", "#3d7fd9", "#cc79a7"];

/// One panel: curves over the same axis.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) curves: Vec<Curve>,
    /// A horizontal line, with its words.
    pub(crate) limit: Option<(f64, String)>,
}

pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Panels one below the other; all share the x axis, whose words stand below the last.
pub(crate) fn render(title: &str, x_words: &str, panels: &[Panel]) -> String {
    let height = HEAD + panels.iter().map(|_| PLOT + FOOT).sum::<f64>();
    let most_x = most(panels.iter().flat_map(|panel| &panel.curves), |point| point.0);
    let mut svg = head(title, height, "");
    let mut top = HEAD;
    for panel in panels {
        draw(&mut svg, panel, top, most_x);
        top += PLOT + FOOT;
    }
    text(&mut svg, "x", (LEFT + WIDTH - RIGHT) / 2.0, height - 8.0, x_words);
    svg.push_str("</svg>\n");
    svg
}

/// The beginning of a picture: its size, its paper, and how what is on it looks, `more` included.
pub(crate) fn head(title: &str, height: f64, more: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<title>{title}</title>\n<style>{STYLE}{more}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    )
}

fn draw(svg: &mut String, panel: &Panel, top: f64, most_x: f64) {
    let limit = panel.limit.as_ref().map_or(0.0, |(limit, _)| *limit);
    let most_y = most(&panel.curves, |point| point.1).max(limit * 1.1);
    let bottom = top + PLOT;
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| bottom - value / most_y * PLOT;
    text(svg, "title", 12.0, top - 12.0, &panel.title);
    for tick in ticks(most_y) {
        let (at, right) = (y(tick), WIDTH - RIGHT);
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M{LEFT} {at:.1}H{right}\"/>");
        text(svg, "tick y", LEFT - 6.0, at + 3.0, &number(tick));
    }
    for tick in ticks(most_x) {
        text(svg, "tick x", x(tick), bottom + 14.0, &number(tick));
    }
    let mut legend = WIDTH - RIGHT;
    for (curve, colour) in panel.curves.iter().zip(COLOURS).rev() {
        let mut path = String::new();
        for (number, point) in curve.points.iter().enumerate() {
            let step = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", x(point.0), y(point.1));
        }
        let _ = writeln!(svg, "<path class=\"line\" stroke=\"{colour}\" d=\"{path}\"/>");
        if panel.curves.len() > 1 {
            #[expect(clippy::cast_precision_loss, reason = "a name has a few letters")]
            let width = curve.name.len() as f64 * 6.0 + 26.0;
            legend -= width;
            let at = top - 16.0;
            let _ = writeln!(svg, "<path stroke=\"{colour}\" stroke-width=\"3\" d=\"M{legend} {at}h14\"/>");
            text(svg, "", legend + 18.0, top - 12.0, &curve.name);
        }
    }
    if let Some((limit, words)) = &panel.limit {
        let (at, right) = (y(*limit), WIDTH - RIGHT);
        let _ = writeln!(svg, "<path class=\"limit\" d=\"M{LEFT} {at:.1}H{right}\"/>");
        text(svg, "tick", LEFT + 6.0, at - 4.0, words);
    }
}

fn most<'a>(curves: impl IntoIterator<Item = &'a Curve>, of: fn(&(f64, f64)) -> f64) -> f64 {
    curves.into_iter().flat_map(|curve| &curve.points).map(of).fold(1.0, f64::max)
}

/// Four or so round numbers from 0 up.
fn ticks(most: f64) -> impl Iterator<Item = f64> {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| most / step <= 5.0).unwrap_or(most);
    (0_u8..=6).map(move |number| f64::from(number) * step).take_while(move |tick| *tick <= most)
}

fn number(value: f64) -> String {
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Words need no escapes: they are this program's own.
pub(crate) fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
