//! Money: the ledger, and everything that says the same.

use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I12",
            "booked_once",
            "an attempt is booked once, and belongs to the job's tenant and group",
            "SELECT 'job ' || id
               FROM ledger
              GROUP BY tenant_id, id, attempt
             HAVING count(*) > 1
              UNION ALL
             SELECT 'job ' || l.id
               FROM ledger l
               JOIN job j ON j.id = l.id
              WHERE j.tenant_id <> l.tenant_id OR j.group_id IS DISTINCT FROM l.group_id"
        ),
        invariant!(
            conn,
            "I12",
            "sums_agree",
            "the sums of money and tokens are those of the ledger, for each tenant and group",
            "WITH said AS (
                 SELECT tenant_id, scope, key, sum(n) AS n, sum(input_tokens) AS input,
                        sum(output_tokens) AS output, sum(cost_pico) AS cost,
                        sum(sync_pico) AS sync
                   FROM (SELECT tenant_id, scope, key, name, n, input_tokens, output_tokens,
                                cost_pico, sync_pico
                           FROM tally
                          UNION ALL
                         SELECT tenant_id, scope, key, name, n, input_tokens, output_tokens,
                                cost_pico, sync_pico
                           FROM delta) AS change
                  WHERE name = 'billed'
                  GROUP BY tenant_id, scope, key),
             booked AS (
                 SELECT tenant_id, CASE WHEN GROUPING(group_id) = 1 THEN 'tenant' ELSE 'group' END
                            AS scope,
                        coalesce(group_id, '00000000-0000-0000-0000-000000000000') AS key,
                        count(*) AS n, sum(input_tokens) AS input, sum(output_tokens) AS output,
                        sum(cost_pico) AS cost, sum(sync_pico) AS sync
                   FROM ledger
                  GROUP BY GROUPING SETS ((tenant_id), (tenant_id, group_id))
                 HAVING GROUPING(group_id) = 1 OR group_id IS NOT NULL)
             SELECT coalesce(said.scope, booked.scope) || ' '
                    || CASE coalesce(said.scope, booked.scope)
                            WHEN 'tenant' THEN coalesce(said.tenant_id, booked.tenant_id)
                            ELSE coalesce(said.key, booked.key) END
               FROM said
               FULL JOIN booked ON booked.tenant_id = said.tenant_id
                               AND booked.scope = said.scope AND booked.key = said.key
              WHERE NOT EXISTS (SELECT FROM erasure e
                                 WHERE e.tenant_id = coalesce(said.tenant_id, booked.tenant_id))
                AND (coalesce(said.n, 0), coalesce(said.input, 0), coalesce(said.output, 0),
                     coalesce(said.cost, 0), coalesce(said.sync, 0))
                    <> (coalesce(booked.n, 0), coalesce(booked.input, 0),
                        coalesce(booked.output, 0), coalesce(booked.cost, 0),
                        coalesce(booked.sync, 0))"
        ),
        invariant!(
            conn,
            "I12",
            "savings_add_up",
            "what an entry would have cost is what it cost and what each saving took off",
            // Without the saving of its batch it is one of version 0.1.0, which knew no other.
            "SELECT 'job ' || id
               FROM ledger
              WHERE CASE WHEN saved_batch_pico IS NULL
                         THEN (saved_cache_pico, saved_reuse_pico) <> (0, 0)
                         ELSE sync_pico <> cost_pico + saved_batch_pico + saved_cache_pico
                                           + saved_reuse_pico END
                 OR lane = 'direct' AND saved_batch_pico <> 0
                 OR unpriced AND (cost_pico, sync_pico, saved_cache_pico, saved_reuse_pico)
                                 <> (0, 0, 0, 0)
                 OR source_id IS NOT NULL AND (cost_pico <> 0 OR saved_reuse_pico <> sync_pico)"
        ),
        invariant!(
            conn,
            "I12",
            "copies_are_free",
            "what reused another job's attempt names a job of the same tenant, and has used nothing",
            "SELECT 'job ' || copy.id
               FROM (SELECT tenant_id, id, source_id,
                            input_tokens + output_tokens + cache_write_5m + cache_write_1h
                            + cache_read_tokens + web_searches AS used, cost_pico
                       FROM ledger WHERE source_id IS NOT NULL
                      UNION ALL
                     SELECT tenant_id, id, source_id,
                            input_tokens + output_tokens + cache_write_tokens + cache_read_tokens,
                            cost_pico
                       FROM result WHERE source_id IS NOT NULL) AS copy
              WHERE (copy.used, copy.cost_pico) <> (0, 0)
                 OR copy.source_id = copy.id
                 OR NOT EXISTS (SELECT FROM job j
                                 WHERE j.tenant_id = copy.tenant_id AND j.id = copy.source_id)"
        ),
        invariant!(
            conn,
            "I12",
            "costs_agree",
            "what a result or an attempt has cost is what the ledger says",
            "WITH said AS (
                 SELECT tenant_id, batch_id, id, sum(cost_pico) AS cost
                   FROM (SELECT tenant_id, batch_id, id, cost_pico FROM result
                          UNION ALL
                         SELECT tenant_id, batch_id, id, cost_pico FROM attempt) AS part
                  GROUP BY tenant_id, batch_id, id)
             SELECT 'job ' || coalesce(l.id, said.id)
               FROM said
               FULL JOIN ledger l ON l.tenant_id = said.tenant_id
                                 AND l.batch_id = said.batch_id AND l.id = said.id
              WHERE coalesce(said.cost, 0) <> coalesce(l.cost_pico, 0)
                -- What went ahead of a batch is no job's: it stands under the batch's id.
                AND l.id IS DISTINCT FROM l.batch_id
                AND NOT EXISTS (SELECT FROM erasure e
                                 WHERE e.tenant_id = coalesce(said.tenant_id, l.tenant_id))
              UNION ALL
             SELECT 'job ' || r.id
               FROM result r
               LEFT JOIN ledger l ON l.tenant_id = r.tenant_id AND l.id = r.id
                                 AND (l.batch_id = r.batch_id OR l.source_id = r.source_id)
              -- One that was ended by hand, or by its deadline, has nothing of its late line.
              WHERE r.outcome <> 'canceled' AND r.label IS DISTINCT FROM 'deadline_missed'
                AND (r.sync_pico, r.input_tokens, r.output_tokens)
                    <> (coalesce(l.sync_pico, 0), coalesce(l.input_tokens, 0),
                        coalesce(l.output_tokens, 0))"
        ),
        invariant!(
            conn,
            "I13",
            "unbilled_is_free",
            "what Anthropic does not bill costs nothing",
            "SELECT 'job ' || id
               FROM attempt
              WHERE outcome IN ('errored', 'canceled', 'expired', 'refuted', 'rejected')
                AND cost_pico <> 0
              UNION ALL
             SELECT 'job ' || id
               FROM result
              WHERE (outcome = 'canceled'
                     OR label IN ('rejected_alone', 'invalid_request', 'too_many_tries',
                                  'result_missing', 'result_unreadable'))
                AND cost_pico <> 0"
        ),
        invariant!(
            conn,
            "I12",
            "absorbed_is_noted",
            "what late twins, and lost answers ahead of a batch, have billed is what their incidents say",
            "WITH booked AS (
                 SELECT upstream_id, upstream_batch_id, sum(cost_pico) AS cost,
                        sum(sync_pico) AS sync
                   FROM absorbed GROUP BY upstream_id, upstream_batch_id),
             noted AS (
                 SELECT upstream_id, upstream_batch_id, sum(absorbed_pico) AS cost,
                        sum(absorbed_sync_pico) AS sync
                   FROM incident WHERE upstream_batch_id IS NOT NULL
                  GROUP BY upstream_id, upstream_batch_id)
             SELECT 'message batch ' || coalesce(booked.upstream_batch_id, noted.upstream_batch_id)
               FROM booked
               FULL JOIN noted ON noted.upstream_id = booked.upstream_id
                              AND noted.upstream_batch_id = booked.upstream_batch_id
              WHERE (coalesce(booked.cost, 0), coalesce(booked.sync, 0))
                    <> (coalesce(noted.cost, 0), coalesce(noted.sync, 0))"
        ),
    ])
}
