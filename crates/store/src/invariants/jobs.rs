//! Where jobs stand.

use offpeak_domain::settle::Rules;
use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

#[expect(clippy::too_many_lines, reason = "a list, each entry with its SQL")]
pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    let max_tries = i32::try_from(Rules::default().max_tries).unwrap_or(i32::MAX);
    Ok(vec![
        invariant!(
            conn,
            "I1",
            "params_kept",
            "every job has its params until their time is over, as long as they were when it was accepted",
            "SELECT 'job ' || j.id
               FROM job j
               LEFT JOIN payload p ON p.tenant_id = j.tenant_id AND p.id = j.id
              WHERE (p.id IS NULL
                     -- Its retention is over.
                     AND NOT EXISTS (SELECT FROM retained k
                                       JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
                                      WHERE k.tenant_id = j.tenant_id AND j.id < k.inputs_before))
                 -- Its length is known without reading it. Encrypted, it is another.
                 OR (p.key_id = 0 AND octet_length(p.params) <> j.bytes)"
        ),
        invariant!(
            conn,
            "I2",
            "key_once",
            "an idempotency key stands for a job or group that is there, and nothing for two keys",
            "SELECT coalesce('job ' || i.job_id, 'group ' || i.group_id)
               FROM idempotency i
               LEFT JOIN job j ON j.tenant_id = i.tenant_id AND j.id = i.job_id
               LEFT JOIN job_group g ON g.tenant_id = i.tenant_id AND g.id = i.group_id
              WHERE j.id IS NULL AND g.id IS NULL
              UNION ALL
             SELECT coalesce('job ' || job_id, 'group ' || group_id)
               FROM idempotency
              GROUP BY tenant_id, job_id, group_id
             HAVING count(*) > 1"
        ),
        invariant!(
            conn,
            "I3",
            "not_lost",
            "every accepted job waits, is in a batch, or has ended",
            "SELECT 'job ' || j.id
               FROM job j
               LEFT JOIN job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
              WHERE (j.group_id IS NULL OR g.opened_at IS NOT NULL)
                AND NOT EXISTS (SELECT FROM result r
                                 WHERE r.tenant_id = j.tenant_id AND r.id = j.id)
                AND NOT EXISTS (SELECT FROM ready q
                                 WHERE q.tenant_id = j.tenant_id AND q.id = j.id)
                AND NOT EXISTS (SELECT FROM inflight i
                                 WHERE i.tenant_id = j.tenant_id AND i.id = j.id
                                   AND NOT i.canceled)"
        ),
        invariant!(
            conn,
            "I3",
            "not_twice",
            "no job waits, is in a batch or has ended at the same time, or is in two batches",
            "SELECT 'job ' || id
               FROM (SELECT tenant_id, id, 1 AS place, 0 AS canceled, 0 AS called FROM ready
                      UNION ALL
                     SELECT i.tenant_id, i.id, 1, i.canceled::integer, (c.id IS NOT NULL)::integer
                       FROM inflight i
                       LEFT JOIN call c ON c.tenant_id = i.tenant_id AND c.id = i.batch_id
                      UNION ALL
                     -- Of those that have ended only who stands elsewhere too.
                     SELECT r.tenant_id, r.id, 1, 0, 0
                       FROM (SELECT tenant_id, id FROM ready
                              UNION SELECT tenant_id, id FROM inflight) AS open
                       JOIN result r ON r.tenant_id = open.tenant_id AND r.id = open.id)
                    AS placed
              GROUP BY tenant_id, id
             -- A canceled job has its result while its late line is awaited, and one
             -- that was called for beside its batch may await two.
             HAVING sum(place) - sum(canceled) > 1 OR sum(canceled) - sum(called) > 1
                 OR sum(called) > 1"
        ),
        invariant!(
            conn,
            "I3",
            "late_lines",
            "what is marked in a batch has ended, or is called for beside it, and is ready nowhere",
            "SELECT 'job ' || i.id
               FROM inflight i
               LEFT JOIN result r ON r.tenant_id = i.tenant_id AND r.id = i.id
               LEFT JOIN ready q ON q.tenant_id = i.tenant_id AND q.id = i.id
               -- Which of a job's attempts were made beside another one.
               LEFT JOIN LATERAL (
                    SELECT true AS two
                      FROM call c
                     WHERE c.tenant_id = i.tenant_id AND c.job_id = i.id
                       AND (c.beside = i.batch_id OR (c.id = i.batch_id AND c.beside IS NOT NULL))
                     LIMIT 1) AS called ON true
              -- Whoever was left out of its batch is not awaited.
              WHERE i.canceled AND NOT i.dropped
                AND (q.id IS NOT NULL
                     OR (r.id IS NULL
                         AND NOT EXISTS (SELECT FROM inflight o
                                           JOIN call c ON c.tenant_id = o.tenant_id
                                                      AND c.id = o.batch_id
                                          WHERE o.tenant_id = i.tenant_id AND o.id = i.id
                                            AND NOT o.canceled AND c.beside = i.batch_id))
                     OR (r.attempt = i.attempt AND r.outcome <> 'canceled'
                         AND r.label IS DISTINCT FROM 'deadline_missed')
                     OR (r.attempt <> i.attempt AND called.two IS NULL))"
        ),
        invariant!(
            conn,
            "I3",
            "staged_unseen",
            "jobs of an upload that is not complete stand nowhere",
            "SELECT 'job ' || j.id
               FROM job j
               LEFT JOIN job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
              WHERE j.group_id IS NOT NULL
                AND (g.id IS NULL
                     OR (g.opened_at IS NULL
                         AND (EXISTS (SELECT FROM ready q
                                       WHERE q.tenant_id = j.tenant_id AND q.id = j.id)
                              OR EXISTS (SELECT FROM inflight i
                                          WHERE i.tenant_id = j.tenant_id AND i.id = j.id)
                              OR EXISTS (SELECT FROM result r
                                          WHERE r.tenant_id = j.tenant_id AND r.id = j.id))))"
        ),
        invariant!(
            conn,
            "I3",
            "no_strays",
            "nothing is kept of a job that is not there",
            "SELECT DISTINCT 'job ' || part.id
               FROM (SELECT tenant_id, id FROM payload
                      UNION ALL SELECT tenant_id, id FROM ready
                      UNION ALL SELECT tenant_id, id FROM inflight
                      UNION ALL SELECT tenant_id, id FROM result
                      UNION ALL SELECT tenant_id, id FROM output
                      UNION ALL SELECT tenant_id, id FROM attempt) AS part
              WHERE NOT EXISTS (SELECT FROM job j
                                 WHERE j.tenant_id = part.tenant_id AND j.id = part.id)"
        ),
        invariant!(
            conn,
            "I3",
            "queue_agrees",
            "what queue and batches say about a job is what its head says",
            "SELECT 'job ' || q.id
               FROM ready q
               JOIN job j ON j.tenant_id = q.tenant_id AND j.id = q.id
               LEFT JOIN bucket b ON b.tenant_id = j.tenant_id AND b.id = j.bucket_id
              WHERE (q.bucket_id, q.priority, q.bytes) <> (j.bucket_id, j.priority, j.bytes)
                 OR q.group_id IS DISTINCT FROM j.group_id
                 -- Nobody would ever claim it.
                 OR b.id IS NULL
              UNION ALL
             SELECT 'job ' || i.id
               FROM inflight i
               JOIN job j ON j.tenant_id = i.tenant_id AND j.id = i.id
               JOIN batch b ON b.tenant_id = i.tenant_id AND b.id = i.batch_id
              WHERE (i.bytes, b.bucket_id) <> (j.bytes, j.bucket_id)
                 OR i.group_id IS DISTINCT FROM j.group_id"
        ),
        invariant!(
            conn,
            "I6",
            "no_resend",
            "no job is sent again before it is settled what became of it the last time",
            "WITH place AS MATERIALIZED (
                 SELECT tenant_id, id, attempt, NULL::uuid AS batch_id, NULL::timestamptz AS ended_at
                   FROM ready
                  UNION ALL
                 SELECT tenant_id, id, attempt, batch_id, NULL FROM inflight WHERE NOT dropped
                  UNION ALL
                 SELECT tenant_id, id, attempt, batch_id, ended_at FROM result WHERE attempt > 1
                  UNION ALL
                 -- Canceled before the batch was sent, it was never part of it.
                 SELECT tenant_id, id, attempt,
                        CASE WHEN outcome <> 'canceled' OR line IS NOT NULL THEN batch_id END,
                        ended_at
                   FROM attempt)
             SELECT DISTINCT 'job ' || before.id
               FROM place AS before
               JOIN place AS later ON later.tenant_id = before.tenant_id AND later.id = before.id
                                  AND later.attempt > before.attempt
               LEFT JOIN batch b ON b.tenant_id = before.tenant_id AND b.id = before.batch_id
               LEFT JOIN batch next ON next.tenant_id = later.tenant_id AND next.id = later.batch_id
               -- Called for beside its batch on purpose, it has two attempts at once.
               LEFT JOIN call beside ON beside.tenant_id = later.tenant_id
                                    AND beside.id = later.batch_id
                                    AND beside.beside = before.batch_id
              -- Still under way, or waiting: it may be sent twice.
              WHERE (before.ended_at IS NULL AND beside.id IS NULL)
                 OR (beside.id IS NULL AND b.state NOT IN ('ended', 'ingested', 'refuted', 'rejected'))
                 -- When it was sent, not planned: a plan is made by the time at which
                 -- the planner began to look.
                 OR next.sent_at < before.ended_at"
        ),
        invariant!(
            conn,
            "I10",
            "answers_kept",
            "every completed job has its answer until its time is over, and only what has ended by a line has one",
            "SELECT 'job ' || r.id
               FROM result r
               LEFT JOIN output o ON o.tenant_id = r.tenant_id AND o.id = r.id
              WHERE (r.outcome = 'completed' AND o.id IS NULL
                     AND NOT EXISTS (SELECT FROM retained k
                                      WHERE k.tenant_id = r.tenant_id AND r.id < k.results_before))
                 OR (r.outcome = 'canceled' AND o.id IS NOT NULL)
              UNION ALL
             SELECT 'job ' || o.id
               FROM output o
              WHERE NOT EXISTS (SELECT FROM result r
                                 WHERE r.tenant_id = o.tenant_id AND r.id = o.id)"
        ),
        invariant!(
            conn,
            "I18",
            "attempts_kept",
            "every attempt before the present one is remembered",
            "SELECT 'job ' || present.id
               FROM (SELECT tenant_id, id, attempt FROM ready
                      UNION ALL SELECT tenant_id, id, attempt FROM inflight
                      UNION ALL SELECT tenant_id, id, attempt FROM result) AS present
               LEFT JOIN (SELECT tenant_id, id, array_agg(attempt) AS numbers
                            FROM (SELECT tenant_id, id, attempt FROM attempt
                                   UNION ALL
                                  -- Of two at once the first is there, and goes on.
                                  SELECT tenant_id, id, attempt FROM inflight) AS others
                           GROUP BY tenant_id, id) AS past
                      ON past.tenant_id = present.tenant_id AND past.id = present.id
              WHERE present.attempt < 1
                 OR (present.attempt > 1
                     AND (SELECT count(DISTINCT number)
                            FROM unnest(past.numbers) AS number
                           WHERE number BETWEEN 1 AND present.attempt - 1)
                         <> present.attempt - 1)"
        ),
        invariant!(
            conn,
            "I18",
            "tries_bounded",
            "tries are bounded, and only errors of the job itself are counted",
            "SELECT 'job ' || present.id
               FROM (SELECT tenant_id, id, attempt, tries FROM ready WHERE tries <> 0
                      UNION ALL
                     SELECT tenant_id, id, attempt, tries FROM inflight WHERE tries <> 0)
                    AS present
              WHERE present.tries NOT BETWEEN 0 AND $1::integer - 1
                 OR present.tries > (SELECT count(*)
                                       FROM attempt a
                                      WHERE a.tenant_id = present.tenant_id AND a.id = present.id
                                        AND a.attempt < present.attempt
                                        AND a.outcome = 'errored')",
            max_tries
        ),
    ])
}
