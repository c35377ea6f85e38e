//! What one connection alone reads of the database, a piece at a time.
//!
//! Each runs as a task of its own: a connection may be told something, or go
//! away, in the middle of it, and a call that is dropped half-way costs the pool
//! its connection to the database.

use std::sync::Arc;
use std::time::Instant;

use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::event::UserKey;
use offpeak_store::stream::counts::Counts;
use offpeak_store::{Result, job, stream};
use offpeak_wire::live::Resync;
use tokio::task::JoinHandle;

use super::hub::Shared;
use super::page::{Page, Read};
use super::tape::{Head, Tape};
use super::topics::Topics;
use super::view::Row;
use crate::live_cursor::LiveCursor;

/// Jobs of one reading: what a connection that catches up holds.
const JOBS: u32 = 500;

/// What was read.
#[derive(Debug)]
pub(super) enum Done {
    /// Events that are not on the tape.
    Older(Older),
    /// How watched jobs stand.
    Rows(Vec<(JobId, Row)>),
    /// Sums, as of this event.
    Counts(u64, Arc<Counts>),
}

/// Events that are not on the tape.
#[derive(Debug)]
pub(super) enum Older {
    /// They go on from the cursor; none when the tape is behind it.
    Pages(Vec<Arc<Page>>),
    /// They do not: it goes on from here.
    Lost(Head, Resync),
}

/// Events after a cursor.
pub(super) fn older(
    shared: &Arc<Shared>,
    tape: &Arc<Tape>,
    cursor: LiveCursor,
) -> JoinHandle<Result<Done>> {
    let (shared, tape) = (Arc::clone(shared), Arc::clone(tape));
    tokio::spawn(async move {
        let _turn = shared.other_turns.acquire().await;
        let mut tx = shared.tenants.begin(tape.tenant()).await?;
        let read = Read {
            at: tx.now(),
            here: Instant::now(),
        };
        let head = stream::head(&mut tx).await?;
        let lost = if cursor.epoch != head.epoch || cursor.seq > head.seq {
            Some(Resync::Epoch)
        } else if cursor.seq < head.seq && cursor.seq + 1 < head.oldest {
            Some(Resync::TooOld)
        } else {
            None
        };
        if let Some(why) = lost {
            let head = Head {
                epoch: head.epoch.into(),
                seq: head.seq,
                oldest: head.oldest,
            };
            return Ok(Done::Older(Older::Lost(head, why)));
        }
        let events = if cursor.seq < head.seq {
            stream::after(&mut tx, cursor.seq, JOBS).await?
        } else {
            Vec::new()
        };
        Ok(Done::Older(Older::Pages(Page::cut(
            &cursor.epoch.into(),
            read,
            events,
        ))))
    })
}

/// How jobs stand that a client watches, and may see.
pub(super) fn rows(
    shared: &Arc<Shared>,
    tape: &Arc<Tape>,
    topics: &Topics,
    ids: Vec<JobId>,
) -> JoinHandle<Result<Done>> {
    let (shared, tape, topics) = (Arc::clone(shared), Arc::clone(tape), topics.clone());
    tokio::spawn(async move {
        let _turn = shared.other_turns.acquire().await;
        let mut tx = shared.tenants.begin(tape.tenant()).await?;
        // The number first: what is read is at least as new.
        let rev = stream::head(&mut tx).await?.seq;
        let rows = job::by_ids(&mut tx, &ids)
            .await?
            .into_iter()
            .filter(|job| topics.opens(job.group, job.user.as_deref().map(UserKey::of)))
            .map(|job| {
                let end = job.end.as_ref();
                let row = Row {
                    rev,
                    state: job.state,
                    // Of one that has not ended, no row says since when.
                    at: end.map_or(job.id.minted_at(), |end| end.ended_at),
                    label: end.and_then(|end| end.label.as_deref().map(Box::from)),
                    cost: end.map(|end| end.cost).filter(|_| topics.shows_costs()),
                };
                (job.id, row)
            })
            .collect();
        Ok(Done::Rows(rows))
    })
}

/// Sums of the tenant and of these groups.
pub(super) fn counts(
    shared: &Arc<Shared>,
    tape: &Arc<Tape>,
    groups: Box<[GroupId]>,
) -> JoinHandle<Result<Done>> {
    let (shared, tape) = (Arc::clone(shared), Arc::clone(tape));
    tokio::spawn(async move {
        let (seq, counts) = tape.counts(&shared, &groups).await?;
        Ok(Done::Counts(seq, counts))
    })
}
