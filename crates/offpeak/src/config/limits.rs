//! `[limits]` and `[live]`: what one tenant, and one process, may take.

use offpeak_domain::limits::Limit;
use offpeak_domain::rate::Rate;
use serde::Deserialize;

use super::Config;

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
pub struct Limits {
    /// Requests of a tenant, a second; 0 = any, here and below.
    pub requests_per_second: u64,
    /// How many at once.
    pub request_burst: u64,
    /// Jobs that it hands in, a second.
    pub jobs_per_second: u64,
    /// How many at once.
    pub job_burst: u64,
    /// API keys that it makes, a minute.
    pub keys_per_minute: u64,
    /// Tries to sign in from one address, a minute.
    pub sign_ins_per_minute: u64,
    /// Jobs of a tenant that may wait; 0 = any.
    pub max_queued_jobs: u64,
    /// Bytes of them; 0 = any.
    pub max_queued_bytes: u64,
    /// Size of the database; 0 = any.
    pub max_database_bytes: u64,
    /// Free bytes of the disk; 0 = any.
    pub min_free_bytes: u64,
}

/// `[live]`
#[derive(Clone, Debug, Deserialize)]
pub struct Live {
    /// Connections of a process, at most.
    pub max_connections: usize,
    /// Of one tenant in it, at most.
    pub max_connections_per_tenant: u64,
    /// Of one API key.
    pub max_connections_per_key: usize,
    /// Of one session.
    pub max_connections_per_session: usize,
    /// By the tickets of one user, or by one ticket of a group.
    pub max_connections_per_ticket: usize,
}

impl Live {
    /// How live connections behave.
    pub fn options(&self) -> offpeak_api::LiveOptions {
        offpeak_api::LiveOptions {
            max_connections: self.max_connections,
            max_connections_per_key: self.max_connections_per_key,
            max_connections_per_session: self.max_connections_per_session,
            max_connections_per_ticket: self.max_connections_per_ticket,
            ..offpeak_api::LiveOptions::default()
        }
    }
}

impl Config {
    /// What each tenant may take that has no limits of its own.
    pub fn tenant_limits(&self) -> offpeak_domain::limits::Limits {
        let Limits {
            requests_per_second,
            request_burst,
            jobs_per_second,
            job_burst,
            keys_per_minute,
            max_queued_jobs,
            max_queued_bytes,
            ..
        } = self.limits;
        offpeak_domain::limits::Limits::default().with_all(&[
            (Limit::RequestsPerSecond, requests_per_second),
            (Limit::RequestBurst, request_burst),
            (Limit::JobsPerSecond, jobs_per_second),
            (Limit::JobBurst, job_burst),
            (Limit::KeysPerMinute, keys_per_minute),
            (Limit::QueuedJobs, max_queued_jobs),
            (Limit::QueuedBytes, max_queued_bytes),
            (Limit::LiveConnections, self.live.max_connections_per_tenant),
        ])
    }
}

impl Limits {
    /// How often one address may try to sign in.
    pub fn sign_ins(&self) -> Rate {
        Rate::a_minute(self.sign_ins_per_minute)
    }
}
