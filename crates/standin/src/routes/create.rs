//! `POST /v1/messages/batches`: the body goes to disk as it comes in.
//!
//! If the process dies here, the batch is stored as a whole or not at all. A
//! client that goes away before its body ended has created nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::behavior::Behavior;
use crate::caller::Caller;
use crate::dice;
use crate::edge::{self, Drawn};
use crate::fault::plan::Plan;
use crate::fault::rule::Fault;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::spool::{self, Spooled};
use crate::wire::Cord;
use crate::world::World;

use super::blocking;

/// Chunks between the network and the disk.
const AHEAD: usize = 8;

pub(super) async fn create(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let drawn = parts.extensions.get::<Drawn>().cloned().unwrap_or_default();
    let spooled = receive(&world, body).await?;
    if let Some(refusal) = world.faults().create_error(false) {
        return Err(refusal);
    }
    let idempotency_key = parts.headers.get("idempotency-key").and_then(|key| {
        let key = key.to_str().ok()?;
        world.behavior().idempotency_key.then(|| key.to_owned())
    });
    let repeated = idempotency_key
        .as_deref()
        .and_then(|key| world.shelf.repeated(&caller.workspace, key));
    let record = if let Some(record) = repeated {
        record
    } else {
        let (world, faults) = (Arc::clone(&world), Arc::clone(&drawn.faults));
        blocking(move || {
            let items = spooled.items;
            let record = store(
                &world,
                &caller,
                spooled,
                &faults,
                idempotency_key,
                world.limits.max_queued,
            )?;
            intrude(&world, &caller, items, &faults)?;
            Ok(record)
        })
        .await?
    };
    if let Some(refusal) = world.faults().create_error(true) {
        return Err(refusal);
    }
    let drops = world.faults().drops_answer();
    if drops {
        let cord = parts.extensions.get::<ConnectInfo<Cord>>();
        return Ok(edge::cut(cord.map(|ConnectInfo(cord)| cord)));
    }
    Ok(Json(world.show(&record, &parts.headers, &drawn)).into_response())
}

/// Reads the body to its end, even where it is known to be refused: a client that
/// is still sending would not see the answer.
async fn receive(world: &World, body: Body) -> Result<Spooled, Refusal> {
    let (chunks, inbox) = mpsc::channel(AHEAD);
    let folder = world.shelf.incoming();
    let max_items = world.limits.max_items;
    let behavior = world.behavior();
    let spooling = blocking(move || spool::receive(folder, max_items, &behavior, inbox));
    let pumping = async {
        let mut chunks = Some(chunks);
        let mut total = 0;
        let mut frames = body.into_data_stream();
        while let Some(frame) = frames.next().await {
            let frame =
                frame.map_err(|_| Refusal::invalid("The request body could not be read"))?;
            total += frame.len() as u64;
            if total > world.limits.max_bytes {
                chunks = None;
            } else if let Some(open) = &chunks
                && open.send(frame).await.is_err()
            {
                chunks = None;
            }
        }
        if total > world.limits.max_bytes {
            Err(Refusal::too_large())
        } else {
            Ok(())
        }
    };
    let (spooled, pumped) = futures_util::future::join(spooling, pumping).await;
    pumped?;
    spooled
}

fn store(
    world: &World,
    caller: &Caller,
    mut spooled: Spooled,
    faults: &[Fault],
    idempotency_key: Option<String>,
    max_queued: u64,
) -> Result<Record, Refusal> {
    let created_at = world.now();
    let held = world.faults().holds();
    let behavior = world.behavior();
    let items = spooled.items;
    let duplicates = std::mem::take(&mut spooled.duplicates);
    let mut plans = faults.iter().filter_map(|fault| match fault {
        Fault::Batch(plan) => Some(plan.clone()),
        _ => None,
    });
    let mut plan = plans.next_back().unwrap_or_default();
    plan.cache_hit_rate.get_or_insert(behavior.cache_hit_rate);
    let wait = behavior.queue_retry_after;
    world.shelf.add(spooled, max_queued, wait, |seq| {
        let number = seq.to_string();
        let instant = created_at.unix_timestamp_nanos().to_string();
        Record {
            seq,
            id: dice::id("msgbatch_", world.seed, &[&number, &instant]),
            workspace: caller.workspace.clone(),
            version: caller.version.clone(),
            betas: caller.betas.clone(),
            items,
            created_at,
            turnaround_ms: plan
                .turnaround_ms
                .unwrap_or_else(|| world.draw_turnaround(&["turnaround", &number])),
            held,
            plan,
            foreign: false,
            api_key: caller.api_key.clone(),
            user_profile: caller.user_profile.clone(),
            idempotency_key,
            duplicates,
            cancel_at: None,
            settled: None,
            deleted: false,
        }
    })
}

/// Makes the batches of somebody else that faults ask for.
fn intrude(world: &World, caller: &Caller, items: u32, faults: &[Fault]) -> Result<(), Refusal> {
    let stranger = Caller {
        api_key: dice::id("apikey_", 0, &["somebody else"]),
        user_profile: None,
        ..caller.clone()
    };
    for fault in faults {
        let Fault::Foreign {
            batches,
            items: fixed,
        } = fault
        else {
            continue;
        };
        for _ in 0..*batches {
            let folder = world.shelf.incoming();
            let behavior = Behavior::default();
            let spooled = spool::foreign(folder, fixed.unwrap_or(items), &behavior)?;
            let record = store(
                world,
                &stranger,
                spooled,
                &[Fault::Batch(Plan::default())],
                None,
                u64::MAX,
            )?;
            world
                .shelf
                .change(record.seq, |record| record.foreign = true)?;
        }
    }
    Ok(())
}
