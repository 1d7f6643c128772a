//! docs/migrating.md keeps its word: `ostler --check` finds nothing wrong with what each section comes to, nor with the
//! Dockerfiles of the pages that one begins with; and what replaces tini, dumb-init and gosu has the same statuses and
//! signals as these, which run beside it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;
use support::{Namespace, OSTLER, Setup, fixture, tini};

/// What a Dockerfile says of how its container starts.
#[derive(Clone, Debug, Default)]
struct Image {
    environment: Vec<(String, String)>,
    entry_point: Vec<String>,
    command: Vec<String>,
}

/// Names of the page that are other ones here.
const STAND_INS: [(&str, &str); 2] = [("/ostler", OSTLER), ("app", USER)];
/// A user that every Debian has.
const USER: &str = "games";

fn here(word: &str) -> String {
    let found = STAND_INS.iter().find(|(name, _)| *name == word);
    found.map_or(word, |(_, stand_in)| stand_in).to_owned()
}

impl Image {
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let list = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap();
        let mut image = Self::default();
        for line in lines {
            match line.split_once(' ').unwrap() {
                ("ENV", pairs) => {
                    let pairs = pairs.split(' ').map(|pair| pair.split_once('=').unwrap());
                    image.environment.extend(pairs.map(|(name, value)| (name.to_owned(), here(value))));
                }
                ("ENTRYPOINT", json) => image.entry_point = list(json),
                ("CMD", json) => image.command = list(json),
                other => panic!("{other:?}"),
            }
        }
        image
    }

    /// This image as PID 1, with more options in front and another command behind.
    fn start(&self, options: &[&str], command: &[&str]) -> Namespace {
        let (program, rest) = self.entry_point.split_first().unwrap();
        let words = options.iter().map(|word| (*word).to_owned()).chain(rest.iter().map(|word| here(word)));
        let words = words.chain(command.iter().map(|word| (*word).to_owned()));
        let mut setup = Setup::rooted(here(program), words);
        for (name, value) in &self.environment {
            setup = setup.env(name, value);
        }
        setup.start()
    }

    fn words(&self) -> Vec<&str> {
        self.command.iter().map(String::as_str).collect()
    }
}

/// The fenced blocks of this language, each with the heading of its section.
fn blocks(language: &str) -> Vec<(String, String)> {
    blocks_of("docs/migrating.md", language)
}

fn blocks_of(page: &str, language: &str) -> Vec<(String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let sections = page.split("\n## ");
    let blocks = sections.flat_map(|section| {
        let heading = section.lines().next().unwrap().to_owned();
        let fenced = section.split("```").skip(1).step_by(2);
        fenced.map(move |block| (heading.clone(), block.to_owned()))
    });
    let mark = format!("{language}\n");
    blocks.filter_map(|(heading, block)| Some((heading, block.strip_prefix(&mark)?.to_owned()))).collect()
}

/// What a section comes from, and what it comes to.
fn sections() -> Vec<(String, Image, Image)> {
    let side = |block: &str, mark: char| {
        let lines = block.lines().filter(|line| line.starts_with([mark, ' ']));
        Image::read(lines.map(|line| &line[1..]))
    };
    blocks("diff").into_iter().map(|(name, block)| (name, side(&block, '-'), side(&block, '+'))).collect()
}

/// The section on what is called so.
fn section(name: &str) -> (Image, Image) {
    let found = sections().into_iter().find(|(heading, ..)| heading.starts_with(&format!("From {name}")));
    let (_, mut before, after) = found.unwrap_or_else(|| panic!("no section on {name}"));
    let program = before.entry_point[0].rsplit('/').next().unwrap().to_owned();
    let path = match program.as_str() {
        "tini" => tini().to_owned(),
        "gosu" => "/usr/sbin/gosu".to_owned(),
        _ => format!("/usr/bin/{program}"),
    };
    assert!(Path::new(&path).exists(), "the control is missing: {path} (tests/run installs it)");
    before.entry_point[0] = path;
    (before, after)
}

fn assert_checked(name: &str, image: &Image) {
    let mut checked = image.start(&["--check"], &image.words());
    assert_eq!(checked.end(), 0, "{name}: {}", checked.err());
    let out = checked.out();
    assert!(!out.contains("\nwarning "), "{name}: {out}");
    for (variable, value) in &image.environment {
        let line = out.lines().find(|line| line.split(' ').next() == Some(variable));
        let line = line.unwrap_or_else(|| panic!("{name}: no {variable} in {out}"));
        assert!(line.contains(value) && line.ends_with("environment"), "{name}: {line}");
    }
}

#[test]
fn check_finds_nothing_wrong_with_what_each_comes_to() {
    let sections = sections();
    assert_eq!(sections.len(), 6, "{sections:?}");
    for (name, before, after) in &sections {
        assert_checked(name, after);
        // The control: what was there before says nothing of ostler.
        assert!(before.environment.is_empty() && !before.entry_point.contains(&"/ostler".to_owned()));
    }
    for (name, block) in blocks("dockerfile") {
        assert_checked(&name, &Image::read(block.lines()));
    }
    for page in ["README.md", "docs/getting-started.md"] {
        let [(_, block)] = &blocks_of(page, "dockerfile")[..] else { panic!("{page}: one Dockerfile") };
        let starts = |line: &&str| ["ENV ", "ENTRYPOINT ", "CMD "].iter().any(|word| line.starts_with(word));
        assert_checked(page, &Image::read(block.lines().filter(starts)));
    }
    // As supervisord splits it.
    let [(name, block)] = &blocks("ini")[..] else { panic!("one ini") };
    let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    let pairs = value("environment").split(',').map(|pair| pair.split_once('=').unwrap());
    let environment = pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    let mut words = value("command").split(' ').map(str::to_owned);
    let entry_point = words.by_ref().take(2).collect();
    assert_checked(
        name,
        &Image { environment: environment.collect(), entry_point, command: words.collect() },
    );
}

/// The control of the test above: `--check` does find what is wrong.
#[test]
fn check_finds_what_is_wrong() {
    let (_, after) = section("tini");
    let mut image = after.clone();
    image.environment = vec![("OSTLER_MAX_REQUESTS".into(), "5".into())];
    let mut warned = image.start(&["--check"], &image.words());
    assert_eq!(warned.end(), 0);
    assert!(warned.out().contains("\nwarning "), "{}", warned.out());
    image.environment = vec![("OSTLER_GRACE".into(), "5".into())];
    assert_eq!(image.start(&["--check"], &image.words()).end(), 1);
}

/// Ends with the status that each side ends with.
fn statuses(name: &str, script: &[&str]) -> [i32; 2] {
    let (before, after) = section(name);
    [before, after].map(|image| image.start(&[], script).end())
}

#[test]
fn statuses_are_those_of_before() {
    for name in ["tini", "dumb-init", "gosu"] {
        assert_eq!(statuses(name, &["sh", "-c", "exit 3"]), [3; 2], "{name}");
        assert_eq!(statuses(name, &["true"]), [0; 2], "{name}");
    }
    for name in ["tini", "dumb-init"] {
        assert_eq!(statuses(name, &["sh", "-c", "kill -TERM $$"]), [143; 2], "{name}");
    }
    // As the page says: gosu's program is PID 1, which no signal ends that it does not handle.
    assert_eq!(statuses("gosu", &["sh", "-c", "kill -TERM $$; exit 5"]), [5, 143]);
    assert_eq!(statuses("tini", &["no-such-program"]), [127; 2]);
    assert_eq!(statuses("tini", &["/etc/passwd"]), [126; 2]);
    assert_eq!(statuses("dumb-init", &["no-such-program"]), [2, 127]);
    assert_eq!(statuses("dumb-init", &["/etc/passwd"]), [2, 126]);
}

/// Tells of every signal by its name, and ends at `end`.
fn told(image: &Image, signals: &[i32], end: &str) -> (String, i32) {
    let script = format!(
        "for name in HUP INT QUIT USR1 USR2 TERM TTIN; do trap \"echo $name\" $name; done; \
         trap 'echo {end}; exit 4' {end}; echo ready; while :; do sleep 0.05; done"
    );
    let mut namespace = image.start(&[], &["sh", "-c", &script]);
    namespace.wait_for_out("ready");
    for signal in signals {
        let before = namespace.out();
        namespace.signal(*signal);
        support::eventually("it has told", || namespace.out() != before || namespace.ended());
    }
    let status = namespace.end();
    (namespace.out(), status)
}

#[test]
fn signals_are_those_of_before() {
    let [hup, quit, usr1, term] = [1, 3, 10, 15];
    for (name, signals, end, expected) in [
        ("tini", &[hup, usr1, quit, term][..], "TERM", "ready\nHUP\nUSR1\nQUIT\nTERM\n"),
        ("gosu", &[hup, usr1, quit, term], "TERM", "ready\nHUP\nUSR1\nQUIT\nTERM\n"),
        // TERM comes as QUIT.
        ("dumb-init", &[hup, usr1, term], "QUIT", "ready\nHUP\nUSR1\nQUIT\n"),
    ] {
        let (before, after) = section(name);
        for image in [before, after] {
            assert_eq!(told(&image, signals, end), (expected.to_owned(), 4), "{name}: {image:?}");
        }
    }
}

#[test]
fn dumb_inits_whole_group_gets_signals() {
    let member = "trap 'echo member; exit' USR1; echo ready; while :; do sleep 0.05; done";
    let leader =
        format!("trap 'wait; echo leader; exit 6' USR1; sh -c \"{member}\" & while :; do sleep 0.05; done");
    let (before, after) = section("dumb-init");
    for image in [before, after.clone()] {
        let mut namespace = image.start(&[], &["sh", "-c", &leader]);
        namespace.wait_for_out("ready");
        namespace.signal(10);
        assert_eq!(namespace.end(), 6);
        assert!(namespace.out().contains("member"), "{}", namespace.out());
    }
    // The control: without -g, as with dumb-init's --single-child, it is the leader's alone.
    let mut alone = after;
    alone.entry_point.retain(|word| word != "-g");
    let mut namespace = alone.start(&[], &["sh", "-c", &leader.replace("wait; ", "")]);
    namespace.wait_for_out("ready");
    namespace.signal(10);
    assert_eq!(namespace.end(), 6);
    assert!(!namespace.out().contains("member"), "{}", namespace.out());
}

#[test]
fn who_the_program_is_is_whom_gosu_makes_it() {
    let (before, after) = section("gosu");
    let script = "id; echo $HOME; umask; grep NoNewPrivs /proc/self/status";
    let [gosu, ostler] = [before, after].map(|image| {
        let mut namespace = image.start(&[], &["sh", "-c", script]);
        assert_eq!(namespace.end(), 0, "{}", namespace.err());
        namespace.out()
    });
    assert!(gosu.contains(USER), "{gosu}");
    // As the page says, that alone is another.
    assert_eq!(gosu.replace("NoNewPrivs:\t0", "NoNewPrivs:\t1"), ostler);
    assert_ne!(gosu, ostler);
}

#[test]
fn an_entry_point_that_ends_in_gosu_runs_below_ostler() {
    let (_, image) =
        &blocks("dockerfile").pop().map(|(name, block)| (name, Image::read(block.lines()))).unwrap();
    let mut image = image.clone();
    let script = fixture("docker-entrypoint.sh").display().to_string();
    image
        .entry_point
        .iter_mut()
        .filter(|word| word.starts_with("/docker"))
        .for_each(|word| *word = script.clone());
    let mut namespace = image
        .start(&[], &["sh", "-c", "id -un; trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"]);
    namespace.wait_for_out("ready");
    assert!(namespace.out().contains(&format!("first: root\n{USER}\n")), "{}", namespace.out());
    namespace.signal(15);
    assert_eq!(namespace.end(), 4, "{}", namespace.err());
}
