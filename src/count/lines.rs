//! Lines of a log: which of them tell of a request, and of which path.
//! Servers quote what clients send, so no request can forge a second line.

/// Where the beginning of a line is enough: a request line comes early in every format.
const LONGEST: usize = 4096;

/// Which lines count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every one: nothing but requests is written there.
    Every,
    /// Those that hold a request line, such as `"GET / HTTP/1.1"`: others are written there too.
    RequestLines,
}

/// Requests that were told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that count.
    pub counted: u64,
    /// Those of paths that are left out.
    pub left_out: u64,
}

/// Counts the lines of one stream, however its reads are cut.
#[derive(Debug)]
pub struct Lines {
    rule: Rule,
    /// Requests of a path that begins like one of these do not count.
    skip: Vec<String>,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

impl Lines {
    /// For one stream.
    #[must_use]
    pub fn new(rule: Rule, skip: Vec<String>) -> Self {
        Self { rule, skip, begun: Vec::new() }
    }

    /// Which lines count.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The requests that end in `bytes`.
    pub fn take(&mut self, bytes: &[u8]) -> Tally {
        let mut tally = Tally::default();
        if self.rule == Rule::Every && self.skip.is_empty() {
            tally.counted = bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum();
            return tally;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            if self.begun.is_empty() {
                self.judge(line, &mut tally);
            } else {
                self.keep(line);
                self.judge(&self.begun, &mut tally);
                self.begun.clear();
            }
            rest = after.get(1..).unwrap_or_default();
        }
        self.keep(rest);
        tally
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST.saturating_sub(self.begun.len()).min(part.len());
        self.begun.extend(part.get(..room).unwrap_or_default());
    }

    fn judge(&self, line: &[u8], tally: &mut Tally) {
        let left_out = |path: &[u8]| self.skip.iter().any(|prefix| path.starts_with(prefix.as_bytes()));
        match (path(line.get(..LONGEST).unwrap_or(line)), self.rule) {
            (Some(path), _) if left_out(path) => tally.left_out += 1,
            (Some(_), _) | (None, Rule::Every) => tally.counted += 1,
            (None, Rule::RequestLines) => {}
        }
    }
}

/// The methods of RFC 9110 and PATCH, by which a request line is known
/// that is broken behind its method: some loggers wrap long lines.
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// The path of the request that a line tells of: what stands behind `"GET ` and other methods (RFC 9110, 9), in quotes
/// as every common format has it. Nothing, if the line ends there.
fn path(line: &[u8]) -> Option<&[u8]> {
    line.split(|byte| *byte == b'"').skip(1).find_map(|quoted| {
        if METHODS.contains(&quoted.trim_ascii_end()) && line.ends_with(quoted) {
            return Some(&[][..]);
        }
        let space = quoted.iter().position(|byte| *byte == b' ')?;
        let (method, target) = (quoted.get(..space)?, quoted.get(space + 1..)?);
        let is_method = (3..=16).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
        let target = target.split(|byte| *byte == b' ').next().unwrap_or_default();
        (is_method && (target.starts_with(b"/") || target.starts_with(b"http") || target == b"*"))
            .then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UVICORN: &str = "127.0.0.1:5 - \"GET /a?b=c HTTP/1.1\" 200 OK\n";
    const GUNICORN: &str =
        "127.0.0.1 - - [21/Nov/2026:17:28:01 +0000] \"POST /b HTTP/1.1\" 201 2 \"-\" \"curl/8\"\n";
    const DAPHNE: &str = "127.0.0.1:5 - - [21/Nov/2026:17:28:01] \"GET /healthz\" 200 2\n";
    const JSON: &str = "{\"message\": \"127.0.0.1 - \\\"GET /c HTTP/1.1\\\" 200\"}\n";

    fn count(rule: Rule, skip: &[&str], text: &str) -> u64 {
        Lines::new(rule, skip.iter().map(|path| (*path).to_owned()).collect()).take(text.as_bytes()).counted
    }

    #[test]
    fn requests_are_found_in_every_common_format() {
        for (line, target) in [
            (UVICORN, Some("/a?b=c")),
            (GUNICORN, Some("/b")),
            (DAPHNE, Some("/healthz")),
            (JSON, Some("/c")),
        ] {
            assert_eq!(path(line.as_bytes()), target.map(str::as_bytes), "{line}");
            assert_eq!(count(Rule::RequestLines, &[], line), 1, "{line}");
        }
        for line in [
            "Application startup complete.\n",
            "GET / HTTP/1.1\n",
            "he said \"GET out\"\n",
            "he said \"get /a\"\n",
            "\"GE /\"\n",
            "\n",
        ] {
            assert_eq!(count(Rule::RequestLines, &[], line), 0, "{line}");
            assert_eq!(count(Rule::Every, &[], line), 1, "{line}");
            assert_eq!(count(Rule::Every, &["/a"], line), 1, "{line}");
        }
    }

    #[test]
    fn paths_are_left_out_by_their_beginning() {
        let text = [UVICORN, GUNICORN, DAPHNE, JSON].concat();
        for (skip, left) in [
            (&[][..], 4),
            (&["/healthz"], 3),
            (&["/health", "/a"], 2),
            (&["/A"], 4),
            (&["/healthzz"], 4),
            (&["/"], 0),
        ] {
            for rule in [Rule::Every, Rule::RequestLines] {
                assert_eq!(count(rule, skip, &text), left, "{rule:?} {skip:?}");
            }
        }
    }

    #[test]
    fn what_is_left_out_is_told_apart_from_what_is_none() {
        let mut lines = Lines::new(Rule::RequestLines, vec!["/healthz".into()]);
        let text = [UVICORN, DAPHNE, DAPHNE, "ready\n"].concat();
        assert_eq!(lines.take(text.as_bytes()), Tally { counted: 1, left_out: 2 });
    }

    #[test]
    fn a_request_line_may_be_wrapped() {
        let wrapped = "   INFO   127.0.0.1:5 - \"GET\n          /api/v1/customers?page=2 HTTP/1.1\" 200\n";
        assert_eq!(count(Rule::RequestLines, &[], wrapped), 1);
        assert_eq!(count(Rule::RequestLines, &[], "she said \"STOP\n"), 0);
    }

    #[test]
    fn a_line_without_end_is_not_kept_whole() {
        let mut lines = Lines::new(Rule::RequestLines, Vec::new());
        for _ in 0..100 {
            assert_eq!(lines.take(&[b'x'; 1000]), Tally::default());
        }
        assert_eq!(lines.begun.len(), LONGEST);
        assert_eq!(lines.take(b"\"GET / HTTP/1.1\"\n").counted, 0);
        assert_eq!(lines.take(UVICORN.as_bytes()).counted, 1);
    }

    fn rule() -> impl Strategy<Value = Rule> {
        prop::sample::select(vec![Rule::Every, Rule::RequestLines])
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_reads_are_cut(
            bytes in prop::collection::vec(prop::sample::select(b"\n\"GET /a HTTP x".to_vec()), 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            rule in rule(),
            skip in prop::sample::select(vec![vec![], vec!["/a".to_owned()]]),
        ) {
            let mut lines = Lines::new(rule, skip.clone());
            let whole = lines.take(&bytes);
            let mut lines = Lines::new(rule, skip);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).fold(Tally::default(), |sum, cut| {
                let Tally { counted, left_out } = lines.take(&bytes[cut[0]..cut[1]]);
                Tally { counted: sum.counted + counted, left_out: sum.left_out + left_out }
            });
            prop_assert_eq!(parts, whole);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), rule in rule()) {
            let most = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
            let Tally { counted, left_out } = Lines::new(rule, vec!["/".into()]).take(&bytes);
            prop_assert!(counted + left_out <= most);
        }
    }
}
