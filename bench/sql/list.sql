-- Five million jobs in 200 tenants over seven days: tenant 0 has four million.
-- Heads, results and queue rows stand as the product leaves them; payloads and
-- outputs, which no list reads, are left out. Runs as the superuser.

-- Partitions of the days before yesterday, which the product made in its time.
DO $$
DECLARE parent text; day date;
BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'payload', 'result', 'output', 'attempt'] LOOP
        FOR back IN 2..7 LOOP
            day := (clock_timestamp() AT TIME ZONE 'UTC')::date - back;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || to_char(day, '_YYYYMMDD'), parent, v7_floor(day), v7_floor(day + 1));
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION pg_temp.v7(at timestamptz, salt bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(salt::text), 1, 3) || '8' || substr(md5(salt::text), 4, 15))::uuid;
CREATE FUNCTION pg_temp.plain(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('0192' || lpad(to_hex(kind), 4, '0') || '-0000-7000-8000-'
            || lpad(to_hex(n), 12, '0'))::uuid;

INSERT INTO tenant (id, name)
SELECT pg_temp.plain(1, n), 'tenant-' || n FROM generate_series(0, 199) AS n;
INSERT INTO upstream (id, name, base_url, creates_per_minute, max_queued_items)
VALUES ('00000000-0000-0000-0000-000000000000', 'bench', 'http://localhost', 50, 100000)
    ON CONFLICT DO NOTHING;

INSERT INTO job_type (tenant_id, name, version, definition)
SELECT '00000000-0000-0000-0000-000000000000', name, 1, '{}'
  FROM unnest(ARRAY['rare', 'type-0', 'type-1', 'type-2', 'type-3', 'type-4', 'type-5',
                    'type-6']) AS name;

-- One row per job, oldest first. Of four jobs in five tenant 0 is the owner;
-- the last 120,000 are still open.
CREATE TEMP TABLE plan AS
SELECT n, tenant_id, pg_temp.v7(at, n) AS id, at,
       -- Groups of 10,000 neighbours, in three of ten stretches.
       CASE WHEN n / 50000 % 10 IN (0, 4, 9) THEN pg_temp.plain(2, n / 50000 * 1000 + tenant) END AS group_id,
       CASE WHEN n % 1000000 = 77777 THEN 'rare'
            WHEN n % 10 < 9 THEN 'type-' || n % 7 END AS type,
       'user-' || (dice * dice * 20000)::integer AS user_label,
       (ARRAY['claude-haiku-4-5', 'claude-sonnet-4-5', 'claude-opus-4-5'])[1 + n % 3] AS model,
       CASE WHEN n > 4880000 THEN CASE WHEN n % 3 = 0 THEN 'ready' ELSE 'inflight' END
            WHEN n % 40 = 0 THEN 'failed' WHEN n % 200 = 1 THEN 'canceled'
            ELSE 'completed' END AS stand,
       CASE WHEN n > 4880000 THEN pg_temp.plain(3, n / 20000 * 1000 + tenant) END AS batch_id
  FROM (SELECT n, tenant, pg_temp.plain(1, tenant) AS tenant_id,
               clock_timestamp() - interval '6 days' * ((5000001 - n) / 5000000.0) AS at,
               (hashint8(n)::bigint + 2147483648) / 4294967296.0 AS dice
          FROM (SELECT n, CASE WHEN n % 5 < 4 THEN 0 ELSE 1 + n / 5 % 199 END AS tenant
                  FROM generate_series(1, 5000000) AS n) AS numbered) AS placed;

INSERT INTO job_group (tenant_id, id, name, created_at, opened_at, jobs)
SELECT tenant_id, group_id, 'import', min(at), min(at), count(*) FROM plan
 WHERE group_id IS NOT NULL GROUP BY 1, 2;
INSERT INTO bucket (tenant_id, id, upstream_id, model)
SELECT DISTINCT tenant_id, md5(model)::uuid, '00000000-0000-0000-0000-000000000000'::uuid, model
  FROM plan;
INSERT INTO job (tenant_id, id, group_id, type, type_version, user_label, model, upstream_id,
                 bucket_id, lane, priority, bytes)
SELECT tenant_id, id, group_id, type, CASE WHEN type IS NOT NULL THEN 1 END, user_label, model,
       '00000000-0000-0000-0000-000000000000', md5(model)::uuid, 'batch', 0, 2000
  FROM plan;
INSERT INTO result (tenant_id, id, outcome, label, message, group_id, type, user_label, model,
                    batch_id, attempt, ended_at, stop_reason, input_tokens, output_tokens,
                    cost_pico, sync_pico, line_hash)
SELECT tenant_id, id, stand, CASE stand WHEN 'failed' THEN 'rejected' END, NULL, group_id, type,
       user_label, model, pg_temp.plain(3, n / 20000), 1, at + interval '1 hour', 'end_turn',
       500, 200, 1000000, 2000000, sha256(n::text::bytea)
  FROM plan WHERE stand IN ('completed', 'failed', 'canceled');
INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes, attempt)
SELECT tenant_id, id, md5(model)::uuid, group_id, 0, at, 2000, 1 FROM plan WHERE stand = 'ready';
INSERT INTO batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason, items,
                   body_bytes, planned_at, not_before, sent_at, upstream_batch_id, created_at,
                   expires_at, next_poll_at, ended_at)
SELECT tenant_id, batch_id, '00000000-0000-0000-0000-000000000000', md5(min(model))::uuid,
       min(model), state, 'item_limit', count(*), 1000000, min(at), min(at), min(at),
       'msgbatch_' || batch_id, min(at), min(at) + interval '1 day', min(at) + interval '1 hour',
       CASE state WHEN 'ended' THEN min(at) END
  FROM (SELECT *, CASE n / 20000 % 3 WHEN 0 THEN 'in_progress' WHEN 1 THEN 'ended'
                  ELSE 'uncertain' END AS state
          FROM plan WHERE stand = 'inflight') AS open
 GROUP BY tenant_id, batch_id, state;
INSERT INTO inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes)
SELECT tenant_id, batch_id, id, group_id, 1, 1, 2000 FROM plan WHERE stand = 'inflight';
-- Counts as relay leaves them, with a part that is not folded yet.
INSERT INTO tally (tenant_id, scope, key, name, n, bytes, input_tokens, output_tokens, cost_pico,
                   sync_pico)
SELECT tenant_id, 'group', group_id, name, n, 0, 0, 0, 0, 0
  FROM (SELECT tenant_id, group_id,
               CASE stand WHEN 'ready' THEN 'queued' WHEN 'inflight' THEN 'submitted'
                          ELSE stand END AS name, count(*) AS n
          FROM plan WHERE group_id IS NOT NULL GROUP BY 1, 2, 3
         UNION ALL
        SELECT tenant_id, group_id, 'total', count(*) FROM plan
         WHERE group_id IS NOT NULL GROUP BY 1, 2) AS counted;
INSERT INTO delta (tenant_id, scope, key, name, n)
SELECT tenant_id, 'group', id, 'completed', 0 FROM job_group, generate_series(1, 20);
DROP TABLE plan;
