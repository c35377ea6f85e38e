//! Takes over a message batch of ours whose row was lost with the database that
//! had it: its lines name the jobs that still wait here, as if they had never
//! been sent. The ordinary ingest then takes their results.

use std::collections::HashSet;

use offpeak_anthropic::Line;
use offpeak_anthropic::shape::MessageBatch;
use offpeak_domain::id::{BatchId, JobId};
use offpeak_domain::plan;
use offpeak_store::incident::{self, Note};
use offpeak_store::recover::{self, Lost};
use time::OffsetDateTime;

use crate::chunk::{Whose, whose};
use crate::upstream::Upstream;
use crate::worker::Setting;
use crate::{Result, absorb};

/// What became of a batch that no row knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recovered {
    /// It has its row again.
    Again,
    /// None of its jobs waits: nothing can be sent twice.
    Nothing,
    /// It cannot be read to its end just now.
    Unclear,
}

/// Reads which jobs an ended message batch holds, and takes over those that wait.
/// What the others billed is absorbed, since this database does not know them or
/// has their results from elsewhere.
pub(crate) async fn recover(
    setting: &Setting,
    upstream: &Upstream,
    seen: &MessageBatch,
    batch: BatchId,
    note: &Note<'_>,
    now: OffsetDateTime,
) -> Result<Recovered> {
    let (lines, jobs) = named(upstream, seen, batch).await?;
    let system = &setting.system;
    let Some(waiting) = recover::waiting(system, upstream.id, &jobs).await? else {
        return Ok(Recovered::Nothing);
    };
    // A job whose line is missing would be sent again.
    if lines < seen.request_counts.total() {
        return Ok(Recovered::Unclear);
    }
    if waiting.jobs.len() < jobs.len() {
        // Before the row is there: dying in between, it is read again.
        let others = jobs.len() - waiting.jobs.len();
        let detail = format!(
            "{others} of its {} jobs are not waiting in this database: what they billed is absorbed",
            jobs.len()
        );
        let note = Note {
            tenant: Some(waiting.tenant),
            detail: &detail,
            ..*note
        };
        incident::note(system, &note).await?;
        let but: HashSet<JobId> = waiting.jobs.iter().copied().collect();
        absorb::read(setting, upstream, seen, None, &but, &note).await?;
    }
    let lost = Lost {
        batch,
        upstream: upstream.id,
        upstream_batch_id: &seen.id,
        items: seen.request_counts.total(),
        created_at: seen.created_at,
        expires_at: seen.expires_at,
        item_overhead: plan::ITEM_OVERHEAD,
    };
    let Some(key) = recover::adopt(system, &lost, &waiting, now).await? else {
        return Ok(Recovered::Unclear);
    };
    tracing::warn!(
        batch = %key.batch, tenant = %key.tenant, upstream_batch = seen.id,
        jobs = waiting.jobs.len(), of = jobs.len(),
        "a batch whose row was lost is taken over from Anthropic"
    );
    Ok(Recovered::Again)
}

/// How many lines there are, and the jobs that they name.
async fn named(
    upstream: &Upstream,
    seen: &MessageBatch,
    batch: BatchId,
) -> Result<(u64, Vec<JobId>)> {
    let mut results = upstream.results(seen).await?;
    let (mut lines, mut jobs) = (0, Vec::new());
    while let Some(line) = results.next_line().await? {
        lines += 1;
        let (Line::Whole { bytes, .. } | Line::Oversized { head: bytes, .. }) = line;
        if let Whose::Ours(id) = whose(&bytes)
            && id.batch == batch
        {
            jobs.push(id.job);
        }
    }
    jobs.sort_unstable();
    jobs.dedup();
    Ok((lines, jobs))
}
