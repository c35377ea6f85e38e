//! Batches and what belongs to them.

use std::time::Duration;

use offpeak_domain::incident::Kind;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Checked, interval, invariant};
use crate::Result;

/// `tend` notes what is late an hour after a batch must have ended, and a day
/// after its end; it looks every minute, or once it is led by somebody again.
const OVERDUE: Duration = Duration::from_mins(75);
const WAITING: Duration = Duration::from_mins(24 * 60 + 15);
/// No lease is taken for so long.
const LONGEST_LEASE: Duration = Duration::from_hours(24);

#[expect(clippy::too_many_lines, reason = "a list, each entry with its SQL")]
pub(super) async fn check(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I5",
            "intent_first",
            "a batch was planned before it was sent, and has Anthropic's id only after that",
            "SELECT 'batch ' || id
               FROM batch
              WHERE sent_at < planned_at
                 OR (state = 'planned' AND (sent_at IS NOT NULL OR sender IS NOT NULL))
                 OR (upstream_batch_id IS NULL) <> (created_at IS NULL)
                 OR (upstream_batch_id IS NULL) <> (expires_at IS NULL)
                 OR (upstream_batch_id IS NOT NULL
                     AND state NOT IN ('in_progress', 'canceling', 'ended', 'ingested'))
                 -- Not compared with `created_at`: Anthropic's clock may differ from ours."
        ),
        invariant!(
            conn,
            "I7",
            "message_batch_once",
            "a message batch is one batch of ours, or a twin, or somebody else's",
            "SELECT 'message batch ' || upstream_batch_id
               FROM (SELECT upstream_id, upstream_batch_id FROM batch
                      WHERE upstream_batch_id IS NOT NULL
                      UNION ALL SELECT upstream_id, upstream_batch_id FROM twin
                      UNION ALL SELECT upstream_id, upstream_batch_id FROM foreign_batch) AS named
              GROUP BY upstream_id, upstream_batch_id
             HAVING count(*) > 1"
        ),
        invariant!(
            conn,
            "I8",
            "done_is_empty",
            "no job is left in a batch that is read whole, or whose jobs were freed",
            "SELECT DISTINCT 'batch ' || b.id
               FROM batch b
               JOIN inflight i ON i.tenant_id = b.tenant_id AND i.batch_id = b.id
              WHERE b.state = 'ingested' OR b.freed_at IS NOT NULL
              UNION ALL
             SELECT 'batch ' || id
               FROM batch
              WHERE freed_at IS NOT NULL AND state NOT IN ('refuted', 'rejected')"
        ),
        invariant!(
            conn,
            "I8",
            "items_kept",
            "every job that a batch was made of is still in it, or something came of it",
            "WITH parts AS (
                 SELECT tenant_id, batch_id, id, NOT dropped AS open, NOT dropped AS sent
                   FROM inflight
                  UNION ALL
                 -- What was canceled before it was sent counts among the items no
                 -- more, and of one whose line never came nothing else is known.
                 SELECT tenant_id, batch_id, id, false,
                        outcome <> 'canceled' AND label IS DISTINCT FROM 'deadline_missed'
                   FROM result WHERE batch_id IS NOT NULL
                  UNION ALL
                 SELECT tenant_id, batch_id, id, false, outcome <> 'canceled' OR line IS NOT NULL
                   FROM attempt WHERE batch_id IS NOT NULL),
             sums AS (
                 SELECT tenant_id, batch_id,
                        count(DISTINCT id) AS known,
                        count(DISTINCT id) FILTER (WHERE sent) AS sent,
                        count(*) FILTER (WHERE open) AS open
                   FROM parts GROUP BY tenant_id, batch_id)
             SELECT 'batch ' || b.id
               FROM batch b
               LEFT JOIN sums s ON s.tenant_id = b.tenant_id AND s.batch_id = b.id
              -- One that was taken over after a restore may hold jobs that are gone:
              -- then an incident says so.
              WHERE b.items < coalesce(s.sent, 0)
                 OR (b.items > coalesce(s.known, 0)
                     AND NOT EXISTS (SELECT FROM incident i
                                      WHERE i.upstream_id = b.upstream_id
                                        AND i.upstream_batch_id = b.upstream_batch_id
                                        AND i.kind = $1))
                 OR (b.state IN ('planned', 'sending', 'uncertain', 'in_progress', 'canceling')
                     AND b.items <> coalesce(s.open, 0))",
            Kind::UpstreamUnknownBatch.as_str()
        ),
        invariant!(
            conn,
            "I8",
            "counts_told",
            "Anthropic's counts of a batch add up to its jobs, or there is an incident",
            "SELECT 'batch ' || b.id
               FROM batch b
              WHERE b.state = 'ingested'
                AND b.succeeded + b.errored + b.canceled + b.expired <> b.items
                AND NOT EXISTS (SELECT FROM incident i
                                 WHERE i.batch_id = b.id AND i.kind IN ($1, $2))",
            Kind::CountsDiffer.as_str(),
            Kind::ResultsLost.as_str()
        ),
        invariant!(
            conn,
            "I11",
            "ends_in_order",
            "jobs end by batches that are there and that have ended",
            "SELECT DISTINCT 'batch ' || said.batch_id
               FROM (SELECT tenant_id, batch_id,
                            CASE WHEN outcome = 'canceled' OR label = 'deadline_missed' THEN 'any'
                                 WHEN label = 'rejected_alone' THEN 'rejected'
                                 ELSE 'ended' END AS after
                       FROM result WHERE batch_id IS NOT NULL
                      UNION ALL
                     SELECT tenant_id, batch_id,
                            CASE WHEN outcome = 'canceled' AND line IS NULL THEN 'any'
                                 WHEN label = 'rejected_alone' THEN 'rejected'
                                 WHEN outcome IN ('refuted', 'rejected') THEN outcome
                                 ELSE 'ended' END
                       FROM attempt WHERE batch_id IS NOT NULL
                      UNION ALL
                     SELECT tenant_id, batch_id,
                            CASE WHEN id = batch_id THEN 'any' ELSE 'ended' END
                       FROM ledger
                      UNION ALL
                     SELECT tenant_id, batch_id, 'ended' FROM quarantine) AS said
               LEFT JOIN batch b ON b.tenant_id = said.tenant_id AND b.id = said.batch_id
               LEFT JOIN call c ON c.tenant_id = said.tenant_id AND c.id = said.batch_id
              WHERE (b.id IS NULL AND c.id IS NULL
                     -- What an erased tenant was billed is all that is left.
                     AND NOT EXISTS (SELECT FROM erasure e WHERE e.tenant_id = said.tenant_id))
                 -- A call that was given up says so.
                 OR (said.after = 'ended' AND c.state = 'sending')
                 OR (said.after <> 'any'
                     AND said.after <> CASE b.state WHEN 'ingested' THEN 'ended' ELSE b.state END)
              UNION ALL
             SELECT 'job ' || id FROM result
              WHERE batch_id IS NULL AND outcome <> 'canceled' AND source_id IS NULL
                AND label IS DISTINCT FROM 'deadline_missed'"
        ),
        invariant!(
            conn,
            "I15",
            "one_tenant",
            "a batch holds jobs of one tenant, and no id is two tenants'",
            "SELECT DISTINCT 'batch ' || i.batch_id
               FROM inflight i
              WHERE NOT EXISTS (SELECT FROM batch b
                                 WHERE b.tenant_id = i.tenant_id AND b.id = i.batch_id)
                AND NOT EXISTS (SELECT FROM call c
                                 WHERE c.tenant_id = i.tenant_id AND c.id = i.batch_id
                                   AND c.job_id = i.id AND c.state = 'sending')
              UNION ALL
             SELECT 'call ' || c.id
               FROM call c
              WHERE c.state = 'sending'
                AND NOT EXISTS (SELECT FROM inflight i
                                 WHERE i.tenant_id = c.tenant_id AND i.batch_id = c.id
                                   AND i.id = c.job_id)
              UNION ALL
             SELECT 'batch ' || b.id
               FROM batch b
               LEFT JOIN bucket k ON k.tenant_id = b.tenant_id AND k.id = b.bucket_id
              WHERE b.model IS DISTINCT FROM k.model
              UNION ALL
             -- The deployment's upstream, or the tenant's own.
             SELECT 'batch ' || b.id
               FROM batch b
              WHERE b.upstream_id NOT IN ('00000000-0000-0000-0000-000000000000', b.tenant_id)
              UNION ALL
             SELECT 'bucket ' || k.id
               FROM bucket k
              WHERE k.upstream_id NOT IN ('00000000-0000-0000-0000-000000000000', k.tenant_id)
              UNION ALL
             -- A result line names job and batch without their tenant.
             SELECT 'batch ' || id FROM batch GROUP BY id HAVING count(*) > 1
              UNION ALL
             SELECT 'job ' || id FROM job GROUP BY id HAVING count(*) > 1
              UNION ALL
             SELECT 'tenant ' || k.tenant_id
               FROM bucket k
              WHERE NOT EXISTS (SELECT FROM tenant t WHERE t.id = k.tenant_id)"
        ),
        invariant!(
            conn,
            "I17",
            "leases",
            "leases have an epoch, and none is held for longer than it can be taken",
            "SELECT 'lease ' || name
               FROM lease
              WHERE epoch < 1 OR expires_at > clock_timestamp() + $1::interval",
            interval(LONGEST_LEASE)
        ),
        invariant!(
            conn,
            "I19",
            "lateness_noted",
            "a batch that is late is an incident",
            "SELECT 'batch ' || b.id
               FROM batch b
              WHERE (b.state IN ('in_progress', 'canceling') AND b.expires_at + $2::interval < $1
                     AND NOT EXISTS (SELECT FROM incident i
                                      WHERE i.batch_id = b.id AND i.kind = $4))
                 OR (b.state = 'ended' AND b.ended_at + $3::interval < $1
                     AND NOT EXISTS (SELECT FROM incident i
                                      WHERE i.batch_id = b.id AND i.kind = $5))",
            now,
            interval(OVERDUE),
            interval(WAITING),
            Kind::BatchOverdue.as_str(),
            Kind::ResultsWaiting.as_str()
        ),
    ])
}
