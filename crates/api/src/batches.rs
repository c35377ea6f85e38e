//! Batches: what goes to Anthropic together.

use axum::Router;
use axum::routing::get;
use offpeak_domain::batch;
use offpeak_wire::{Batch, BatchState, CloseReason, ItemCounts};

use crate::State;

pub(crate) mod get;
pub(crate) mod list;

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/batches", get(list::handle))
        .route("/batches/{id}", get(get::handle))
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

/// A stored batch as clients see it.
fn view(batch: offpeak_store::batches::Batch) -> Batch {
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
    }
}
