//! Log lines, to stderr.
//!
//! What they never hold, at any level: a prompt, a result, a key or a header. What
//! libraries say by `tracing` is shown, and a test looks into all of it
//! (`tests/it/canary.rs`); what they say by `log`, as rustls and tungstenite do, which
//! shows frames, is not heard, since nothing here listens to that.

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
