//! Values as people write them, and those that are refused.

use super::*;
use crate::supervisor::Signal;
use proptest::prelude::{any, proptest};

#[test]
fn durations() {
    for (text, millis) in [
        ("250ms", 250),
        ("30s", 30_000),
        ("30", 30_000),
        ("0", 0),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("1h 30m", 5_400_000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "-1", "5x", "1.5", "soon", "5M", "99999999999999999999", "99999999999999d", "11y"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn budgets_of_age_and_memory() {
    assert_eq!(age("off"), Ok(None));
    assert_eq!(age("0s"), Ok(None));
    assert_eq!(age("6h"), Ok(Some(Duration::from_hours(6))));
    assert!(age("soon").unwrap_err().ends_with("or off"));
    for (text, expected) in [
        ("off", None),
        ("0", None),
        ("0%", None),
        ("2000000", Some(Memory::Bytes(2_000_000))),
        ("512MiB", Some(Memory::Bytes(512 << 20))),
        ("1.5GiB", Some(Memory::Bytes(3 << 29))),
        ("800M", Some(Memory::Bytes(800_000_000))),
        ("80%", Some(Memory::Percent(80))),
        ("100%", Some(Memory::Percent(100))),
    ] {
        assert_eq!(memory(text), Ok(expected), "{text}");
    }
    for text in ["", "%", "101%", "-1%", "1.5%", "much", "-5"] {
        assert!(memory(text).unwrap_err().contains("80%"), "{text}");
    }
    for text in ["800", "1", "1048575"] {
        assert!(
            memory(text).unwrap_err().ends_with("bytes; write a size with its unit, such as 800MiB"),
            "{text}"
        );
    }
}

#[test]
fn paths_and_endpoints() {
    assert_eq!(paths("none"), Ok(vec![]));
    assert_eq!(paths("/healthz, /ping"), Ok(vec!["/healthz".into(), "/ping".into()]));
    for text in ["", "healthz", "/a,", "/a b", "/ü"] {
        assert!(paths(text).is_err(), "{text}");
    }
    let at = |host: &str, port| Ok(Some(Endpoint { host: host.into(), port }));
    assert_eq!(endpoint("none"), Ok(None));
    assert_eq!(endpoint("10.0.0.1:8125"), at("10.0.0.1", 8125));
    assert_eq!(endpoint("[::1]:8125"), at("::1", 8125));
    assert_eq!(endpoint("statsd.local:1"), at("statsd.local", 1));
    for text in ["", "10.0.0.1", ":8125", "a:0", "a:65536", "a b:1", "udp://a:1"] {
        assert!(endpoint(text).is_err(), "{text}");
    }
}

#[test]
fn where_metrics_go() {
    let emf = |seconds, service: Option<&str>| {
        Ok(Some(Metrics::Emf { every: Duration::from_secs(seconds), service: service.map(str::to_owned) }))
    };
    assert_eq!(metrics("off"), Ok(None));
    assert_eq!(metrics("emf:60s"), emf(60, None));
    assert_eq!(metrics("emf:1m 30s:shop/eu-1"), emf(90, Some("shop/eu-1")));
    let at = Endpoint { host: "10.0.0.1".into(), port: 8125 };
    assert_eq!(metrics("statsd:10.0.0.1:8125"), Ok(Some(Metrics::Statsd(at))));
    let long = format!("emf:60s:{}", "x".repeat(251));
    for text in [
        "",
        "emf",
        "emf:",
        "emf:soon",
        "emf:60s:",
        "emf:60s:a b",
        "emf:60s:a:b",
        "statsd",
        "statsd:x",
        "statsd:none",
        &long,
    ] {
        assert!(metrics(text).unwrap_err().contains("emf:60s:NAME"), "{text}");
    }
    assert!(metrics("emf:500ms").unwrap_err().contains("a second or more"));
}

#[test]
fn shares_of_a_disk() {
    assert_eq!((percent("off"), percent("80%")), (Ok(None), Ok(Some(80))));
    for text in ["", "80", "0%", "100%", "-1%", "80.5%", "%", "300%"] {
        assert!(percent(text).is_err(), "{text}");
    }
}

#[test]
fn budgets() {
    assert_eq!(requests("off"), Ok(None));
    assert_eq!(requests("0"), Ok(None));
    assert_eq!(requests("00"), Ok(None));
    assert_eq!(requests("500"), Ok(Some(500)));
    for text in ["", "5k", "-1", "1.5", "none"] {
        assert!(requests(text).is_err(), "{text}");
    }
}

#[test]
fn strategies() {
    let only = |recycle| Ok(Strategy::Only(recycle));
    for (text, strategy) in [
        ("auto", Ok(Strategy::Auto)),
        ("handover", only(Recycle::Handover)),
        ("restart", only(Recycle::Restart)),
        ("reload", only(Recycle::Reload(Signal::HUP))),
        ("reload:HUP", only(Recycle::Reload(Signal::HUP))),
        ("reload:SIGUSR1", only(Recycle::Reload(Signal(10)))),
        ("reload:12", only(Recycle::Reload(Signal::USR2))),
    ] {
        assert_eq!(super::strategy(text), strategy, "{text}");
    }
    for text in
        ["", "auto:", "restart:HUP", "reload:", "reload:NONE", "reload:KILL", "reload:TERM", "reload:99"]
    {
        assert!(super::strategy(text).is_err(), "{text}");
    }
}

#[test]
fn readiness() {
    assert_eq!(ready("accept"), Ok(Ready::Accept));
    assert_eq!(ready("notify"), Ok(Ready::Notify));
    assert_eq!(ready("delay:10s"), Ok(Ready::Delay(Duration::from_secs(10))));
    for text in ["", "delay", "delay:", "delay:soon", "accept:1s"] {
        assert!(ready(text).is_err(), "{text}");
    }
    assert_eq!(path("none"), Ok(None));
    assert_eq!(path("/healthz?full=1"), Ok(Some("/healthz?full=1".into())));
    for text in ["healthz", "/a b", "/a\r\nX: y", "/ä"] {
        assert!(path(text).is_err(), "{text}");
    }
    assert_eq!(watchdog("off"), Ok(None));
    assert_eq!(watchdog("0"), Ok(None));
    assert_eq!(watchdog("5"), Ok(Some(Duration::from_secs(5))));
    for text in ["", "999ms", "soon"] {
        assert!(watchdog(text).is_err(), "{text}");
    }
    assert!(timeout("0").is_err());
}

#[test]
fn sockets() {
    assert_eq!(backlog("1"), Ok(Backlog::Number(1)));
    assert_eq!(backlog("max"), Ok(Backlog::Max));
    for text in ["0", "4097", "-1", "many"] {
        assert!(backlog(text).is_err(), "{text}");
    }
    assert_eq!(mode("0660"), Ok(0o660));
    for text in ["", "0999", "1777", "+660", "rw"] {
        assert!(mode(text).is_err(), "{text}");
    }
    let owner = |user, group| Ok(Some(Owner { user, group }));
    let name = |name: &str| Who::Name(name.to_owned());
    assert_eq!(super::owner("keep"), Ok(None));
    assert_eq!(super::owner("app"), owner(name("app"), None));
    assert_eq!(super::owner("1000:web"), owner(Who::Id(1000), Some(name("web"))));
    for text in [":", "app:", ":web", "a:b:c"] {
        assert!(super::owner(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (whole(&text), requests(&text), duration(&text), choice(&text), level(&text));
        let _ = (strategy(&text), ready(&text), path(&text), backlog(&text), mode(&text), super::owner(&text));
    }
}
