//! Whatever a datagram holds: `cargo +nightly fuzz run statsd`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let _ = ostler::count::requests(datagram);
});
