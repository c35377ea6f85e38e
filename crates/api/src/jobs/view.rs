//! Stored jobs as clients see them.

use offpeak_domain::job;
use offpeak_domain::money::Pico;
use offpeak_store::job::Job;
use offpeak_wire as wire;
use std::time::Duration as StdDuration;
use time::{Duration, OffsetDateTime};

use crate::json::raw;

/// What Anthropic allows a message batch.
const TURNAROUND: Duration = Duration::DAY;

/// A job; `flush_after` is the longest from becoming ready to being sent, when
/// nothing holds it up.
pub(crate) fn job(job: Job, now: OffsetDateTime, flush_after: StdDuration) -> wire::Job {
    let created_at = job.id.minted_at();
    let open = job.end.is_none();
    // Once it was sent Anthropic's own limit stands; until then its flush is
    // still to come, however long it has waited.
    let latest_by = job
        .expires_at
        .or_else(|| open.then(|| (created_at + flush_after).max(now) + TURNAROUND));
    let (label, reason, stop_reason, ended_at, usage, cost, cost_sync) = match job.end {
        None => (None, None, None, None, None, None, None),
        Some(end) => (
            end.label.clone(),
            end.message.clone(),
            end.stop_reason.clone(),
            Some(end.ended_at),
            Some(usage(&end)),
            known(&end, end.cost),
            known(&end, end.cost_sync),
        ),
    };
    let (r#type, type_version) = job.job_type.unzip();
    wire::Job {
        id: job.id.to_string(),
        state: state(job.state),
        detail: job.detail.map(detail),
        r#type,
        type_version,
        group: job.group.map(|group| group.to_string()),
        user: job.user,
        model: job.model,
        lane: lane(job.lane),
        priority: match job.priority {
            ..0 => wire::Priority::Low,
            0 => wire::Priority::Normal,
            1.. => wire::Priority::High,
        },
        metadata: job.metadata.and_then(raw),
        created_at,
        latest_by,
        expected_by: None,
        attempt: job.attempt,
        batch: job.batch.map(|batch| batch.to_string()),
        label,
        reason,
        stop_reason,
        ended_at,
        usage,
        cost,
        cost_sync,
        replayed: false,
    }
}

/// The same as a tenant's user sees it: without what is the tenant's own.
pub(crate) fn for_guests(job: wire::Job) -> wire::Job {
    wire::Job {
        metadata: None,
        batch: None,
        usage: None,
        cost: None,
        cost_sync: None,
        ..job
    }
}

/// How it reaches Anthropic, as clients see it.
pub(crate) fn lane(lane: job::Lane) -> wire::Lane {
    match lane {
        job::Lane::Batch => wire::Lane::Batch,
        job::Lane::Direct => wire::Lane::Direct,
    }
}

/// An amount of an end, if its price is known.
pub(crate) fn known(end: &offpeak_store::job::End, amount: Pico) -> Option<String> {
    (!end.unpriced).then(|| amount.to_usd_string())
}

pub(crate) fn usage(end: &offpeak_store::job::End) -> wire::TokenUsage {
    wire::TokenUsage {
        input_tokens: end.input_tokens,
        output_tokens: end.output_tokens,
        cache_write_tokens: end.cache_write_tokens,
        cache_read_tokens: end.cache_read_tokens,
    }
}

pub(crate) fn state(state: job::State) -> wire::JobState {
    match state {
        job::State::Queued => wire::JobState::Queued,
        job::State::Submitted => wire::JobState::Submitted,
        job::State::Processing => wire::JobState::Processing,
        job::State::Completed => wire::JobState::Completed,
        job::State::Failed => wire::JobState::Failed,
        job::State::Canceled => wire::JobState::Canceled,
    }
}

fn detail(detail: job::Detail) -> wire::Detail {
    match detail {
        job::Detail::Waiting => wire::Detail::Waiting,
        job::Detail::Sending => wire::Detail::Sending,
        job::Detail::Confirming => wire::Detail::Confirming,
    }
}
