//! What one connection alone reads of the database, a piece at a time.
//!
//! It stands in line for as long as the connection is there, and no longer. Once it
//! has its turn it reads in a task of its own, which comes to its end: a call that is
//! dropped half-way costs the pool its connection to the database. So what nobody
//! waits for any more is as much as has a turn.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::event::UserKey;
use offpeak_store::stream::counts::{self, Counts};
use offpeak_store::{job, stream};
use offpeak_wire::live::Resync;

use super::hub::Shared;
use super::page::{Page, Read};
use super::tape::{Head, Tape};
use super::topics::Topics;
use super::turns::Turn;
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

/// Why nothing could be read.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// Something that is being read, or stands in line for it.
pub(super) struct Reading(Pin<Box<dyn Future<Output = Result<Done>> + Send>>);

impl Reading {
    fn of(reads: impl Future<Output = Result<Done>> + Send + 'static) -> Self {
        Self(Box::pin(reads))
    }
}

impl Future for Reading {
    type Output = Result<Done>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// Reads to the end, whoever still wants it, and gives the turn back then.
async fn whole(
    turn: Option<Turn>,
    reads: impl Future<Output = offpeak_store::Result<Done>> + Send + 'static,
) -> Result<Done> {
    let task = tokio::spawn(async move {
        let done = reads.await;
        drop(turn);
        done
    });
    Ok(task.await??)
}

/// Events after a cursor.
pub(super) fn older(shared: &Arc<Shared>, tape: &Arc<Tape>, cursor: LiveCursor) -> Reading {
    let (shared, tape) = (Arc::clone(shared), Arc::clone(tape));
    Reading::of(async move {
        let turn = shared.behind.next(&tape.behind).await;
        // Others wanted the same, and were before.
        if let Some(page) = tape.kept(&cursor) {
            return Ok(Done::Older(Older::Pages(vec![page])));
        }
        whole(turn, after(shared, tape, cursor)).await
    })
}

async fn after(
    shared: Arc<Shared>,
    tape: Arc<Tape>,
    cursor: LiveCursor,
) -> offpeak_store::Result<Done> {
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
    let pages = Page::cut(&cursor.epoch.into(), read, events);
    tape.keep(&pages);
    Ok(Done::Older(Older::Pages(pages)))
}

/// How jobs stand that a client watches, and may see.
pub(super) fn rows(
    shared: &Arc<Shared>,
    tape: &Arc<Tape>,
    topics: &Topics,
    ids: Vec<JobId>,
) -> Reading {
    let (shared, tape, topics) = (Arc::clone(shared), Arc::clone(tape), topics.clone());
    Reading::of(async move {
        let turn = shared.screens.next(&tape.screens).await;
        let reads = async move {
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
        };
        whole(turn, reads).await
    })
}

/// Sums of the tenant and of these groups.
pub(super) fn counts(shared: &Arc<Shared>, tape: &Arc<Tape>, groups: Box<[GroupId]>) -> Reading {
    let (shared, tape) = (Arc::clone(shared), Arc::clone(tape));
    Reading::of(async move {
        if let Some((seq, counts)) = tape.sums.known(&groups) {
            return Ok(Done::Counts(seq, counts));
        }
        let turn = shared.screens.next(&tape.screens).await;
        // Meanwhile somebody else may have read them.
        if let Some((seq, counts)) = tape.sums.known(&groups) {
            return Ok(Done::Counts(seq, counts));
        }
        let reads = async move {
            let at = Instant::now();
            let mut tx = shared.tenants.begin(tape.tenant()).await?;
            let seq = stream::head(&mut tx).await?.seq;
            let counts = Arc::new(counts::of(&mut tx, &groups).await?);
            tape.sums.keep(groups, at, seq, Arc::clone(&counts));
            Ok(Done::Counts(seq, counts))
        };
        whole(turn, reads).await
    })
}
