//! Counts: differences of differences, recounted from the rows.

use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "count",
            "bucket_counts",
            "the counts of what waits are what waits",
            "WITH said AS (
                 SELECT tenant_id, key, name, sum(n) AS n, sum(bytes) AS bytes
                   FROM (SELECT tenant_id, scope, key, name, n, bytes FROM tally
                          UNION ALL
                         SELECT tenant_id, scope, key, name, n, bytes FROM delta) AS change
                  WHERE scope = 'bucket'
                  GROUP BY tenant_id, key, name),
             waits AS (
                 SELECT tenant_id, bucket_id AS key, 'ready' AS name, count(*) AS n,
                        sum(bytes) AS bytes
                   FROM ready GROUP BY tenant_id, bucket_id)
             SELECT 'bucket ' || coalesce(said.key, waits.key)
               FROM said
               FULL JOIN waits ON waits.tenant_id = said.tenant_id AND waits.key = said.key
                              AND waits.name = said.name
              WHERE (coalesce(said.n, 0), coalesce(said.bytes, 0))
                    <> (coalesce(waits.n, 0), coalesce(waits.bytes, 0))"
        ),
        invariant!(
            conn,
            "count",
            "state_counts",
            "the counts of jobs by state are those of the jobs, for each tenant and group",
            "WITH said AS (
                 SELECT tenant_id, scope, key, name, sum(n) AS n
                   FROM (SELECT tenant_id, scope, key, name, n FROM tally
                          UNION ALL
                         SELECT tenant_id, scope, key, name, n FROM delta) AS change
                  WHERE scope IN ('tenant', 'group') AND name <> 'billed'
                  GROUP BY tenant_id, scope, key, name),
             -- By the one definition of a job's state. Staged jobs have none yet.
             states AS MATERIALIZED (
                 SELECT s.tenant_id, s.group_id, s.state, count(*) AS n
                   FROM job_state s
                   LEFT JOIN job_group g ON g.tenant_id = s.tenant_id AND g.id = s.group_id
                  WHERE s.group_id IS NULL OR g.opened_at IS NOT NULL
                  GROUP BY s.tenant_id, s.group_id, s.state),
             jobs AS (
                 SELECT tenant_id, 'tenant' AS scope,
                        '00000000-0000-0000-0000-000000000000'::uuid AS key, state AS name,
                        sum(n) AS n
                   FROM states GROUP BY tenant_id, state
                  UNION ALL
                 SELECT tenant_id, 'group', group_id, state, n
                   FROM states WHERE group_id IS NOT NULL
                  UNION ALL
                 SELECT tenant_id, 'group', group_id, 'total', sum(n)
                   FROM states WHERE group_id IS NOT NULL GROUP BY tenant_id, group_id)
             SELECT coalesce(said.scope, jobs.scope) || ' '
                    || CASE coalesce(said.scope, jobs.scope)
                            WHEN 'tenant' THEN coalesce(said.tenant_id, jobs.tenant_id)
                            ELSE coalesce(said.key, jobs.key) END
                    || ' ' || coalesce(said.name, jobs.name)
               FROM said
               FULL JOIN jobs ON jobs.tenant_id = said.tenant_id AND jobs.scope = said.scope
                             AND jobs.key = said.key AND jobs.name = said.name
              WHERE coalesce(said.n, 0) <> coalesce(jobs.n, 0)"
        ),
        invariant!(
            conn,
            "count",
            "uploads_counted",
            "a group has as many jobs as its upload kept",
            "SELECT 'group ' || g.id
               FROM job_group g
               LEFT JOIN (SELECT tenant_id, group_id, count(*) AS n
                            FROM job WHERE group_id IS NOT NULL
                           GROUP BY tenant_id, group_id) AS there
                      ON there.tenant_id = g.tenant_id AND there.group_id = g.id
              -- One that was given up is being removed.
              WHERE g.dropped_at IS NULL AND g.jobs <> coalesce(there.n, 0)"
        ),
    ])
}
