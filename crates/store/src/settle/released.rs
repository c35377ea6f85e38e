//! Jobs taken out of flight, with what stood in their rows and heads.

use offpeak_domain::id::{BatchId, BucketId, GroupId, JobId};
use offpeak_domain::job::{Lane, State};
use time::OffsetDateTime;
use uuid::Uuid;

use super::two;
use crate::Result;
use crate::batch::Key;
use crate::bounded::Connection;

/// A job taken out of flight, with what stood in its row and head.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own"
)]
pub struct Released {
    /// Which.
    pub job: JobId,
    /// Number of the attempt that ended.
    pub attempt: i32,
    /// Tries that counted before it.
    pub tries: u32,
    /// The last create of its batch was made without it.
    pub(super) dropped: bool,
    /// Its row was marked: its result stands already, or its other attempt leads.
    pub(super) canceled: bool,
    /// The number of its result, where that stands.
    pub(super) ended_by: Option<i32>,
    /// Its other attempt, if one is open.
    pub(super) other: Option<Other>,
    /// Until when it is wanted.
    pub deadline: Option<OffsetDateTime>,
    /// It was called for beside its batch at least once.
    pub was_called: bool,
    pub(super) on_late: Option<String>,
    pub(super) next_attempt: i32,
    pub(super) lane: Lane,
    /// Its answer has to fit a schema that stands in its params.
    pub structured: bool,
    pub(super) group: Option<GroupId>,
    pub(super) bucket: BucketId,
    pub(super) bytes: i32,
    pub(super) priority: i16,
    pub(super) job_type: Option<String>,
    pub(super) user_label: Option<String>,
    pub(super) model: String,
    /// Equal for jobs that ask the same; none for one that shares nothing.
    pub(super) hash: Option<Vec<u8>>,
}

/// The other one of two open attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// The batch, or the call, that it is in.
    pub(super) batch: BatchId,
    /// The state that the job is counted in when this attempt leads.
    pub(super) state: State,
}

impl Released {
    /// Whether the job has its result already: somebody canceled it, its deadline
    /// ended it, or its other attempt was faster.
    pub fn has_ended(&self) -> bool {
        self.canceled && self.other.is_none()
    }

    /// Whether another attempt of it is open.
    pub fn is_one_of_two(&self) -> bool {
        self.other.is_some()
    }

    /// Whether its result says nothing of this attempt, which would be forgotten
    /// if nothing were written down about it.
    pub fn is_beside(&self) -> bool {
        self.canceled && self.ended_by != Some(self.attempt)
    }

    /// Whether an earlier call for it may have been lost.
    pub(super) fn may_have_lost_calls(&self) -> bool {
        self.was_called || (self.attempt > 1 && self.deadline.is_some())
    }

    /// The state that the job is counted in while this attempt is open.
    pub(super) fn counted(&self, from: State) -> State {
        // Marked, and not ended: the call beside it leads.
        if self.canceled {
            State::Processing
        } else {
            from
        }
    }

    /// The model that the job asked for.
    pub fn asked_model(&self) -> &str {
        &self.model
    }

    /// The length of its params.
    pub fn params_bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }
}

/// Takes these jobs of a batch, or a call, out of flight.
pub(super) async fn release(
    conn: &mut Connection,
    key: Key,
    ids: &[Uuid],
) -> Result<Vec<Released>> {
    // A chunk is a small part of a large batch. By the statistics of tables that
    // turn over all the time, or that nobody analysed yet, reading everything
    // looks cheaper than a probe for each id: a batch would then cost the square
    // of its length.
    sqlx::query!(
        r#"SELECT set_config('enable_seqscan', 'off', true) AS "seqscan!",
                  set_config('enable_bitmapscan', 'off', true) AS "bitmapscan!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM inflight
                WHERE tenant_id = $1 AND batch_id = $2 AND id = ANY ($3)
               RETURNING id, attempt, tries, canceled, dropped, bytes, deadline, on_late,
                         next_attempt)
           SELECT g.id AS "id!", g.attempt AS "attempt!", g.tries AS "tries!",
                  g.canceled AS "canceled!", g.dropped AS "dropped!", g.bytes AS "bytes!", g.deadline AS "deadline?",
                  g.on_late AS "on_late?", g.next_attempt AS "next_attempt?", j.lane AS "lane!",
                  j.structured AS "structured!", j.group_id AS "group_id?",
                  j.bucket_id AS "bucket_id!", j.priority AS "priority!", j.type AS "type?",
                  j.user_label AS "user_label?", j.model AS "model!",
                  j.hash AS "hash?"
             FROM gone g
                  -- The limit keeps this a probe for each job, in this order.
            CROSS JOIN LATERAL (
                  SELECT structured, group_id, bucket_id, priority, type, user_label, model, lane,
                         hash
                    FROM job
                   WHERE tenant_id = $1 AND id = g.id
                   LIMIT 1) AS j
            ORDER BY g.id"#,
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut released: Vec<Released> = rows
        .into_iter()
        .map(|row| Released {
            job: JobId::from_uuid(row.id),
            attempt: row.attempt,
            tries: u32::try_from(row.tries).unwrap_or(0),
            canceled: row.canceled,
            dropped: row.dropped,
            ended_by: None,
            other: None,
            deadline: row.deadline,
            was_called: row.next_attempt.is_some(),
            on_late: row.on_late,
            next_attempt: row.next_attempt.unwrap_or(row.attempt + 1),
            lane: if row.lane == Lane::Direct.as_str() {
                Lane::Direct
            } else {
                Lane::Batch
            },
            structured: row.structured,
            group: row.group_id.map(GroupId::from_uuid),
            bucket: BucketId::from_uuid(row.bucket_id),
            bytes: row.bytes,
            priority: row.priority,
            job_type: row.r#type,
            user_label: row.user_label,
            model: row.model,
            hash: row.hash,
        })
        .collect();
    two::leading(conn, key, &mut released).await?;
    Ok(released)
}
