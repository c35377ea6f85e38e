//! `offpeak tenant erase`.

use offpeak_domain::audit::Action;
use offpeak_domain::id::TenantId;
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::erasure::leave::{self, Asked};
use offpeak_store::person::OPERATORS;
use offpeak_store::{System, SystemTx, erasure};
use serde_json::json;

use super::database;
use crate::exit::Failure;
use crate::output::Output;

/// Begins the erasure of a tenant, or says of one that was begun that it leaves what the
/// tenant's own upstream holds.
pub(super) async fn run(
    system: &System,
    tenant: TenantId,
    name: &str,
    leave_upstream: bool,
    output: Output,
) -> Result<(), Failure> {
    let mut tx = system.begin().await.map_err(database)?;
    let (begun, left) = if leave_upstream {
        let (begun, batches) = leave(&mut tx, tenant, name).await?;
        (begun, Some(batches))
    } else {
        let begun = erasure::begin_here(&mut tx, tenant).await;
        (begun.map_err(database)?, None)
    };
    if begun {
        note(&mut tx, Action::TenantErase, tenant, "").await?;
    }
    if let Some(batches) = left {
        let detail = format!("{batches} open batches");
        note(&mut tx, Action::TenantLeave, tenant, &detail).await?;
    }
    tx.commit().await.map_err(database)?;
    if output.json {
        output.value(&json!({ "id": tenant, "begun": begun, "open_batches_left": left }))?;
        return Ok(());
    }
    output.line(&tenant.to_string())?;
    if let Some(batches) = left {
        output.talk(&format!(
            "{batches} open batches are left at Anthropic, and what it keeps of others: \
             `left_batch` will name them"
        ));
    }
    output.talk(if begun {
        "nothing of it is opened or taken from now on; the workers erase it, and \
         `offpeak tenant list` shows it without its name when that is done"
    } else {
        "its erasure was begun before"
    });
    Ok(())
}

/// Notes that what the tenant's own upstream holds is left there.
async fn leave(tx: &mut SystemTx, tenant: TenantId, name: &str) -> Result<(bool, u64), Failure> {
    match leave::ask(tx, tenant).await.map_err(database)? {
        Asked::Noted { begun, batches } => Ok((begun, batches)),
        Asked::HasKey => Err(Failure::usage(anyhow::anyhow!(
            "{name} has a key of its own, by which its batches can be ended and deleted: erase \
             it without --leave-upstream, or, if Anthropic no longer takes the key, first \
             `offpeak upstream remove {name} --yes`"
        ))),
        Asked::NoOwn => Err(Failure::usage(anyhow::anyhow!(
            "{name} never had an upstream of its own: its batches are at the deployment's, \
             where they are ended and deleted; erase it without --leave-upstream"
        ))),
    }
}

/// In the deployment's log, as when an operator does it: the tenant's own goes with it.
async fn note(
    tx: &mut SystemTx,
    action: Action,
    tenant: TenantId,
    detail: &str,
) -> Result<(), Failure> {
    let act = Act {
        action,
        target: &tenant.to_string(),
        detail,
    };
    audit::note_of(tx, OPERATORS, &Actor::command(), &act)
        .await
        .map_err(database)
}
