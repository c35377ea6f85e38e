//! Waiting for a condition, never for a time alone.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

/// Between two looks at something that rings no bell.
const LOOK: Duration = Duration::from_millis(25);

/// It has not become so in time.
#[derive(Debug)]
pub struct InVain {
    what: String,
    longest: Duration,
}

impl fmt::Display for InVain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, longest } = self;
        write!(f, "waited {} s in vain: {what}", longest.as_secs())
    }
}

impl std::error::Error for InVain {}

/// So many looks' time.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness stands outside: it can only look again"
)]
pub async fn moments(count: u32) {
    tokio::time::sleep(LOOK * count).await;
}

/// Looks until it is so, or fails by [`InVain`].
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
            let what = what.to_owned();
            return Err(InVain { what, longest }.into());
        }
        moments(1).await;
    }
}
