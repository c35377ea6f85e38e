//! Jobs: written once in chunks, read through the view `job_state`.

pub mod one;

use std::collections::HashMap;
use std::time::Duration;

use offpeak_domain::budget::Expected;
use offpeak_domain::cache::Prefix;
use offpeak_domain::deliver::Terms;
use offpeak_domain::id::{BatchId, BucketId, GroupId, JobId, UpstreamId};
use offpeak_domain::job::{Detail, Lane, OnLate, OnUnknown, State};
use offpeak_domain::money::Pico;
use time::OffsetDateTime;

use crate::delta::{self, Change, Of};
use crate::event::{self, Told};
use crate::sealed::Piece;
use crate::share::{self, New, Sharing};
use crate::{Error, Result, TenantTx, bucket};

/// Bytes of params in one statement, at most, unless one job alone has more.
/// PostgreSQL copies an array three times before the first row is written; when
/// it is small, that happens in memory that is warm.
const PIECE_BYTES: usize = 800_000;

/// A job to be stored.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Minted from the transaction's time.
    pub id: JobId,
    /// Group that it belongs to.
    pub group: Option<GroupId>,
    /// Job type with its version.
    pub job_type: Option<(String, u32)>,
    /// The app's label.
    pub user: Option<String>,
    /// The model asked for.
    pub model: String,
    /// Where it goes.
    pub upstream: UpstreamId,
    /// How it is to reach Anthropic.
    pub lane: Lane,
    /// What it asks for beside its answer. Its deadline counts from its id's time.
    pub terms: Terms,
    /// −1, 0 or 1.
    pub priority: i16,
    /// JSON of the app's own.
    pub metadata: Option<String>,
    /// The Messages params, sent upstream byte for byte; at least one byte.
    pub params: Vec<u8>,
    /// The params hold a schema (`output_config.format`) that the answer has to fit.
    pub structured: bool,
    /// What the params begin with and share with others, if the model caches it.
    pub prefix: Option<Prefix>,
    /// With whom it may share its attempt; none for an answer of its own.
    pub sharing: Option<Sharing>,
    /// What it is expected to cost, where that was worked out: where its tenant has
    /// budgets.
    pub expected: Option<Expected>,
}

/// Where a stored job begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Invisible in a group that is not open yet.
    Staged,
    /// In the queue.
    Ready,
}

/// Stores up to about a thousand jobs as a set. The cost of a call is a
/// handful of statements, however many jobs it has.
pub async fn insert_chunk(tx: &mut TenantTx, jobs: &[NewJob], entry: Entry) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant();
    // A chunk has few buckets: each is worked out, and written, once.
    let mut ids_of = HashMap::new();
    let buckets: Vec<BucketId> = jobs
        .iter()
        .map(|job| {
            *ids_of
                .entry((job.upstream, job.model.as_str(), job.prefix))
                .or_insert_with(|| bucket::id(job.upstream, &job.model, "", job.prefix.as_ref()))
        })
        .collect();
    bucket::ensure(tx, ids_of).await?;
    let ids: Vec<_> = jobs.iter().map(|job| job.id.as_uuid()).collect();
    let bytes: Vec<i32> = jobs
        .iter()
        .map(|job| i32::try_from(job.params.len()).unwrap_or(i32::MAX))
        .collect();
    let bucket_ids: Vec<_> = buckets.iter().map(|bucket| bucket.as_uuid()).collect();
    let upstreams: Vec<_> = jobs.iter().map(|job| job.upstream.as_uuid()).collect();
    let models: Vec<&str> = jobs.iter().map(|job| job.model.as_str()).collect();
    let groups: Vec<_> = jobs
        .iter()
        .map(|job| job.group.map(GroupId::as_uuid))
        .collect();
    let priorities: Vec<i16> = jobs.iter().map(|job| job.priority).collect();

    let types: Vec<Option<&str>> = jobs
        .iter()
        .map(|job| job.job_type.as_ref().map(|(name, _)| name.as_str()))
        .collect();
    let versions: Vec<Option<i32>> = jobs
        .iter()
        .map(|job| {
            job.job_type
                .as_ref()
                .and_then(|(_, version)| i32::try_from(*version).ok())
        })
        .collect();
    let users: Vec<Option<&str>> = jobs.iter().map(|job| job.user.as_deref()).collect();
    let metadata: Vec<Option<&str>> = jobs.iter().map(|job| job.metadata.as_deref()).collect();
    let lanes: Vec<&str> = jobs.iter().map(|job| job.lane.as_str()).collect();
    let late: Vec<Option<&str>> = jobs
        .iter()
        .map(|job| job.terms.on_late.map(OnLate::as_str))
        .collect();
    sqlx::query!(
        "INSERT INTO job (tenant_id, id, group_id, type, type_version, user_label, model,
                          upstream_id, bucket_id, lane, priority, bytes, metadata, structured,
                          deliver_within, on_late, on_unknown, hash, reuse_for)
         SELECT $1, id, group_id, type, type_version, user_label, model,
                upstream_id, bucket_id, lane, priority, bytes, metadata, structured,
                deliver_within, on_late, on_unknown, hash, reuse_for
           FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::text[], $7::text[],
                       $8::uuid[], $9::uuid[], $10::smallint[], $11::int[], $12::text[],
                       $13::boolean[], $14::text[], $15::int[], $16::text[], $17::text[],
                       $18::bytea[], $19::int[])
                AS new (id, group_id, type, type_version, user_label, model,
                        upstream_id, bucket_id, priority, bytes, metadata, structured,
                        lane, deliver_within, on_late, on_unknown, hash, reuse_for)",
        tenant.as_uuid(),
        &ids,
        &groups as &[Option<uuid::Uuid>],
        &types as &[Option<&str>],
        &versions as &[Option<i32>],
        &users as &[Option<&str>],
        &models as &[&str],
        &upstreams,
        &bucket_ids,
        &priorities,
        &bytes,
        &metadata as &[Option<&str>],
        &jobs.iter().map(|job| job.structured).collect::<Vec<_>>(),
        &lanes as &[&str],
        &jobs
            .iter()
            .map(|job| job.terms.within.map(seconds))
            .collect::<Vec<_>>() as &[Option<i32>],
        &late as &[Option<&str>],
        &jobs
            .iter()
            .map(|job| job.terms.on_unknown.map(OnUnknown::as_str))
            .collect::<Vec<_>>() as &[Option<&str>],
        &jobs
            .iter()
            .map(|job| job.sharing.as_ref().map(|sharing| &sharing.hash[..]))
            .collect::<Vec<_>>() as &[Option<&[u8]>],
        &jobs
            .iter()
            .map(|job| job
                .sharing
                .and_then(|sharing| sharing.reuse_for)
                .map(seconds))
            .collect::<Vec<_>>() as &[Option<i32>],
    )
    .execute(tx.conn())
    .await?;

    let mut rest = jobs;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_of(rest));
        insert_payloads(tx, piece).await?;
        rest = after;
    }

    if entry == Entry::Staged {
        return Ok(());
    }
    let now = tx.now();
    sqlx::query!(
        "INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes, attempt,
                            lane, deadline, on_late)
         SELECT $1, id, bucket_id, group_id, priority, $2, bytes, 1, lane, deadline, on_late
           FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[], $7::int[], $8::text[],
                       $9::timestamptz[], $10::text[])
                AS new (id, bucket_id, group_id, priority, bytes, lane, deadline, on_late)",
        tenant.as_uuid(),
        now,
        &ids,
        &bucket_ids,
        &groups as &[Option<uuid::Uuid>],
        &priorities,
        &bytes,
        &lanes as &[&str],
        &jobs
            .iter()
            .map(|job| job.terms.within.map(|within| job.id.minted_at() + within))
            .collect::<Vec<_>>() as &[Option<OffsetDateTime>],
        &late as &[Option<&str>],
    )
    .execute(tx.conn())
    .await?;
    if jobs.iter().any(|job| job.sharing.is_some()) {
        share::join(tx.conn(), tenant, now, New::Jobs(&ids)).await?;
    }
    let changes = jobs
        .iter()
        .zip(&buckets)
        .zip(&bytes)
        .flat_map(|((job, bucket), bytes)| {
            let queued = State::Queued.as_str();
            [
                Some(Change::ready(*bucket, 1, i64::from(*bytes))),
                Some(Change::count(Of::Tenant, queued, 1)),
                job.group
                    .map(|group| Change::count(Of::Group(group), queued, 1)),
                job.group
                    .map(|group| Change::count(Of::Group(group), "total", 1)),
            ]
            .into_iter()
            .flatten()
        });
    delta::append(tx.conn(), tenant, changes).await?;
    let told: Vec<Told> = jobs
        .iter()
        .map(|job| Told::moved(job.id, State::Queued, job.group, job.user.as_deref()))
        .collect();
    event::jobs(tx.conn(), tenant, None, told).await
}

/// Whole seconds, as the column holds them.
pub(crate) fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// How many of these jobs, at least one, have [`PIECE_BYTES`] of params together.
fn piece_of(jobs: &[NewJob]) -> usize {
    let mut bytes = 0_usize;
    let fits = |job: &&NewJob| {
        bytes = bytes.saturating_add(job.params.len());
        bytes <= PIECE_BYTES
    };
    jobs.iter().take_while(fits).count().max(1)
}

async fn insert_payloads(tx: &mut TenantTx, jobs: &[NewJob]) -> Result<()> {
    let tenant = tx.tenant();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.as_uuid()).collect();
    let params = jobs
        .iter()
        .map(|job| (Piece::Params(job.id.as_uuid()), &job.params[..]));
    let (params, key_ids) = tx.seal().columns(params)?;
    let params: Vec<&[u8]> = params.iter().map(AsRef::as_ref).collect();
    sqlx::query!(
        "INSERT INTO payload (tenant_id, id, params, key_id)
         SELECT $1, * FROM unnest($2::uuid[], $3::bytea[], $4::int[])",
        tenant.as_uuid(),
        &ids,
        &params as &[&[u8]],
        &key_ids,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A job as it stands now.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Group that it belongs to.
    pub group: Option<GroupId>,
    /// Job type with the version that it runs with.
    pub job_type: Option<(String, u32)>,
    /// The app's label.
    pub user: Option<String>,
    /// The model asked for.
    pub model: String,
    /// How it reaches Anthropic.
    pub lane: Lane,
    /// −1, 0 or 1.
    pub priority: i16,
    /// JSON of the app's own.
    pub metadata: Option<String>,
    /// Where it stands.
    pub state: State,
    /// What it waits for while it is queued.
    pub detail: Option<Detail>,
    /// The job whose result it waits for, or has got.
    pub source: Option<JobId>,
    /// Number of the current or last attempt, from 1.
    pub attempt: u32,
    /// Batch that it is or was part of.
    pub batch: Option<BatchId>,
    /// When Anthropic gives up on that batch; while the job is open only.
    pub expires_at: Option<OffsetDateTime>,
    /// When Anthropic made that batch, and how many requests are in it.
    pub batch_made: Option<(OffsetDateTime, u64)>,
    /// How soon it is wanted.
    pub within: Option<Duration>,
    /// What is done when it would be late.
    pub on_late: Option<OnLate>,
    /// Until when it is wanted; while it is open only.
    pub deadline: Option<OffsetDateTime>,
    /// How it ended.
    pub end: Option<End>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Why it failed, from the closed list of `offpeak_domain::job::Failure`.
    pub label: Option<String>,
    /// The same in one sentence.
    pub message: Option<String>,
    /// As Anthropic reported it.
    pub stop_reason: Option<String>,
    /// When.
    pub ended_at: OffsetDateTime,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// What the attempt that ended it cost.
    pub cost: Pico,
    /// What it would have cost synchronously and without a cache.
    pub cost_sync: Pico,
    /// No price is known: the two above mean nothing.
    pub unpriced: bool,
}

/// One row of the view `job_state`, with the expiry of its batch.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: uuid::Uuid,
    pub(crate) group_id: Option<uuid::Uuid>,
    pub(crate) r#type: Option<String>,
    pub(crate) type_version: Option<i32>,
    pub(crate) user_label: Option<String>,
    pub(crate) model: String,
    pub(crate) lane: String,
    pub(crate) priority: i16,
    pub(crate) metadata: Option<String>,
    pub(crate) state: String,
    pub(crate) detail: Option<String>,
    pub(crate) source_id: Option<uuid::Uuid>,
    pub(crate) attempt: Option<i32>,
    pub(crate) batch_id: Option<uuid::Uuid>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) batch_created_at: Option<OffsetDateTime>,
    pub(crate) batch_items: Option<i32>,
    pub(crate) deliver_within: Option<i32>,
    pub(crate) on_late: Option<String>,
    pub(crate) deadline: Option<OffsetDateTime>,
    pub(crate) label: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) ended_at: Option<OffsetDateTime>,
    pub(crate) input_tokens: Option<i64>,
    pub(crate) output_tokens: Option<i64>,
    pub(crate) cache_write_tokens: Option<i64>,
    pub(crate) cache_read_tokens: Option<i64>,
    pub(crate) cost_pico: Option<i64>,
    pub(crate) sync_pico: Option<i64>,
    pub(crate) unpriced: bool,
}

impl TryFrom<Row> for Job {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let pico = |n: Option<i64>| Pico(i128::from(n.unwrap_or(0)));
        let end = row.ended_at.map(|ended_at| End {
            label: row.label,
            message: row.message,
            stop_reason: row.stop_reason,
            ended_at,
            input_tokens: count(row.input_tokens),
            output_tokens: count(row.output_tokens),
            cache_write_tokens: count(row.cache_write_tokens),
            cache_read_tokens: count(row.cache_read_tokens),
            cost: pico(row.cost_pico),
            cost_sync: pico(row.sync_pico),
            unpriced: row.unpriced,
        });
        let lane = known("job.lane", row.lane)?;
        Ok(Self {
            id: JobId::from_uuid(row.id),
            group: row.group_id.map(GroupId::from_uuid),
            job_type: row.r#type.zip(
                row.type_version
                    .and_then(|version| u32::try_from(version).ok()),
            ),
            user: row.user_label,
            model: row.model,
            lane,
            priority: row.priority,
            metadata: row.metadata,
            state: known("job_state.state", row.state)?,
            // In the view it is a word that the version before knows as well.
            detail: row
                .detail
                .map(|detail| match row.source_id {
                    Some(_) => Ok(Detail::Sharing),
                    None => known("job_state.detail", detail),
                })
                .transpose()?,
            source: row.source_id.map(JobId::from_uuid),
            attempt: row
                .attempt
                .and_then(|attempt| u32::try_from(attempt).ok())
                .unwrap_or(1),
            // A direct call has an id of its own there, which is nobody's affair.
            batch: row
                .batch_id
                .filter(|_| lane == Lane::Batch)
                .map(BatchId::from_uuid),
            expires_at: row.expires_at.filter(|_| end.is_none()),
            batch_made: row
                .batch_created_at
                .zip(row.batch_items.and_then(|items| u64::try_from(items).ok())),
            within: row
                .deliver_within
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
            // One of a newer version is not known here.
            on_late: row.on_late.and_then(|word| word.parse().ok()),
            deadline: row.deadline.filter(|_| end.is_none()),
            end,
        })
    }
}

/// A word of ours read back, or the error that names its column.
pub(crate) fn known<T: std::str::FromStr>(column: &'static str, value: String) -> Result<T> {
    value.parse().map_err(|_| Error::Unknown { column, value })
}

/// A job of the tenant as it stands now. One that is being staged is not there yet.
pub async fn get(tx: &mut TenantTx, id: JobId) -> Result<Job> {
    by_ids(tx, &[id]).await?.pop().ok_or(Error::NoJob(id))
}

/// These jobs as they stand now, newest first; those that are not there, or
/// only being staged, are left out.
pub async fn by_ids(tx: &mut TenantTx, ids: &[JobId]) -> Result<Vec<Job>> {
    let ids: Vec<_> = ids.iter().map(|id| id.as_uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.id AS "id!", s.group_id, s.type AS "type", s.type_version, s.user_label,
                  s.model AS "model!", s.lane AS "lane!", s.priority AS "priority!", s.metadata,
                  s.state AS "state!", s.detail, s.source_id, s.attempt, s.batch_id,
                  b.expires_at AS "expires_at?", b.created_at AS "batch_created_at?",
                  b.items AS "batch_items?", s.deliver_within, s.on_late, s.deadline, s.label, s.message, s.stop_reason, s.ended_at,
                  s.input_tokens, s.output_tokens, s.cache_write_tokens, s.cache_read_tokens,
                  s.cost_pico, s.sync_pico,
                  EXISTS (SELECT FROM ledger l
                           WHERE l.tenant_id = s.tenant_id AND l.batch_id = s.batch_id
                             AND l.id = s.id AND l.unpriced) AS "unpriced!"
             FROM job_state s
             LEFT JOIN job_group g ON g.tenant_id = s.tenant_id AND g.id = s.group_id
             LEFT JOIN batch b ON b.tenant_id = s.tenant_id AND b.id = s.batch_id
            WHERE s.tenant_id = $1 AND s.id = ANY ($2)
              AND (s.group_id IS NULL OR g.opened_at IS NOT NULL)
            ORDER BY s.id DESC"#,
        tx.tenant().as_uuid(),
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Job::try_from).collect()
}

/// The Messages params of a job that is there, byte for byte, unless they are gone.
pub async fn params(tx: &mut TenantTx, id: JobId) -> Result<Vec<u8>> {
    let row = sqlx::query!(
        "SELECT params, key_id FROM payload WHERE tenant_id = $1 AND id = $2",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(Error::InputGone(id))?;
    let piece = Piece::Params(id.as_uuid());
    tx.seal().open(piece, row.key_id, row.params)
}
