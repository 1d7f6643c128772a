//! Where and when something was measured, for the line below a picture.

/// The kernel, the processors, the date.
pub(crate) fn circumstances() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    format!("{}, Linux {}, {cpus} CPUs", now.get(..10).unwrap_or(&now), kernel.trim())
}
