//! What one tenant may take of the deployment, so that the others have theirs.

use std::time::Duration;

use crate::label::labels;
use crate::rate::Rate;
use crate::room::Queue;

labels! {
    /// One limit of a tenant.
    pub enum Limit as "limit", as_str {
        /// Requests a second, in the long run, of one API process.
        RequestsPerSecond = "requests_per_second",
        /// How many of them at once after a rest.
        RequestBurst = "request_burst",
        /// Jobs that are accepted a second, in the long run, by one API process.
        JobsPerSecond = "jobs_per_second",
        /// How many of them at once after a rest.
        JobBurst = "job_burst",
        /// API keys that are made or replaced a minute.
        KeysPerMinute = "keys_per_minute",
        /// Jobs that wait.
        QueuedJobs = "queued_jobs",
        /// Bytes of their params.
        QueuedBytes = "queued_bytes",
        /// Live connections that are open at once in one API process.
        LiveConnections = "live_connections",
    }
}

/// The largest value of a limit: what a row, and a number in a browser, can hold.
pub const MAX_VALUE: u64 = (1 << 53) - 1;

/// Every limit of a tenant; 0 = none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Limits {
    /// The value of one; 0 = none.
    pub fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// The same with another value of one.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// The same where a tenant has values of its own.
    #[must_use]
    pub fn with_all(self, own: &[(Limit, u64)]) -> Self {
        own.iter()
            .fold(self, |limits, (limit, value)| limits.with(*limit, *value))
    }

    /// How often it may ask.
    pub fn requests(&self) -> Rate {
        Rate::a_second(
            self.get(Limit::RequestsPerSecond),
            self.get(Limit::RequestBurst),
        )
    }

    /// How fast it may hand in jobs.
    pub fn jobs(&self) -> Rate {
        Rate::a_second(self.get(Limit::JobsPerSecond), self.get(Limit::JobBurst))
    }

    /// How often it may make a key.
    pub fn keys(&self) -> Rate {
        Rate::a_minute(self.get(Limit::KeysPerMinute))
    }

    /// What it may have waiting.
    pub fn queue(&self) -> Queue {
        Queue {
            max_jobs: self.get(Limit::QueuedJobs),
            max_bytes: self.get(Limit::QueuedBytes),
        }
    }
}

impl From<Queue> for Limits {
    fn from(queue: Queue) -> Self {
        Self::default()
            .with(Limit::QueuedJobs, queue.max_jobs)
            .with(Limit::QueuedBytes, queue.max_bytes)
    }
}

/// A tenant's own limits in words, for the audit log.
pub fn told(own: &[(Limit, u64)]) -> String {
    if own.is_empty() {
        return "as the deployment has them".to_owned();
    }
    let each: Vec<String> = own
        .iter()
        .map(|(limit, value)| format!("{limit} {value}"))
        .collect();
    each.join(", ")
}

/// Whole seconds after which to try again: at least one.
pub fn retry_after(wait: Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1_000)
        .max(1)
        .try_into()
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limit, Limits, retry_after};
    use crate::room::Queue;

    #[test]
    fn a_tenants_own_goes_before_the_deployments() {
        let standard = Limits::default()
            .with(Limit::RequestsPerSecond, 50)
            .with(Limit::RequestBurst, 100)
            .with(Limit::QueuedJobs, 7);
        let own = standard.with_all(&[(Limit::RequestsPerSecond, 5), (Limit::QueuedJobs, 0)]);
        let rate = own.requests();
        assert_eq!((rate.n, rate.burst), (5, 100));
        assert_eq!(own.queue(), Queue::default(), "0 takes a limit away");
        assert_eq!(standard.queue().max_jobs, 7);
        for (place, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, place);
        }
    }

    #[test]
    fn seconds_are_never_too_few() {
        for (wait, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (9_500, 10)] {
            assert_eq!(retry_after(Duration::from_millis(wait)), seconds);
        }
    }
}
