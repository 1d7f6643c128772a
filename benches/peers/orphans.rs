//! 20,000 orphans, 500 of which end at the same moment: how soon are they gone,
//! how many zombies are there at the most, and what does it cost the init?

use crate::figures::Row;
use crate::measure::{median, processor};
use crate::subject::{Child, Subject};
use crate::support::{LIMIT, Namespace, children, state};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const BATCHES: usize = 40;
const AT_ONCE: usize = 500;

pub(crate) fn rows(child: &Child) -> Result<Vec<Row>> {
    let mut seen = vec![[Vec::new(), Vec::new(), Vec::new()]; Subject::ALL.len()];
    for _ in 0..ROUNDS {
        for (subject, [lags, zombies, costs]) in Subject::ALL.into_iter().zip(&mut seen) {
            let words = ["orphans", &BATCHES.to_string(), &AT_ONCE.to_string()];
            let round = measure(&child.under(subject, &words)?.start())
                .with_context(|| format!("orphans under {}", subject.name()))?;
            lags.extend(round.lags);
            zombies.push(round.zombies);
            costs.push(round.cost);
        }
    }
    let row = |what, unit, of: fn(&[Vec<f64>; 3]) -> f64| Row {
        what,
        unit,
        figures: seen.iter().map(of).collect(),
    };
    Ok(vec![
        row("500 orphans that end at once: until none is left (median)", "ms", |[lags, _, _]| median(lags)),
        row("the same, the longest of 120", "ms", |[lags, _, _]| lags.iter().copied().fold(0.0, f64::max)),
        row("zombies at once, the most that were seen", "of 500", |[_, zombies, _]| {
            zombies.iter().copied().fold(0.0, f64::max)
        }),
        row("CPU for an orphan (median of 3 times 20,000)", "µs", |[_, _, costs]| median(costs)),
    ])
}

struct Round {
    /// Milliseconds, of each batch.
    lags: Vec<f64>,
    zombies: f64,
    /// Microseconds of processor time of the init, for each orphan.
    cost: f64,
}

fn measure(namespace: &Namespace) -> Result<Round> {
    let init = namespace.init();
    let begin = Instant::now();
    // A sample costs a processor's time: not more of it than it takes to see a crowd.
    let (mut zombies, mut before) = (0_u32, None);
    while !namespace.out().ends_with("\n0\n") {
        ensure!(begin.elapsed() < LIMIT * 2, "not in time: {}", namespace.out());
        before = before.or_else(|| processor(init).ok());
        let now = children(init).into_iter().filter(|pid| state(*pid) == Some('Z')).count();
        zombies = zombies.max(u32::try_from(now)?);
        std::thread::sleep(Duration::from_millis(5));
    }
    let cost = processor(init)?.saturating_sub(before.context("it was over at once")?);
    let out = namespace.out();
    let lags: Result<Vec<f64>, _> = out.lines().map(str::parse::<f64>).collect();
    let lags: Vec<f64> = lags?.into_iter().filter(|lag| *lag > 0.0).map(|lag| lag / 1e6).collect();
    ensure!(lags.len() == BATCHES, "{} batches", lags.len());
    #[expect(clippy::cast_precision_loss, reason = "20,000")]
    let cost = cost.as_secs_f64() * 1e6 / (BATCHES * AT_ONCE) as f64;
    Ok(Round { lags, zombies: f64::from(zombies), cost })
}
