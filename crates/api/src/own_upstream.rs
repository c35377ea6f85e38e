//! A tenant's own Anthropic key as its upstream. It is checked by a worker, since no
//! handler calls Anthropic: what a handler does is to seal it.

use axum::routing::get;
use offpeak_domain::upstream_key::State as KeyState;
use offpeak_store::upstream_key::{self, Depends, Shown};
use offpeak_store::{TenantTx, overview};
use offpeak_wire::{
    JobsGo, OwnUpstream, UpstreamDepends, UpstreamKey, UpstreamKeyState, UpstreamPause,
};

use crate::State;
use crate::error::Result;
use crate::routes::Routes;

pub(crate) mod remove;
pub(crate) mod set;
pub(crate) mod show;

pub(crate) fn routes() -> Routes<State> {
    let own = get(show::handle).put(set::handle).delete(remove::handle);
    Routes::new().at("/upstream", own)
}

/// All of it, as it is in this transaction.
pub(crate) async fn view(state: &State, tx: &mut TenantTx) -> Result<OwnUpstream> {
    let keys = upstream_key::own(tx).await?;
    let depends = upstream_key::depends(tx).await?;
    let pause = overview::pause(tx).await?;
    Ok(OwnUpstream {
        available: state.vault.is_some(),
        jobs_go: jobs_go(&keys, depends),
        pause: pause.map(|pause| UpstreamPause {
            reason: pause.reason,
            until: pause.until,
        }),
        depends: shown(depends),
        keys: keys.into_iter().map(key).collect(),
    })
}

fn jobs_go(keys: &[Shown], depends: Depends) -> JobsGo {
    let has = |state| keys.iter().any(|key| key.state == state);
    if has(KeyState::Current) {
        JobsGo::Own
    } else if depends.was_own && !depends.falls_back {
        JobsGo::Nowhere
    } else {
        JobsGo::Shared
    }
}

fn shown(depends: Depends) -> UpstreamDepends {
    UpstreamDepends {
        open_batches: depends.open_batches,
        jobs_in_batches: depends.jobs_in_batches,
        waiting_jobs: depends.waiting_jobs,
        falls_back: depends.falls_back,
    }
}

fn key(key: Shown) -> UpstreamKey {
    UpstreamKey {
        version: key.version,
        state: match key.state {
            KeyState::Checking => UpstreamKeyState::Checking,
            KeyState::Current => UpstreamKeyState::Current,
            KeyState::Refused => UpstreamKeyState::Refused,
            KeyState::Replaced => UpstreamKeyState::Replaced,
            KeyState::Removed => UpstreamKeyState::Removed,
        },
        last_four: key.last_four,
        creates_per_minute: key.creates_per_minute,
        max_queued_items: key.max_queued_items,
        set_at: key.set_at,
        checked_at: key.checked_at,
        workspace: key.workspace,
        said: key.said,
        ended_at: key.ended_at,
    }
}
