//! Erasure of all that a tenant has.

use offpeak_store::erasure::Erasure;
use offpeak_wire::TenantErasure;

pub(crate) mod begin;
pub(crate) mod get;

fn view(erasure: Erasure) -> TenantErasure {
    TenantErasure {
        state: erasure.state,
        asked_at: erasure.asked_at,
        done_at: erasure.done_at,
        jobs: erasure.jobs,
        message_batches: erasure.batches,
        message_batches_left: erasure.batches_left,
        rows: erasure.rows,
    }
}
