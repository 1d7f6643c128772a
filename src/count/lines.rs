//! Access-log lines: each is one request. gunicorn and uvicorn quote the path, so no request can forge a second line.

/// How many lines end in `bytes`. A line may come in several reads: its end comes once.
#[must_use]
pub fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_ends_of_lines() {
        for (bytes, count) in [
            (&b""[..], 0),
            (b".\n", 1),
            (b".\n.\n", 2),
            (b"127.0.0.1:5 - \"GET / HTTP/1.1\" 200", 0),
            (b"\xff\xfe\n\n", 2),
        ] {
            assert_eq!(count_lines(bytes), count, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_reads_are_cut(bytes in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(count_lines(head) + count_lines(tail), count_lines(&bytes));
        }
    }
}
