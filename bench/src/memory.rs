//! What a process holds in memory, as the kernel counts it.

use anyhow::{Context as _, Result};

/// Resident megabytes of a process now.
pub fn resident_mb(pid: u32) -> Result<f64> {
    status(pid, "VmRSS:")
}

/// The most megabytes that it ever held, or since [`forget_peak`].
pub fn peak_mb(pid: u32) -> Result<f64> {
    status(pid, "VmHWM:")
}

/// Begins a new peak at what it holds now.
pub fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")
        .context("the kernel does not let the peak be reset")
}

fn status(pid: u32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .context("the kernel does not say what the process holds")?
        .trim()
        .parse()?;
    Ok(kilobytes / 1024.0)
}
