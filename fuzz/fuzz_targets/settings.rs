//! Whatever the environment, the command and the log hold: `cargo +nightly fuzz run settings`.
#![no_main]

#[path = "../inputs.rs"]
mod inputs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| inputs::settings(bytes));
