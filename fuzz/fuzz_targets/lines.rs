//! Whatever a log holds, and however its reads are cut: `cargo +nightly fuzz run lines`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler::count::{Lines, Rule};

fuzz_target!(|bytes: &[u8]| {
    let cut = usize::from(bytes.first().copied().unwrap_or(0)).min(bytes.len());
    let (head, tail) = bytes.split_at(cut);
    for rule in [Rule::Every, Rule::RequestLines] {
        let lines = || Lines::new(rule, vec!["/healthz".into()]);
        let (mut whole, mut cut) = (lines(), lines());
        let (first, second, whole) = (cut.take(head), cut.take(tail), whole.take(bytes));
        assert_eq!(first.counted + second.counted, whole.counted);
        assert_eq!(first.left_out + second.left_out, whole.left_out);
    }
});
