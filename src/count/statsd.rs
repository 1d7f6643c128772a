//! statsd datagrams: `gunicorn.requests:1|c|@1.0` is one request; what was lost is had back from the drop counter.

/// gunicorn sends three datagrams a request (duration, requests, status), so a lost one is a third of a request.
const DATAGRAMS_PER_REQUEST: u64 = 3;
/// The other two.
const COMPANIONS_PER_REQUEST: u64 = 2;

/// How many requests a datagram tells of. Anything else that is sent there counts as 0.
///
/// A datagram holds one metric or several, a line each: `name:value|type|@rate|#tags` (the [statsd
/// format](https://github.com/statsd/statsd/blob/master/docs/metric_types.md), with Datadog's tags). Prefixes vary, so
/// the name is known by its last part, `requests`; only counters (`c`) count, divided by their sample rate.
#[must_use]
pub fn requests(datagram: &[u8]) -> u64 {
    datagram.split(|byte| *byte == b'\n').filter_map(requests_of_metric).fold(0, u64::saturating_add)
}

/// Is it one of those that gunicorn sends beside a request's counter?
#[must_use]
pub fn is_companion(datagram: &[u8]) -> bool {
    let name = datagram.split(|byte| *byte == b':').next().unwrap_or_default();
    let status = name.split_last_chunk::<3>();
    name.ends_with(b"request.duration") || status.is_some_and(|(rest, _)| rest.ends_with(b"request.status."))
}

fn requests_of_metric(line: &[u8]) -> Option<u64> {
    // The cheap test first: two of three datagrams end here.
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    if name != b"requests" && !name.ends_with(b".requests") {
        return None;
    }
    let mut parts = str::from_utf8(rest.get(1..)?).ok()?.trim_end().split('|');
    let value: f64 = parts.next()?.parse().ok()?;
    if parts.next()? != "c" {
        return None;
    }
    let rate = match parts.find_map(|part| part.strip_prefix('@')) {
        Some(rate) => rate.parse().ok().filter(|rate| 0.0 < *rate && *rate <= 1.0)?,
        None => 1.0,
    };
    // A float-to-int cast saturates and makes 0 of NaN and of what is negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = (value / rate).round() as u64;
    Some(count)
}

/// How many requests a lost datagram stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Three of them for one: gunicorn's.
    Third,
    /// The same, and a filter drops two of each three, which are no loss.
    Filtered,
    /// As many as those that were heard, on average: anybody's.
    AsHeard,
}

/// What was heard so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Datagrams.
    pub datagrams: u64,
    /// Requests in them.
    pub requests: u64,
    /// Companions of requests among them. Those that a filter drops are not heard; it lets tagged ones in.
    pub companions: u64,
}

/// Turns a socket's counter of lost datagrams (`SO_RXQ_OVFL`, socket(7)) into requests.
#[derive(Debug)]
pub struct Losses {
    share: Share,
    seen: u32,
    lost: u64,
    told: u64,
}

impl Losses {
    /// Nothing is lost yet.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self { share, seen: 0, lost: 0, told: 0 }
    }

    /// How many requests more than at the last call, given the counter's value now. It wraps at 2^32.
    pub fn requests(&mut self, dropped: u32, heard: Heard) -> u64 {
        self.lost = self.lost.saturating_add(u64::from(dropped.wrapping_sub(self.seen)));
        self.seen = dropped;
        let requests = match self.share {
            Share::Third => self.lost / DATAGRAMS_PER_REQUEST,
            Share::Filtered => {
                let filtered = heard.requests.saturating_mul(COMPANIONS_PER_REQUEST);
                let filtered = filtered.saturating_sub(heard.companions);
                // To the next whole request: a counter brings the drops before it, and its status comes after it.
                self.lost.saturating_add(1).saturating_sub(filtered) / DATAGRAMS_PER_REQUEST
            }
            Share::AsHeard => {
                let all = u128::from(self.lost) * u128::from(heard.requests);
                u64::try_from(all / u128::from(heard.datagrams.max(1))).unwrap_or(u64::MAX)
            }
        };
        let more = requests.saturating_sub(self.told);
        self.told = self.told.max(requests);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_counts() {
        for (datagram, count) in [
            ("gunicorn.requests:1|c|@1.0", 1),
            ("myapp.gunicorn.requests:1|c|@1.0", 1),
            ("gunicorn.requests:1|c|@1.0|#env:prod,team:x", 1),
            ("gunicorn.requests:1|c|#env:prod|@0.5", 2),
            ("requests:4|c", 4),
            ("any.requests:3|c|@0.1", 30),
            ("a.requests:1|c\nb.requests:2|c\n", 3),
            ("gunicorn.requests:1|c|@1.0\r\n", 1),
        ] {
            assert_eq!(requests(datagram.as_bytes()), count, "{datagram}");
        }
    }

    #[test]
    fn what_does_not() {
        for datagram in [
            "",
            "gunicorn.request.duration:0.288|ms",
            "gunicorn.request.status.200:1|c|@1.0",
            "gunicorn.workers:2|g",
            "gunicorn.requests:1|g",
            "gunicorn.requests:1",
            "gunicorn.requests",
            "gunicorn.requests:|c",
            "gunicorn.requests:NaN|c",
            "gunicorn.requests:-5|c",
            "gunicorn.requests:1|c|@0",
            "gunicorn.requests:1|c|@-1",
            "gunicorn.requests:1|c|@7",
            "badrequests:1|c",
        ] {
            assert_eq!(requests(datagram.as_bytes()), 0, "{datagram}");
        }
        assert_eq!(requests(b"gunicorn.requests:\xff|c"), 0);
    }

    #[test]
    fn a_forged_value_saturates() {
        assert_eq!(requests(b"x.requests:1e300|c\nx.requests:9|c"), u64::MAX);
    }

    fn third() -> Losses {
        Losses::new(Share::Third)
    }

    const HEARD: Heard = Heard { datagrams: 100, requests: 250, companions: 0 };

    #[test]
    fn three_lost_datagrams_are_one_request() {
        let mut losses = third();
        let told = [0, 2, 3, 10, 10].map(|dropped| losses.requests(dropped, HEARD));
        assert_eq!(told, [0, 0, 1, 2, 0]);
    }

    #[test]
    fn of_others_they_are_as_those_that_were_heard() {
        let mut losses = Losses::new(Share::AsHeard);
        let told = [0, 2, 3, 10, 10].map(|dropped| losses.requests(dropped, HEARD));
        assert_eq!(told, [0, 5, 2, 18, 0]);
        // What was told is not taken back.
        assert_eq!(losses.requests(11, Heard { datagrams: 200, ..HEARD }), 0);
        assert_eq!(Losses::new(Share::AsHeard).requests(9, Heard::default()), 0);
    }

    #[test]
    fn what_a_filter_drops_is_no_loss() {
        let heard = |requests, companions| Heard { datagrams: requests + companions, requests, companions };
        for (requests, companions, dropped, lost) in [
            // One worker, and its last status is still to come; or is dropped too.
            (1000, 0, 1999, 0),
            (1000, 0, 2000, 0),
            // Another one is between its duration and its counter.
            (1000, 0, 2001, 0),
            // 1,300 requests, of which the buffer had no room for 300: two filtered and one lost of each.
            (1000, 0, 2 * 1300 + 300, 300),
            (1000, 0, 2 * 1300 + 300 - 1, 300),
            // With tags nothing is filtered; a third of the three datagrams of each is lost.
            (1000, 2000, 0, 0),
            (1000, 2000, 1500, 500),
        ] {
            let told = Losses::new(Share::Filtered).requests(dropped, heard(requests, companions));
            assert_eq!(told, lost, "{requests} {companions} {dropped}");
        }
    }

    #[test]
    fn what_comes_beside_a_counter() {
        for (datagram, expected) in [
            ("gunicorn.request.duration:0.288|ms", true),
            ("my.gunicorn.request.duration:0.288|ms|#env:prod", true),
            ("gunicorn.request.status.200:1|c|@1.0|#env:prod", true),
            ("request.status.404", true),
            ("gunicorn.requests:1|c|@1.0", false),
            ("gunicorn.workers:2|g", false),
            ("gunicorn.log.warning:1|c|@1.0", false),
            ("request.status.20:1|c", false),
            ("", false),
        ] {
            assert_eq!(is_companion(datagram.as_bytes()), expected, "{datagram}");
        }
    }

    #[test]
    fn the_drop_counter_wraps() {
        let mut losses = Losses { seen: u32::MAX - 2, ..third() };
        assert_eq!(losses.requests(0, HEARD), 1);
        assert_eq!(losses.requests(3, HEARD), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(datagram in any::<Vec<u8>>()) {
            let _ = requests(&datagram);
        }

        #[test]
        fn nothing_is_lost_in_thirds(drops in prop::collection::vec(0_u32..1000, 0..50)) {
            let (mut losses, mut total, mut told) = (third(), 0_u32, 0);
            for drop in drops {
                total += drop;
                told += losses.requests(total, HEARD);
            }
            prop_assert_eq!(told, u64::from(total) / 3);
        }
    }
}
