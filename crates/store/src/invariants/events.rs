//! Events: numbered without a gap, and in agreement with what they tell of.

use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I20",
            "events_dense",
            "a tenant's events have every number up to the last one given",
            "SELECT 'tenant ' || coalesce(e.tenant_id, s.tenant_id)
               FROM (SELECT tenant_id, min(seq) AS first, max(seq) AS last, count(*) AS n
                       FROM event GROUP BY tenant_id) AS e
               FULL JOIN stream s ON s.tenant_id = e.tenant_id
              -- All of them may be gone: they stay for days.
              WHERE e.n <> e.last - e.first + 1
                 OR e.last IS DISTINCT FROM s.seq AND e.n IS NOT NULL
                 OR s.seq < 1"
        ),
        invariant!(
            conn,
            "I20",
            "events_agree",
            "the last that was told of a job, or of a batch, is where it stands",
            "WITH told AS (
                 SELECT tenant_id, kind, state, ids, false AS waits, seq::numeric AS place
                   FROM event WHERE kind IN ('job', 'batch')
                  UNION ALL
                 -- Not numbered yet, and so behind all that are.
                 SELECT tenant_id, kind, state, ids, true, place - '0/0'
                   FROM event_in WHERE kind IN ('job', 'batch')),
             last AS (
                 SELECT DISTINCT ON (tenant_id, kind, id) tenant_id, kind, id, state
                   FROM told, unnest(ids) AS id
                  ORDER BY tenant_id, kind, id, waits DESC, place DESC)
             SELECT 'job ' || last.id
               FROM last
               JOIN job_state s ON s.tenant_id = last.tenant_id AND s.id = last.id
              WHERE last.kind = 'job' AND last.state <> s.state
              UNION ALL
             SELECT 'batch ' || last.id
               FROM last
               JOIN batch b ON b.tenant_id = last.tenant_id AND b.id = last.id
              WHERE last.kind = 'batch' AND last.state <> b.state"
        ),
    ])
}
