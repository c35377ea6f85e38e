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

use crate::caller::Caller;
use crate::dice;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::spool::{self, Spooled};
use crate::wire::Cord;
use crate::world::World;

use super::{blocking, origin};

/// Chunks between the network and the disk.
const AHEAD: usize = 8;

pub(super) async fn create(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let spooled = receive(&world, body).await?;
    if let Some(refusal) = world.faults().create_error(false) {
        return Err(refusal);
    }
    let record = {
        let world = Arc::clone(&world);
        blocking(move || store(&world, caller, spooled)).await?
    };
    if let Some(refusal) = world.faults().create_error(true) {
        return Err(refusal);
    }
    let drops = world.faults().drops_answer();
    if drops {
        return match parts.extensions.get::<ConnectInfo<Cord>>() {
            Some(ConnectInfo(cord)) => match cord.cut().await {},
            // Called without a network: the nearest thing is a gateway's page.
            None => Err(Refusal {
                html: true,
                ..Refusal::new(502, offpeak_anthropic::shape::ErrorKind::Api, "")
            }),
        };
    }
    let shown = record.show(world.now(), &origin(&world, &parts.headers));
    Ok(Json(shown).into_response())
}

/// Reads the body to its end, even where it is known to be refused: a client that
/// is still sending would not see the answer.
async fn receive(world: &World, body: Body) -> Result<Spooled, Refusal> {
    let (chunks, inbox) = mpsc::channel(AHEAD);
    let folder = world.shelf.incoming();
    let max_items = world.limits.max_items;
    let spooling = blocking(move || spool::receive(folder, max_items, inbox));
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

fn store(world: &World, caller: Caller, spooled: Spooled) -> Result<Record, Refusal> {
    let created_at = world.now();
    let held = world.faults().holds();
    let items = spooled.items;
    world.shelf.add(spooled, world.limits.max_queued, |seq| {
        let number = seq.to_string();
        let instant = created_at.unix_timestamp_nanos().to_string();
        Record {
            seq,
            id: dice::id("msgbatch_", world.seed, &[&number, &instant]),
            workspace: caller.workspace,
            version: caller.version,
            betas: caller.betas,
            items,
            created_at,
            turnaround_ms: world.draw_turnaround(&["turnaround", &number]),
            held,
            cancel_at: None,
            settled: None,
            deleted: false,
        }
    })
}
