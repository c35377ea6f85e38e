//! Which connections are too old: all that were made before the database
//! changed behind them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Until when connections were made that are not to be used again.
#[derive(Debug)]
pub(super) struct Retired {
    start: Instant,
    /// In microseconds from the start; zero is never.
    until: AtomicU64,
}

impl Default for Retired {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            until: AtomicU64::new(0),
        }
    }
}

impl Retired {
    /// Retires every connection that there is now.
    pub(super) fn all(&self) {
        let now = self.micros(Instant::now()).max(1);
        self.until.fetch_max(now, Ordering::Relaxed);
    }

    /// Whether a connection that was good at that time is not to be used again.
    pub(super) fn has(&self, at: Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && self.micros(at) <= until
    }

    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_made_later_is_good() {
        let retired = Retired::default();
        let before = Instant::now();
        assert!(!retired.has(before));
        retired.all();
        assert!(retired.has(before));
        assert!(!retired.has(Instant::now() + Duration::from_secs(1)));
    }
}
