//! The table in Markdown.

use crate::figures::{Figures, Measured, Run, grouped};
use crate::matrix::Strategy;
use std::fmt::Write;

/// The figures side by side, and what they say of the goals.
pub(crate) fn render(run: &Run) -> String {
    let mut text = figures(run);
    if run.strategies().contains(&Strategy::Handover) {
        text.push('\n');
        text.push_str(&goals(run));
    }
    text
}

fn figures(run: &Run) -> String {
    let strategies = run.strategies();
    let mut text = row("server", strategies.iter().map(|strategy| strategy.name().to_owned()));
    text.push_str(&row("---", strategies.iter().map(|_| "---".to_owned())));
    for server in run.servers() {
        let cells = strategies.iter().map(|strategy| match run.cell(server, *strategy) {
            None => "–".to_owned(),
            Some(cell) => cell.result.as_ref().map_or_else(|_| "not measured".to_owned(), summary),
        });
        text.push_str(&row(server, cells));
    }
    let total = |figures: fn(&Measured) -> &Figures| {
        let measured = run.cells.iter().filter_map(|cell| cell.result.as_ref().ok());
        grouped(measured.map(|measured| f64::from(figures(measured).total())).sum())
    };
    let (fresh, reused) = (total(|measured| &measured.fresh), total(|measured| &measured.reused));
    let _ = write!(
        text,
        "\nFailures among fresh connections / failures among reused ones / worst latency of a fresh one. `–`: no \
         connection was reused, or the server has no such way. In all {fresh} requests on fresh connections and {reused} \
         on reused ones. {}\n",
        run.circumstances
    );
    text
}

fn row(first: &str, cells: impl Iterator<Item = String>) -> String {
    cells.fold(format!("| {first} |"), |row, cell| format!("{row} {cell} |")) + "\n"
}

fn summary(measured: &Measured) -> String {
    let Measured { fresh, reused, .. } = measured;
    let count = |figures: &Figures| {
        if figures.total() == 0 { "–".to_owned() } else { grouped(f64::from(figures.failed())) }
    };
    format!("{} / {} / {} ms", count(fresh), count(reused), grouped(fresh.worst_ms))
}

fn goals(run: &Run) -> String {
    let heads = [
        "fresh: no failure",
        "reused, per 100,000: half of max-requests at most",
        "worst fresh latency: 3 times none's at most",
    ];
    let mut text = row("handover", heads.iter().map(|head| (*head).to_owned()));
    text.push_str(&row("---", heads.iter().map(|_| "---".to_owned())));
    for server in run.servers() {
        let Some(handover) = run.measured(server, Strategy::Handover) else {
            text.push_str(&row(server, heads.iter().map(|_| "not measured".to_owned())));
            continue;
        };
        let Measured { fresh, reused, .. } = handover;
        let failed = f64::from(fresh.failed());
        let first =
            verdict(failed <= 0.0, &format!("{} of {}", grouped(failed), grouped(fresh.total().into())));
        let budget = run.measured(server, Strategy::MaxRequests).and_then(|measured| measured.reused.rate());
        let second = reused.rate().zip(budget).map(|(ours, theirs)| {
            verdict(ours * 2.0 <= theirs, &format!("{}, against {}", grouped(ours), grouped(theirs)))
        });
        let third = run.measured(server, Strategy::Never).map(|never| {
            let [ours, base] = [fresh.worst_ms, never.fresh.worst_ms];
            verdict(ours <= base * 3.0, &format!("{} ms, against {} ms", grouped(ours), grouped(base)))
        });
        let cells = [Some(first), second, third].map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
        text.push_str(&row(server, cells.into_iter()));
    }
    text
}

fn verdict(met: bool, figures: &str) -> String {
    format!("{}: {figures}", if met { "met" } else { "**missed**" })
}
