//! The audit log, as its tenant reads it.

use axum::routing::get;
use offpeak_domain::audit::{ActorKind, hex};
use offpeak_store::TenantTx;
use offpeak_store::audit::{self, Noted};
use offpeak_wire::{self as wire, AuditEntry, Page};
use uuid::Uuid;

use crate::error::Result;
use crate::query::Query;
use crate::routes::Routes;
use crate::{State, cursor};

pub(crate) mod list;
pub(crate) mod operators;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/audit", get(list::handle))
        .at("/operator/audit", get(operators::handle))
}

/// Of which list a cursor is.
const LIST: [&str; 1] = ["audit"];

/// Which part of a log is asked for.
struct Ask {
    limit: usize,
    before: Option<i64>,
}

impl Ask {
    fn read(mut query: Query) -> Result<Self> {
        let limit = query.limit();
        let given = query.text("cursor");
        query.end()?;
        let before = given
            .map(|given| cursor::read(&LIST, &given))
            .transpose()?
            .map(|last| i64::try_from(last.as_u128()).unwrap_or(0));
        Ok(Self { limit, before })
    }

    /// That part of the log of the transaction's tenant.
    async fn page(&self, tx: &mut TenantTx) -> Result<Page<AuditEntry>> {
        let mut noted = audit::page(tx, self.before, cursor::fetch(self.limit)).await?;
        // Numbers begin with 1.
        let next_cursor = cursor::cut(&LIST, &mut noted, self.limit, |last| {
            Uuid::from_u128(last.entry.seq.unsigned_abs().into())
        });
        Ok(Page {
            data: noted.into_iter().map(view).collect(),
            next_cursor,
        })
    }
}

pub(crate) fn view(Noted { entry, hash }: Noted) -> AuditEntry {
    AuditEntry {
        seq: entry.seq,
        at: entry.at,
        actor: match entry.actor {
            ActorKind::Key => wire::ActorKind::Key,
            ActorKind::Person => wire::ActorKind::Person,
            ActorKind::Operator => wire::ActorKind::Operator,
            ActorKind::Command => wire::ActorKind::Command,
        },
        actor_id: entry.actor_id,
        actor_name: entry.actor_name,
        action: entry.action,
        target: entry.target,
        detail: entry.detail,
        address: entry.address,
        request_id: entry.request,
        hash: hex(&hash),
    }
}
