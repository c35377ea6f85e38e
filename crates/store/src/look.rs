//! One look at the whole database: which loops have something to do. An idle
//! process asks this every few seconds instead of letting each loop ask.

use crate::{Result, System};

/// Which loops have something to do. True may be said too often, never too seldom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one bell each")]
pub struct Work {
    /// Jobs wait, or whoever waited is still written down.
    pub form: bool,
    /// Batches wait to be sent.
    pub submit: bool,
    /// A batch upstream is due for a look.
    pub poll: bool,
    /// A batch has ended and its results are not read yet.
    pub ingest: bool,
    /// A send is under way or uncertain, or a batch's jobs are to be freed.
    pub rescue: bool,
    /// Something was told and has no number yet.
    pub relay: bool,
    /// Differences are not folded yet.
    pub fold: bool,
    /// A job may be called for directly.
    pub direct: bool,
    /// A job has a deadline.
    pub escalate: bool,
    /// A job has ended for whose result others wait.
    pub share: bool,
    /// The database is not the one that an upstream's list was compared for.
    pub reconcile: bool,
    /// An operation is running.
    pub operate: bool,
    /// A key of a tenant's own is to be checked.
    pub enroll: bool,
}

/// Looks. Its cost depends on the number of open batches and waiting buckets.
pub async fn look(system: &System) -> Result<Work> {
    Ok(sqlx::query_as!(
        Work,
        r#"SELECT EXISTS (SELECT FROM tally WHERE scope = 'bucket' AND n <> 0)
                  OR EXISTS (SELECT FROM share)
                  -- Only until the fold that follows: the table is nearly empty.
                  OR EXISTS (SELECT FROM delta WHERE scope = 'bucket') AS "form!",
                  coalesce(bool_or(state = 'planned'), false) AS "submit!",
                  coalesce(bool_or(state IN ('in_progress', 'canceling')
                                   AND next_poll_at <= clock_timestamp()), false) AS "poll!",
                  coalesce(bool_or(state = 'ended'), false) AS "ingest!",
                  coalesce(bool_or(state IN ('sending', 'uncertain')), false)
                  OR EXISTS (SELECT FROM batch
                              WHERE state IN ('refuted', 'rejected') AND freed_at IS NULL)
                  OR EXISTS (SELECT FROM call WHERE state = 'sending')
                      AS "rescue!",
                  EXISTS (SELECT FROM ready
                           WHERE lane = 'direct' AND not_before <= clock_timestamp())
                  OR EXISTS (SELECT FROM inflight WHERE direct_from <= clock_timestamp())
                      AS "direct!",
                  EXISTS (SELECT FROM ready WHERE deadline IS NOT NULL)
                  OR EXISTS (SELECT FROM inflight WHERE deadline IS NOT NULL) AS "escalate!",
                  EXISTS (SELECT FROM shared) AS "share!",
                  EXISTS (SELECT FROM event_in) AS "relay!",
                  EXISTS (SELECT FROM delta) AS "fold!",
                  EXISTS (SELECT FROM comparison
                           WHERE incarnation IS DISTINCT FROM incarnation()
                              OR started_at IS DISTINCT FROM pg_postmaster_start_time())
                      AS "reconcile!",
                  EXISTS (SELECT FROM operation
                           WHERE state = 'running' AND turn_at <= clock_timestamp())
                      AS "operate!",
                  EXISTS (SELECT FROM upstream_key
                           WHERE state = 'checking' AND check_at <= clock_timestamp())
                      AS "enroll!"
             FROM batch
            WHERE state NOT IN ('ingested', 'refuted', 'rejected')"#
    )
    .fetch_one(&system.pool)
    .await?)
}
