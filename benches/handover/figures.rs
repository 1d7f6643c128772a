//! What was measured, as data and as lines of JSON.

use crate::matrix::Strategy;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Why a request was not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    /// Nobody was listening.
    Refused,
    /// The connection was closed or reset before the answer had come.
    Dropped,
    /// Answered, but not with 200.
    BadStatus,
    /// No answer in time.
    TimedOut,
}

impl Failure {
    const NAMES: [&str; 4] = ["refused", "dropped", "bad_status", "timed_out"];
}

/// What came of requests, one by one.
#[derive(Default)]
pub(crate) struct Outcomes {
    latencies: Vec<Duration>,
    failures: [u32; 4],
}

impl Outcomes {
    pub(crate) fn record(&mut self, result: Result<Duration, Failure>) {
        match result {
            Ok(latency) => self.latencies.push(latency),
            Err(failure) => self.failures[failure as usize] += 1,
        }
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.latencies.append(&mut other.latencies);
        for (sum, count) in self.failures.iter_mut().zip(other.failures) {
            *sum += count;
        }
    }

    pub(crate) fn figures(mut self) -> Figures {
        self.latencies.sort_unstable();
        let answered = self.latencies.len();
        let at = |index: usize| {
            let latency = self.latencies.get(index).copied().unwrap_or_default();
            // To a tenth of a millisecond.
            (latency.as_secs_f64() * 10_000.0).round() / 10.0
        };
        Figures {
            answered: u32::try_from(answered).expect("fewer requests than that"),
            failures: self.failures,
            worst_ms: at(answered.saturating_sub(1)),
            p99_ms: at(answered * 99 / 100),
        }
    }
}

/// What came of requests, in numbers. Latency is that of answered ones.
pub(crate) struct Figures {
    answered: u32,
    failures: [u32; 4],
    pub(crate) worst_ms: f64,
    p99_ms: f64,
}

impl Figures {
    pub(crate) fn failed(&self) -> u32 {
        self.failures.iter().sum()
    }

    pub(crate) fn total(&self) -> u32 {
        self.answered + self.failed()
    }

    /// Failures per 100,000 requests; none without requests.
    pub(crate) fn rate(&self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| f64::from(self.failed()) * 1e5 / f64::from(total))
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("answered".to_owned(), self.answered.into());
        for (name, count) in Failure::NAMES.into_iter().zip(self.failures) {
            fields.insert(name.to_owned(), count.into());
        }
        fields.insert("worst_ms".to_owned(), self.worst_ms.into());
        fields.insert("p99_ms".to_owned(), self.p99_ms.into());
        fields.into()
    }

    fn from_json(value: &Value) -> Option<Self> {
        let count =
            |name| value.get(name).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
        let mut failures = [0; 4];
        for (failure, name) in failures.iter_mut().zip(Failure::NAMES) {
            *failure = count(name)?;
        }
        Some(Self {
            answered: count("answered")?,
            failures,
            worst_ms: value.get("worst_ms")?.as_f64()?,
            p99_ms: value.get("p99_ms")?.as_f64()?,
        })
    }
}

/// What a server and a strategy have shown.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) fresh: Figures,
    pub(crate) reused: Figures,
}

/// One cell of the matrix.
pub(crate) struct Cell {
    pub(crate) server: String,
    pub(crate) strategy: Strategy,
    /// Or why it could not be measured.
    pub(crate) result: Result<Measured, String>,
}

impl Cell {
    pub(crate) fn to_json(&self) -> Value {
        let Self { server, strategy, result } = self;
        let strategy = strategy.name();
        match result {
            Ok(Measured { seconds, fresh, reused }) => json!({
                "server": server, "strategy": strategy, "seconds": seconds,
                "fresh": fresh.to_json(), "reused": reused.to_json(),
            }),
            Err(error) => json!({ "server": server, "strategy": strategy, "error": error }),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name| value.get(name).and_then(Value::as_str);
        let result = match text("error") {
            Some(error) => Err(error.to_owned()),
            None => Ok(Measured {
                seconds: value.get("seconds")?.as_f64()?,
                fresh: Figures::from_json(value.get("fresh")?)?,
                reused: Figures::from_json(value.get("reused")?)?,
            }),
        };
        Some(Self {
            server: text("server")?.to_owned(),
            strategy: Strategy::by_name(text("strategy")?)?,
            result,
        })
    }
}

/// A run: its circumstances and its cells.
pub(crate) struct Run {
    /// When, where, with what, and by which command, in words.
    pub(crate) circumstances: String,
    pub(crate) cells: Vec<Cell>,
}

impl Run {
    /// The first of the JSON lines; the cells follow, a line each.
    pub(crate) fn head(circumstances: &str) -> Value {
        json!({ "circumstances": circumstances })
    }

    /// Reads the JSON lines of an earlier run.
    pub(crate) fn from_json_lines(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(serde_json::from_str::<Value>);
        let head = lines.next()?.ok()?;
        let cells = lines.map(|line| Cell::from_json(&line.ok()?)).collect::<Option<_>>()?;
        Some(Self { circumstances: head.get("circumstances")?.as_str()?.to_owned(), cells })
    }

    /// The servers, in the order in which they were measured.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<_> = self.cells.iter().map(|cell| cell.server.as_str()).collect();
        servers.dedup();
        servers
    }

    /// The strategies that were tried with any server, in their usual order.
    pub(crate) fn strategies(&self) -> Vec<Strategy> {
        let tried = |strategy: &Strategy| self.cells.iter().any(|cell| cell.strategy == *strategy);
        Strategy::ALL.into_iter().filter(tried).collect()
    }

    pub(crate) fn cell(&self, server: &str, strategy: Strategy) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.server == server && cell.strategy == strategy)
    }

    pub(crate) fn measured(&self, server: &str, strategy: Strategy) -> Option<&Measured> {
        self.cell(server, strategy)?.result.as_ref().ok()
    }

    /// How long a server's cells took, in the middle.
    pub(crate) fn median_length(&self, server: &str) -> Option<Duration> {
        let cells = self.cells.iter().filter(|cell| cell.server == server);
        let mut seconds: Vec<_> = cells.filter_map(|cell| Some(cell.result.as_ref().ok()?.seconds)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().map(Duration::from_secs_f64)
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
