//! Waiting for a condition, never for a time alone.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Between two looks at something that rings no bell.
const LOOK: Duration = Duration::from_millis(25);

/// So many looks' time.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness stands outside: it can only look again"
)]
pub async fn moments(count: u32) {
    tokio::time::sleep(LOOK * count).await;
}

/// Looks until it is so, or fails with what was waited for.
pub async fn until<F, W>(what: &str, longest: Duration, mut is_so: F) -> Result<()>
where
    F: FnMut() -> W,
    W: Future<Output = Result<bool>>,
{
    let begun = Instant::now();
    loop {
        if is_so().await? {
            return Ok(());
        }
        if begun.elapsed() > longest {
            bail!("waited {} s in vain: {what}", longest.as_secs());
        }
        moments(1).await;
    }
}
