//! Whatever a datagram holds: `cargo +nightly fuzz run statsd`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let requests = ostler::count::requests(datagram);
    assert!(requests == 0 || datagram.contains(&b'\n') || !ostler::count::is_companion(datagram));
});
