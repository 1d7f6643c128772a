//! Whatever /proc, sockets and files hold: `cargo +nightly fuzz run untrusted`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ostler::system::untrusted::read(bytes));
