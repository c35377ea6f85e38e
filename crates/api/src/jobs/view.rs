//! Stored jobs as clients see them.

use offpeak_domain::money::Pico;
use offpeak_domain::{deliver, job, route};
use offpeak_store::group::OpenPart;
use offpeak_store::job::Job;
use offpeak_store::{TenantTx, position};
use offpeak_wire as wire;
use time::{Duration, OffsetDateTime};

use crate::error::Result;
use crate::groups::time_left;
use crate::json::raw;
use crate::outlook::Outlook;

/// What Anthropic allows a message batch.
const TURNAROUND: Duration = Duration::DAY;

/// A job, with what may be said of when its answer comes.
pub(crate) fn job(job: Job, now: OffsetDateTime, outlook: &Outlook) -> wire::Job {
    let created_at = job.id.minted_at();
    let open = job.end.is_none();
    // Once it was sent Anthropic's own limit stands; until then its flush is
    // still to come, however long it has waited.
    let flushed = (created_at + outlook.flush_after).max(now);
    let latest_by = match job.lane {
        job::Lane::Batch => job
            .expires_at
            .or_else(|| open.then_some(flushed + TURNAROUND)),
        job::Lane::Direct => None,
    };
    let fails = job
        .deadline
        .filter(|_| job.on_late == Some(job::OnLate::Fail));
    let latest_by = [latest_by, fails].into_iter().flatten().min();
    let expected_by = match (open, job.lane, job.batch_made) {
        (false, ..) => None,
        (true, job::Lane::Direct, _) => route::expected(now, created_at, outlook.direct(now)),
        (true, job::Lane::Batch, Some((made, items))) => {
            route::expected(now, made, outlook.batch(made, Some(items)))
        }
        (true, job::Lane::Batch, None) => route::expected(now, flushed, outlook.batch(now, None)),
    };
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
        source: job.source.map(|source| source.to_string()),
        r#type,
        type_version,
        group: job.group.map(|group| group.to_string()),
        user: job.user,
        model: job.model,
        lane: lane(job.lane),
        deliver_within: job.within.map(deliver::text),
        on_late: job.on_late.map(on_late),
        deadline: job.deadline,
        priority: match job.priority {
            ..0 => wire::Priority::Low,
            0 => wire::Priority::Normal,
            1.. => wire::Priority::High,
        },
        metadata: job.metadata.and_then(raw),
        created_at,
        latest_by,
        expected_by,
        ahead: None,
        left: None,
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

/// The same with what goes before it and what is left of its time.
pub(crate) async fn placed(tx: &mut TenantTx, found: Job, outlook: &Outlook) -> Result<wire::Job> {
    let now = tx.now();
    let position = if found.state == job::State::Queued && found.batch_made.is_none() {
        position::of(tx, found.id).await?
    } else {
        None
    };
    // Nothing was measured that would tell when the turn comes of one behind so many.
    let is_near = position.is_some_and(|position| {
        position.lane == job::Lane::Batch && !position.more && !position.paused
    });
    let part = match (found.lane, found.batch_made) {
        (job::Lane::Batch, Some((made, items))) => Some(OpenPart::Batch {
            items,
            created_at: Some(made),
        }),
        (job::Lane::Batch, None) if is_near => Some(OpenPart::Waiting),
        (job::Lane::Batch, None) | (job::Lane::Direct, _) => None,
    };
    let part = part.filter(|_| found.end.is_none());
    let with = position.map_or(0, |position| position.ahead + 1);
    Ok(wire::Job {
        ahead: position.map(|position| wire::Ahead {
            jobs: position.ahead,
            more: position.more,
        }),
        left: part.and_then(|part| time_left(&[part], with, now, outlook)),
        ..job(found, now, outlook)
    })
}

/// The same as a tenant's user sees it: without what is the tenant's own.
pub(crate) fn for_guests(job: wire::Job) -> wire::Job {
    wire::Job {
        metadata: None,
        batch: None,
        source: None,
        ahead: None,
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

pub(crate) fn on_late(policy: job::OnLate) -> wire::OnLate {
    match policy {
        job::OnLate::Wait => wire::OnLate::Wait,
        job::OnLate::Escalate => wire::OnLate::Escalate,
        job::OnLate::Fail => wire::OnLate::Fail,
    }
}

fn detail(detail: job::Detail) -> wire::Detail {
    match detail {
        job::Detail::Waiting => wire::Detail::Waiting,
        job::Detail::Sending => wire::Detail::Sending,
        job::Detail::Confirming => wire::Detail::Confirming,
        job::Detail::Sharing => wire::Detail::Sharing,
    }
}
