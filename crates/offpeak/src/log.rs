//! Log lines, to stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Begins to log. `quieter` keeps a terminal with a progress bar readable.
pub fn begin(log: &Log, quieter: bool) -> anyhow::Result<()> {
    let level = if quieter && log.level.starts_with("info") {
        "warn"
    } else {
        &log.level
    };
    let filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("configuration: log.level: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Called once by a process; a second call in tests changes nothing.
    let _ = match log.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    Ok(())
}
