//! Batches: what goes to Anthropic together.

use std::time::Duration;

use axum::routing::get;
use offpeak_domain::money::Pico;
use offpeak_domain::{batch, cache};
use offpeak_wire::{
    Batch, BatchCache, BatchState, CacheMark, CacheReason, CloseReason, ItemCounts, PrimeOutcome,
    UsualTime,
};

use crate::State;
use crate::outlook::Outlook;
use crate::routes::Routes;

pub(crate) mod get;
pub(crate) mod list;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/batches", get(list::handle))
        .at("/batches/{id}", get(get::handle))
}

pub(crate) fn state(state: batch::State) -> BatchState {
    match state {
        batch::State::Planned => BatchState::Planned,
        batch::State::Sending => BatchState::Sending,
        batch::State::Uncertain => BatchState::Uncertain,
        batch::State::InProgress => BatchState::InProgress,
        batch::State::Canceling => BatchState::Canceling,
        batch::State::Ended => BatchState::Ended,
        batch::State::Ingested => BatchState::Ingested,
        batch::State::Refuted => BatchState::Refuted,
        batch::State::Rejected => BatchState::Rejected,
    }
}

/// Whole seconds, rounded up: what took no longer than so long.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A stored batch as clients see it.
pub(crate) fn view(batch: offpeak_store::batches::Batch, outlook: &Outlook) -> Batch {
    Batch {
        id: batch.id.to_string(),
        state: state(batch.state),
        upstream_batch: batch.upstream_batch,
        model: batch.model,
        items: batch.items,
        bytes: batch.bytes,
        close_reason: match batch.close_reason {
            batch::CloseReason::ItemLimit => CloseReason::ItemLimit,
            batch::CloseReason::ByteLimit => CloseReason::ByteLimit,
            batch::CloseReason::Age => CloseReason::Age,
            batch::CloseReason::Idle => CloseReason::Idle,
            batch::CloseReason::Urgency => CloseReason::Urgency,
            batch::CloseReason::CreateRate => CloseReason::CreateRate,
            batch::CloseReason::QueueFull => CloseReason::QueueFull,
            batch::CloseReason::Turnaround => CloseReason::Turnaround,
        },
        planned_at: batch.planned_at,
        sent_at: batch.sent_at,
        created_at: batch.created_at,
        expires_at: batch.expires_at,
        ended_at: batch.ended_at,
        ingested_at: batch.ingested_at,
        counts: batch
            .counts
            .map(|[succeeded, errored, canceled, expired]| ItemCounts {
                succeeded,
                errored,
                canceled,
                expired,
            }),
        cache: batch.cache.as_ref().and_then(view_cache),
        usual: outlook.usual(batch.items).map(|measured| UsualTime {
            p50_seconds: seconds(measured.half),
            p90_seconds: seconds(measured.nine_tenths),
            batches: measured.n,
        }),
    }
}

/// Nothing, if a newer version decided what this one has no word for.
fn view_cache(decided: &offpeak_store::batches::Cache) -> Option<BatchCache> {
    let marked = decided.real.map(|(read, written)| (read, read + written));
    Some(BatchCache {
        mark: match decided.mark.parse().ok()? {
            cache::Mark::None => CacheMark::None,
            cache::Mark::FiveMinutes => CacheMark::FiveMinutes,
            cache::Mark::OneHour => CacheMark::OneHour,
        },
        reason: match decided.reason.parse().ok()? {
            cache::Reason::TooShort => CacheReason::TooShort,
            cache::Reason::TooFew => CacheReason::TooFew,
            cache::Reason::WouldNotPay => CacheReason::WouldNotPay,
            cache::Reason::PaysFiveMinutes => CacheReason::PaysFiveMinutes,
            cache::Reason::PaysOneHour => CacheReason::PaysOneHour,
            cache::Reason::Primed => CacheReason::Primed,
            cache::Reason::Trial => CacheReason::Trial,
        },
        prefix_tokens: decided.tokens,
        predicted_hit_rate: rate(decided.predicted.into(), 1_000),
        predicted_cost: decided.with.to_usd_string(),
        predicted_cost_without: decided.without.to_usd_string(),
        real_hit_rate: marked.map(|(read, all)| rate(read, all)),
        prime_outcome: match decided.prime_outcome.as_deref() {
            Some("primed") => Some(PrimeOutcome::Primed),
            Some("refused") => Some(PrimeOutcome::Refused),
            Some("unknown") => Some(PrimeOutcome::Unknown),
            _ => None,
        },
        prime_cost: decided.prime_cost.map(Pico::to_usd_string),
    })
}

/// A part of a whole with three digits after the point; nothing of nothing is none.
fn rate(part: u64, whole: u64) -> String {
    let mille = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{:03}", mille / 1_000, mille % 1_000)
}
