//! What breaks each invariant, as one statement behind the product's back. Every
//! way in which a check finds something has one.

/// A late twin with what it billed, as `sweep` writes it.
pub(super) const TWIN: &str = "
    WITH noted AS (
        INSERT INTO offpeak.incident (kind, at, upstream_id, upstream_batch_id, detail,
                                      absorbed_pico, absorbed_sync_pico)
        SELECT 'late_twin', now(), id, 'msgbatch_twin', 'its jobs went on without it', 7, 14
          FROM offpeak.upstream),
    found AS (
        INSERT INTO offpeak.twin (upstream_id, upstream_batch_id, found_at, look_at, read_at)
        SELECT id, 'msgbatch_twin', now(), now(), now() FROM offpeak.upstream)
    INSERT INTO offpeak.absorbed
    SELECT id, 'msgbatch_twin', 'o1_any', now(), current_date, 'any', 1, 1, 0, 0, 0, 0, 7, 14
      FROM offpeak.upstream";

pub(super) const MEDDLING: &[(&str, &str)] = &[
    ("events_dense", "DELETE FROM offpeak.event WHERE seq = 2"),
    ("events_dense", "UPDATE offpeak.stream SET seq = seq + 1"),
    ("events_dense", "DELETE FROM offpeak.stream"),
    ("events_agree", "UPDATE offpeak.event SET state = 'failed' WHERE kind = 'job'"),
    ("events_agree", "UPDATE offpeak.event SET state = 'sending' WHERE kind = 'batch'"),
    ("events_agree", "INSERT INTO offpeak.event_in (tenant_id, kind, state, ids)
                      SELECT tenant_id, 'job', 'failed', ARRAY[id] FROM offpeak.job LIMIT 1"),
    ("params_kept", "DELETE FROM offpeak.payload WHERE id = (SELECT id FROM offpeak.job LIMIT 1)"),
    ("params_kept", "UPDATE offpeak.payload SET params = params || ' '::bytea, key_id = 0
                      WHERE id = (SELECT id FROM offpeak.job LIMIT 1)"),
    ("key_once", "UPDATE offpeak.idempotency SET job_id = gen_random_uuid() WHERE job_id IS NOT NULL"),
    ("key_once", "UPDATE offpeak.idempotency SET group_id = gen_random_uuid() WHERE key = 'first'"),
    ("key_once", "INSERT INTO offpeak.idempotency (tenant_id, key, job_id, created_at)
                  SELECT tenant_id, 'another', job_id, now() FROM offpeak.idempotency
                   WHERE job_id IS NOT NULL"),
    ("not_lost", "DELETE FROM offpeak.ready"),
    ("not_lost", "DELETE FROM offpeak.inflight WHERE NOT canceled"),
    ("not_lost", "DELETE FROM offpeak.result"),
    ("not_twice", "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority,
                                              not_before, bytes, attempt)
                   SELECT j.tenant_id, j.id, j.bucket_id, j.group_id, 0, now(), j.bytes, 1
                     FROM offpeak.job j JOIN offpeak.result r USING (tenant_id, id) LIMIT 1"),
    ("not_twice", "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority,
                                              not_before, bytes, attempt)
                   SELECT j.tenant_id, j.id, j.bucket_id, j.group_id, 0, now(), j.bytes, i.attempt
                     FROM offpeak.job j JOIN offpeak.inflight i USING (tenant_id, id)
                    WHERE NOT i.canceled LIMIT 1"),
    ("not_twice", "UPDATE offpeak.inflight SET canceled = false"),
    ("not_twice", "INSERT INTO offpeak.inflight
                   SELECT (jsonb_populate_record(i, jsonb_build_object('batch_id', gen_random_uuid()))).*
                     FROM offpeak.inflight i WHERE NOT i.canceled LIMIT 1"),
    ("not_twice", "INSERT INTO offpeak.inflight
                   SELECT (jsonb_populate_record(i, jsonb_build_object('batch_id', gen_random_uuid()))).*
                     FROM offpeak.inflight i WHERE i.canceled LIMIT 1"),
    ("late_lines", "DELETE FROM offpeak.result r USING offpeak.inflight i WHERE r.id = i.id"),
    ("late_lines", "UPDATE offpeak.result SET attempt = attempt + 1 WHERE outcome = 'canceled'"),
    ("late_lines", "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority,
                                               not_before, bytes, attempt)
                    SELECT j.tenant_id, j.id, j.bucket_id, j.group_id, 0, now(), j.bytes, 2
                      FROM offpeak.job j JOIN offpeak.inflight i USING (tenant_id, id)
                     WHERE i.canceled"),
    ("staged_unseen", "DELETE FROM offpeak.job_group WHERE opened_at IS NOT NULL"),
    ("staged_unseen", "UPDATE offpeak.job_group SET opened_at = NULL WHERE name = 'first'"),
    ("staged_unseen", "UPDATE offpeak.job_group SET opened_at = NULL WHERE name = 'waiting'"),
    ("staged_unseen", "UPDATE offpeak.job_group SET opened_at = NULL WHERE name = 'planned'"),
    ("no_strays", "DELETE FROM offpeak.job WHERE id IN (SELECT id FROM offpeak.ready)"),
    ("no_strays", "WITH p AS (DELETE FROM offpeak.payload), o AS (DELETE FROM offpeak.output),
                        r AS (DELETE FROM offpeak.result), q AS (DELETE FROM offpeak.ready),
                        i AS (DELETE FROM offpeak.inflight)
                   DELETE FROM offpeak.job"),
    ("queue_agrees", "UPDATE offpeak.ready SET bytes = bytes + 1"),
    ("queue_agrees", "UPDATE offpeak.ready SET group_id = NULL WHERE group_id IS NOT NULL"),
    ("queue_agrees", "DELETE FROM offpeak.bucket"),
    ("queue_agrees", "UPDATE offpeak.inflight SET bytes = bytes + 1"),
    ("queue_agrees", "UPDATE offpeak.inflight SET group_id = gen_random_uuid()"),
    ("queue_agrees", "UPDATE offpeak.batch SET bucket_id = gen_random_uuid() WHERE state = 'planned'"),
    ("no_resend", "UPDATE offpeak.batch SET state = 'uncertain' WHERE state = 'refuted'"),
    ("no_resend", "UPDATE offpeak.batch SET sent_at = sent_at - interval '1 day'
                    WHERE id IN (SELECT batch_id FROM offpeak.result WHERE attempt > 1)"),
    ("no_resend", "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority,
                                              not_before, bytes, attempt)
                   SELECT j.tenant_id, j.id, j.bucket_id, j.group_id, 0, now(), j.bytes, i.attempt + 1
                     FROM offpeak.job j JOIN offpeak.inflight i USING (tenant_id, id) LIMIT 1"),
    ("answers_kept", "DELETE FROM offpeak.output"),
    ("answers_kept", "DELETE FROM offpeak.result WHERE outcome = 'completed'"),
    ("answers_kept", "INSERT INTO offpeak.output (tenant_id, id, line)
                      SELECT tenant_id, id, '{}' FROM offpeak.result WHERE outcome = 'canceled'"),
    ("attempts_kept", "DELETE FROM offpeak.attempt WHERE outcome = 'refuted'"),
    ("attempts_kept", "UPDATE offpeak.ready SET attempt = 2"),
    ("attempts_kept", "UPDATE offpeak.inflight SET attempt = 0"),
    ("tries_bounded", "UPDATE offpeak.ready SET tries = 5"),
    ("tries_bounded", "UPDATE offpeak.ready SET tries = -1"),
    ("tries_bounded", "UPDATE offpeak.inflight SET tries = 1"),
    ("followers_led", "UPDATE offpeak.ready SET source_id = gen_random_uuid() WHERE lane = 'follow'"),
    ("followers_led", "UPDATE offpeak.ready SET source_id = NULL WHERE lane = 'follow'"),
    ("followers_led", "UPDATE offpeak.ready SET lane = 'batch' WHERE lane = 'follow'"),
    ("followers_led", "UPDATE offpeak.ready SET source_id = (SELECT id FROM offpeak.result ORDER BY ended_at LIMIT 1)
                        WHERE lane = 'follow'"),
    ("followers_led", "UPDATE offpeak.ready SET lane = 'follow', source_id = gen_random_uuid()
                        WHERE id IN (SELECT source_id FROM offpeak.ready WHERE lane = 'follow')"),
    ("leaders_open", "UPDATE offpeak.alike SET job_id = gen_random_uuid()"),
    ("leaders_open", "UPDATE offpeak.alike SET job_id = (SELECT id FROM offpeak.result LIMIT 1)"),
    ("leaders_open", "UPDATE offpeak.alike SET ended_at = now(), kept_until = now()"),
    ("leaders_open", "INSERT INTO offpeak.alike (tenant_id, hash, job_id, lane, priority)
                      SELECT tenant_id, j.hash, id, 'batch', 0
                        FROM offpeak.job j JOIN offpeak.result r USING (tenant_id, id)
                       WHERE r.outcome = 'completed' ORDER BY r.ended_at LIMIT 1"),
    ("copies_are_free", "UPDATE offpeak.ledger SET input_tokens = 1 WHERE source_id IS NOT NULL"),
    ("copies_are_free", "UPDATE offpeak.ledger SET source_id = gen_random_uuid()
                          WHERE source_id IS NOT NULL"),
    ("copies_are_free", "UPDATE offpeak.result SET source_id = id WHERE source_id IS NOT NULL"),
    ("copies_are_free", "UPDATE offpeak.result SET cost_pico = 1 WHERE source_id IS NOT NULL"),
    ("intent_first", "UPDATE offpeak.batch SET planned_at = sent_at + interval '1 s'
                      WHERE sent_at IS NOT NULL"),
    ("intent_first", "UPDATE offpeak.batch SET sent_at = planned_at WHERE state = 'planned'"),
    ("intent_first", "UPDATE offpeak.batch SET upstream_batch_id = 'msgbatch_any', created_at = now(),
                             expires_at = now() WHERE state = 'refuted'"),
    ("intent_first", "UPDATE offpeak.batch SET created_at = NULL WHERE state = 'ingested'"),
    ("intent_first", "UPDATE offpeak.batch SET expires_at = NULL WHERE state = 'in_progress'"),
    ("message_batch_once", "INSERT INTO offpeak.twin (upstream_id, upstream_batch_id, found_at, look_at)
                            SELECT upstream_id, upstream_batch_id, now(), now() FROM offpeak.batch
                             WHERE upstream_batch_id IS NOT NULL"),
    ("message_batch_once", "INSERT INTO offpeak.foreign_batch
                            SELECT upstream_id, upstream_batch_id, now() FROM offpeak.batch
                             WHERE upstream_batch_id IS NOT NULL"),
    ("message_batch_once", "INSERT INTO offpeak.batch
                            SELECT (jsonb_populate_record(b, jsonb_build_object(
                                       'tenant_id', gen_random_uuid(), 'id', gen_random_uuid()))).*
                              FROM offpeak.batch b WHERE state = 'ingested' LIMIT 1"),
    ("done_is_empty", "UPDATE offpeak.inflight SET batch_id = (SELECT id FROM offpeak.batch
                                                                WHERE state = 'ingested' LIMIT 1)"),
    ("done_is_empty", "UPDATE offpeak.inflight SET batch_id = (SELECT id FROM offpeak.batch
                                                                WHERE state = 'rejected' LIMIT 1)"),
    ("done_is_empty", "UPDATE offpeak.batch SET freed_at = now() WHERE state = 'ingested'"),
    ("items_kept", "UPDATE offpeak.batch SET items = items + 1 WHERE state = 'ingested'"),
    ("items_kept", "UPDATE offpeak.batch SET items = items - 1 WHERE state = 'ingested' AND items > 1"),
    ("items_kept", "UPDATE offpeak.batch SET items = items + 1 WHERE state = 'planned'"),
    ("items_kept", "DELETE FROM offpeak.inflight WHERE canceled"),
    ("items_kept", "DELETE FROM offpeak.attempt WHERE outcome = 'refuted'"),
    ("items_kept", "DELETE FROM offpeak.result WHERE outcome = 'failed'"),
    ("counts_told", "UPDATE offpeak.batch SET succeeded = succeeded + 1 WHERE state = 'ingested'"),
    ("ends_in_order", "UPDATE offpeak.batch SET state = 'in_progress', ended_at = NULL,
                              ingested_at = NULL WHERE state = 'ingested'"),
    ("ends_in_order", "UPDATE offpeak.batch SET state = 'refuted' WHERE state = 'rejected'"),
    ("ends_in_order", "DELETE FROM offpeak.batch WHERE state = 'ingested'"),
    ("ends_in_order", "UPDATE offpeak.quarantine SET batch_id = (SELECT id FROM offpeak.batch
                                                                  WHERE state = 'planned')"),
    ("ends_in_order", "UPDATE offpeak.ledger SET batch_id = (SELECT id FROM offpeak.batch
                                                              WHERE state = 'refuted' LIMIT 1)
                        WHERE (id, attempt) = (SELECT id, attempt FROM offpeak.ledger LIMIT 1)"),
    ("ends_in_order", "UPDATE offpeak.result SET batch_id = NULL"),
    ("one_tenant", "UPDATE offpeak.inflight SET tenant_id = gen_random_uuid()"),
    ("one_tenant", "UPDATE offpeak.batch SET model = 'another' WHERE state = 'planned'"),
    ("one_tenant", "INSERT INTO offpeak.batch
                    SELECT (jsonb_populate_record(b, jsonb_build_object('tenant_id', gen_random_uuid()))).*
                      FROM offpeak.batch b WHERE state = 'planned' LIMIT 1"),
    ("one_tenant", "INSERT INTO offpeak.job
                    SELECT (jsonb_populate_record(j, jsonb_build_object('tenant_id', gen_random_uuid()))).*
                      FROM offpeak.job j LIMIT 1"),
    ("one_tenant", "INSERT INTO offpeak.bucket SELECT gen_random_uuid(), id, upstream_id, model
                      FROM offpeak.bucket"),
    ("leases", "UPDATE offpeak.lease SET epoch = 0"),
    ("leases", "UPDATE offpeak.lease SET expires_at = now() + interval '2 days'"),
    ("lateness_noted", "UPDATE offpeak.batch SET expires_at = expires_at - interval '3 days'
                         WHERE state = 'in_progress'"),
    ("lateness_noted", "UPDATE offpeak.batch SET state = 'ended', ended_at = created_at - interval '3 days'
                         WHERE state = 'in_progress'"),
    ("booked_once", "INSERT INTO offpeak.ledger
                     SELECT (jsonb_populate_record(l, jsonb_build_object('batch_id', gen_random_uuid()))).*
                       FROM offpeak.ledger l LIMIT 1"),
    ("booked_once", "UPDATE offpeak.ledger SET group_id = NULL"),
    ("booked_once", "UPDATE offpeak.ledger SET tenant_id = gen_random_uuid()"),
    ("sums_agree", "UPDATE offpeak.ledger SET cost_pico = cost_pico + 1"),
    ("sums_agree", "UPDATE offpeak.ledger SET output_tokens = output_tokens + 1"),
    ("sums_agree", "UPDATE offpeak.tally SET input_tokens = input_tokens + 1
                     WHERE scope = 'group' AND name = 'billed'"),
    ("sums_agree", "DELETE FROM offpeak.tally WHERE scope = 'tenant' AND name = 'billed'"),
    ("sums_agree", "DELETE FROM offpeak.ledger"),
    ("savings_add_up", "UPDATE offpeak.ledger SET saved_batch_pico = saved_batch_pico - 1"),
    ("savings_add_up", "UPDATE offpeak.ledger SET saved_cache_pico = saved_cache_pico + 1"),
    ("savings_add_up", "UPDATE offpeak.ledger SET saved_reuse_pico = saved_reuse_pico + 1"),
    ("savings_add_up", "UPDATE offpeak.ledger SET saved_batch_pico = NULL, saved_cache_pico = 1"),
    ("savings_add_up", "UPDATE offpeak.ledger SET lane = 'direct'"),
    ("savings_add_up", "UPDATE offpeak.ledger SET unpriced = true"),
    ("savings_add_up", "UPDATE offpeak.ledger SET source_id = id"),
    ("savings_add_up", "UPDATE offpeak.ledger SET saved_reuse_pico = 0, saved_batch_pico = sync_pico
                         WHERE source_id IS NOT NULL"),
    ("costs_agree", "UPDATE offpeak.ledger SET cost_pico = cost_pico + 1"),
    ("costs_agree", "UPDATE offpeak.attempt SET cost_pico = cost_pico + 1 WHERE outcome = 'completed'"),
    ("costs_agree", "UPDATE offpeak.result SET output_tokens = output_tokens + 1"),
    ("costs_agree", "DELETE FROM offpeak.ledger"),
    ("unbilled_is_free", "UPDATE offpeak.attempt SET cost_pico = 1 WHERE outcome = 'errored'"),
    ("unbilled_is_free", "UPDATE offpeak.result SET cost_pico = 1 WHERE outcome = 'canceled'"),
    ("unbilled_is_free", "UPDATE offpeak.result SET cost_pico = 1 WHERE label = 'invalid_request'"),
    ("absorbed_is_noted", "UPDATE offpeak.absorbed SET cost_pico = cost_pico + 1"),
    ("absorbed_is_noted", "DELETE FROM offpeak.incident WHERE kind = 'late_twin'"),
    ("absorbed_is_noted", "DELETE FROM offpeak.absorbed"),
    ("bucket_counts", "DELETE FROM offpeak.ready"),
    ("bucket_counts", "DELETE FROM offpeak.delta WHERE scope = 'bucket'"),
    ("bucket_counts", "UPDATE offpeak.tally SET bytes = bytes + 1 WHERE scope = 'bucket'"),
    ("state_counts", "DELETE FROM offpeak.delta WHERE scope = 'tenant'"),
    ("state_counts", "UPDATE offpeak.tally SET n = n + 1 WHERE scope = 'group' AND name = 'total'"),
    ("state_counts", "DELETE FROM offpeak.tally WHERE scope = 'group' AND name = 'completed'"),
    ("state_counts", "UPDATE offpeak.tally SET n = n + 1 WHERE scope = 'group' AND name = 'queued'"),
    ("uploads_counted", "UPDATE offpeak.job_group SET jobs = jobs + 1 WHERE name = 'first'"),
    ("walled", "ALTER TABLE offpeak.ready NO FORCE ROW LEVEL SECURITY"),
    ("reserved_agrees", "UPDATE offpeak.budget_use SET reserved_pico = reserved_pico + 1"),
    ("reserved_agrees", "DELETE FROM offpeak.reservation"),
    ("reserved_agrees", "DELETE FROM offpeak.budget_use"),
    ("reserved_for_open", "UPDATE offpeak.reservation SET job_id = gen_random_uuid()"),
    ("reserved_for_open", "UPDATE offpeak.reservation
                              SET job_id = (SELECT id FROM offpeak.result r
                                             WHERE NOT EXISTS (SELECT FROM offpeak.inflight i
                                                                WHERE i.id = r.id)
                                             LIMIT 1)
                            WHERE job_id = (SELECT job_id FROM offpeak.reservation LIMIT 1)"),
    ("spent_was_booked", "UPDATE offpeak.budget_use SET spent_pico = spent_pico + 1"),
    ("walled", "ALTER TABLE offpeak.tenant DISABLE ROW LEVEL SECURITY"),
    ("walled", "DO $$ BEGIN EXECUTE format('GRANT SELECT ON offpeak.job_%s TO offpeak_api',
                                           to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END $$"),
    ("weak_roles", "ALTER ROLE offpeak_worker BYPASSRLS"),
    ("weak_roles", "ALTER TABLE offpeak.share OWNER TO offpeak_worker"),
    ("weak_roles", "GRANT offpeak_owner TO offpeak_api"),
    ("no_crossing", "ALTER TABLE offpeak.inflight ADD FOREIGN KEY (tenant_id, batch_id)
                         REFERENCES offpeak.batch"),
    ("partitions", "DO $$ BEGIN EXECUTE format('DROP TABLE offpeak.attempt_%s',
                                               to_char(now() AT TIME ZONE 'UTC' + interval '2 days',
                                                       'YYYYMMDD')); END $$"),
];
