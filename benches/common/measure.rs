//! Percentiles, and a process's time on a processor.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// The p-th percentile. Of nothing it is no number.
pub(crate) fn percentile(values: &[f64], p: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) * p / 100).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The first figure of /proc/PID/schedstat, in nanoseconds.
pub(crate) fn processor(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = text.split(' ').next().context("/proc/PID/schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
