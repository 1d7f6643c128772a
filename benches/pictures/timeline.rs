//! A handover's time line: a real gunicorn under ostler with a request budget, as its log and its clients tell it.

use crate::chart::{head, text};
use crate::machine::circumstances;
use crate::run::{ask, stay};
use crate::support::load::answers;
use crate::support::venv::Version;
use crate::support::{Namespace, Setup, children, eventually, free_port};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime};

const LENGTH: f64 = 20.0;
const REQUESTS: u32 = 1000;
const CLIENTS: u32 = 4;
/// From one request to the next, of each client.
const EVERY: Duration = Duration::from_millis(20);
/// What a generation is asked for all the time, and still has when it is told to stop.
const SLOW: &str = "/slow?seconds=2";
const BIN: f64 = 0.25;

const LEFT: f64 = 106.0;
const WIDTH: f64 = 738.0;
const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
const TOP: f64 = 74.0;
const PLOT: f64 = 130.0;

const STYLE: &str = "
    .booting { fill: #e69f00 }
    .serving { fill: #009e73 }
    .draining { fill: #56b4e9 }
    .stopping { fill: #8b949e }
    .switch { stroke: #d55e00; stroke-dasharray: 5 4 }
";
const PHASES: [(&str, &str); 4] = [
    ("booting", "starts: no client reaches it"),
    ("serving", "gets all new connections"),
    ("draining", "serves what it has (OSTLER_LINGER)"),
    ("stopping", "has got SIGTERM"),
];
/// Of the generations' curves, in turn.
const COLOURS: [&str; 3] = ["#009e73", "#3d7fd9", "#cc79a7"];

/// When what happened to a generation, in seconds since the first one served.
#[derive(Default)]
struct Generation {
    started: f64,
    serves: f64,
    drains: Option<f64>,
    told: Option<f64>,
    ended: Option<f64>,
    answered: BTreeMap<usize, u32>,
}

pub(crate) fn draw() -> String {
    let (generations, lost) = watch();
    let answered: u32 = generations.iter().flat_map(|generation| generation.answered.values()).sum();
    eprintln!("{} generations, {answered} requests answered, {lost} not", generations.len());
    render(&generations, answered, lost)
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn watch() -> (Vec<Generation>, u32) {
    let port = free_port();
    let mut command = Version::Twenty.command("uvicorn");
    command.extend(["--graceful-timeout", "10"].map(str::to_owned));
    let namespace = Setup::ostler(command)
        .env("OSTLER_LISTEN", format!("127.0.0.1:{port}"))
        .env("OSTLER_MAX_REQUESTS", REQUESTS.to_string())
        .env("OSTLER_MIN_AGE", "1s")
        .env("OSTLER_LOG", "json")
        .env("PYTHONWARNINGS", "ignore")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .start();
    eventually("gunicorn serves", || answers(port));
    let zero = now();
    let going = AtomicBool::new(true);
    // When who answered; who is a worker of which leader; when a leader was seen to be told to stop.
    let (heard, lost) = (Mutex::new(Vec::new()), Mutex::new(0));
    let (mut masters, mut told) = (BTreeMap::new(), BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                ask(port, EVERY, &going, |body| match body.and_then(|body| worker(&body)) {
                    Some(pid) => heard.lock().expect("a client has failed").push((now() - zero, pid)),
                    None => *lost.lock().expect("a client has failed") += 1,
                });
            });
        }
        for _ in 0..2 {
            scope.spawn(|| stay(port, SLOW, &going));
        }
        while now() - zero < LENGTH {
            look(&namespace, zero, &mut masters, &mut told);
            sleep(Duration::from_millis(10));
        }
        going.store(false, Ordering::Relaxed);
    });
    let mut generations = from_log(&namespace.err(), zero, &told);
    for (at, pid) in heard.into_inner().expect("a client has failed") {
        let generation = masters.get(&pid).and_then(|master| generations.get_mut(master));
        let Some((_, generation)) = generation.filter(|_| at < LENGTH) else { continue };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some dozens")]
        let bin = (at / BIN) as usize;
        *generation.answered.entry(bin).or_default() += 1;
    }
    let mut generations: Vec<_> = generations.into_values().collect();
    generations.sort_by_key(|(id, _)| *id);
    let lost = lost.into_inner().expect("a client has failed");
    (generations.into_iter().map(|(_, generation)| generation).collect(), lost)
}

/// The worker that has answered: the tests' app tells its pid.
fn worker(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(body).ok()?.get("pid")?.as_u64()
}

/// Who is whose worker, and which leaders say that they have got SIGTERM; all by the pids of the namespace.
fn look(namespace: &Namespace, zero: f64, masters: &mut BTreeMap<u64, u64>, told: &mut BTreeMap<u64, f64>) {
    for leader in children(namespace.init()) {
        for worker in children(leader) {
            if let (Some(leader), Some(worker)) = (inner(leader), inner(worker)) {
                masters.insert(worker, leader);
            }
        }
    }
    let err = namespace.err();
    let said = err.lines().filter(|line| line.ends_with("Handling signal: term"));
    let said = said.filter_map(|line| line.split(['[', ']']).nth(3)?.parse::<u64>().ok());
    for leader in said.collect::<BTreeSet<_>>() {
        told.entry(leader).or_insert_with(|| now() - zero);
    }
}

/// proc(5): what a process is called in its own namespace.
fn inner(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

/// Generations by the pid of their leader, with their numbers.
fn from_log(log: &str, zero: f64, told: &BTreeMap<u64, f64>) -> BTreeMap<u64, (u64, Generation)> {
    let mut all = BTreeMap::<u64, (u64, Generation)>::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let number = |name: &str| line.get(name).and_then(Value::as_u64);
        let event = line.get("event").and_then(Value::as_str).unwrap_or_default();
        let time = line.get("time").and_then(Value::as_str).unwrap_or_default();
        let Ok(time) = humantime::parse_rfc3339(time) else { continue };
        let at = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() - zero;
        let of = |id: u64| move |(_, (number, _)): &(&u64, &mut (u64, Generation))| *number == id;
        match (event, number("generation")) {
            ("generation-started", Some(id)) => {
                if let Some(pid) = number("pid") {
                    let generation = Generation { started: at, serves: 0.0, ..Generation::default() };
                    all.insert(pid, (id, generation));
                }
            }
            ("handed-over", Some(id)) => {
                if let Some((_, (_, generation))) = all.iter_mut().find(of(id)) {
                    generation.serves = at;
                }
                if let Some((_, (_, generation))) = all.iter_mut().find(of(id - 1)) {
                    generation.drains = Some(at);
                }
            }
            ("generation-ended", Some(id)) => {
                if let Some((pid, (_, generation))) = all.iter_mut().find(of(id)) {
                    generation.ended = Some(at);
                    generation.told = told.get(pid).copied();
                }
            }
            _ => {}
        }
    }
    all
}

fn render(generations: &[Generation], answered: u32, lost: u32) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let bars = generations.len() as f64 * ROW;
    let plot = TOP + bars + 44.0;
    let height = plot + PLOT + 62.0;
    let mut svg = head("The time line of handovers", height, STYLE);
    let x = |at: f64| LEFT + at.clamp(0.0, LENGTH) / LENGTH * WIDTH;
    text(&mut svg, "title", 12.0, 26.0, "Generations");
    let mut legend = LEFT;
    for (class, words) in PHASES {
        let _ = writeln!(svg, "<rect class=\"{class}\" x=\"{legend}\" y=\"40\" width=\"12\" height=\"12\"/>");
        text(&mut svg, "", legend + 17.0, 50.0, words);
        #[expect(clippy::cast_precision_loss, reason = "a few words")]
        let width = words.len() as f64 * 5.7 + 32.0;
        legend += width;
    }
    let bottom = plot + PLOT;
    for (row, generation) in generations.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let y = TOP + row as f64 * ROW;
        text(&mut svg, "", 12.0, y + 13.0, &format!("generation {}", row + 1));
        let Generation { started, serves, drains, told, ended, .. } = generation;
        let end = ended.unwrap_or(LENGTH);
        let ready = if row == 0 {
            0.0
        } else if *serves > 0.0 {
            *serves
        } else {
            LENGTH
        };
        let drains = drains.unwrap_or(end);
        let told = told.unwrap_or(if ended.is_some() { drains } else { end }).max(drains);
        for (class, from, to) in [
            ("booting", *started, ready),
            ("serving", ready, drains),
            ("draining", drains, told),
            ("stopping", told, end),
        ] {
            let (from, to) = (x(from), x(to));
            if to > from {
                let width = to - from;
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
                );
            }
        }
        if row > 0 && *serves > 0.0 {
            let at = x(*serves);
            let _ = writeln!(svg, "<path class=\"switch\" d=\"M{at:.1} {TOP}V{bottom:.1}\"/>");
            text(&mut svg, "tick", at + 4.0, plot - 22.0, "handed-over");
        }
    }
    text(&mut svg, "title", 12.0, plot - 8.0, "requests answered a second, by generation");
    curves(&mut svg, generations, plot, bottom, x);
    let asked = format!(
        "gunicorn 20.1.0, two UvicornWorkers, OSTLER_MAX_REQUESTS={REQUESTS}: {answered} requests answered, {lost} not"
    );
    text(&mut svg, "x", LEFT + WIDTH / 2.0, height - 24.0, &asked);
    text(&mut svg, "x", LEFT + WIDTH / 2.0, height - 8.0, &format!("seconds; {}", circumstances()));
    svg.push_str("</svg>\n");
    svg
}

fn curves(svg: &mut String, generations: &[Generation], plot: f64, bottom: f64, x: impl Fn(f64) -> f64) {
    let rate = |count: u32| f64::from(count) / BIN;
    let most = generations.iter().flat_map(|generation| generation.answered.values()).copied().max();
    let most = rate(most.unwrap_or(1)) * 1.1;
    let y = |value: f64| bottom - value / most * PLOT;
    for tick in (0_u8..=8).map(|number| f64::from(number) * 100.0).take_while(|tick| *tick <= most) {
        let (at, right) = (y(tick), LEFT + WIDTH);
        let _ = writeln!(svg, "<path class=\"rule\" d=\"M{LEFT} {at:.1}H{right}\"/>");
        text(svg, "tick y", LEFT - 6.0, at + 3.0, &tick.to_string());
    }
    for tick in (0_u8..=20).map(|number| f64::from(number) * 2.0).take_while(|tick| *tick <= LENGTH) {
        text(svg, "tick x", x(tick), bottom + 14.0, &tick.to_string());
    }
    let _ = plot;
    for (generation, colour) in generations.iter().zip(COLOURS.iter().cycle()) {
        let Some((first, last)) =
            generation.answered.keys().next().zip(generation.answered.keys().next_back())
        else {
            continue;
        };
        let mut path = String::new();
        let middle = |bin: usize| {
            #[expect(clippy::cast_precision_loss, reason = "some dozens")]
            let bin = bin as f64;
            (bin + 0.5) * BIN
        };
        let _ = write!(path, "M{:.1} {bottom:.1}", x(middle(*first) - BIN / 2.0));
        for bin in *first..=*last {
            let count = generation.answered.get(&bin).copied().unwrap_or(0);
            let _ = write!(path, "L{:.1} {:.1}", x(middle(bin)), y(rate(count)));
        }
        let _ = write!(path, "L{:.1} {bottom:.1}", x(middle(*last) + BIN / 2.0));
        let _ = writeln!(svg, "<path class=\"line\" stroke=\"{colour}\" d=\"{path}\"/>");
    }
}
