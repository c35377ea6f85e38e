-- A long history and a long queue: finished jobs, then jobs that wait in 1,000
-- buckets of 200 tenants. Ten buckets are long, since the bench takes from the
-- same ones again and again. $FINISHED and $READY are put in by the bench; with
-- none finished and a short queue it is a fresh system. Superuser.

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
-- Bucket n of tenant n % 200; its model tells the buckets of a tenant apart.
INSERT INTO bucket (tenant_id, id, upstream_id, model)
SELECT pg_temp.plain(1, n % 200), pg_temp.plain(4, n), '00000000-0000-0000-0000-000000000000',
       'model-' || n / 200
  FROM generate_series(0, 999) AS n;

CREATE TEMP TABLE plan AS
SELECT n, pg_temp.v7(at, n) AS id, at, n > $FINISHED AS waits,
       -- Three of ten that wait stand in the ten long buckets.
       CASE WHEN n > $FINISHED AND n % 10 < $LONG THEN n / 10 % 10
            ELSE 10 + hashint8(n)::bigint % 495 + 495 END AS bucket
  FROM (SELECT n, clock_timestamp() - interval '1 hour'
                  - interval '6 days' * (1 - n / ($FINISHED + $READY)::numeric) AS at
          FROM generate_series(1, $FINISHED + $READY) AS n) AS numbered;
INSERT INTO job (tenant_id, id, model, upstream_id, bucket_id, lane, priority, bytes)
SELECT pg_temp.plain(1, bucket % 200), id, 'model-' || bucket / 200,
       '00000000-0000-0000-0000-000000000000', pg_temp.plain(4, bucket), 'batch', 0, 20
  FROM plan;
INSERT INTO payload (tenant_id, id, params)
SELECT pg_temp.plain(1, bucket % 200), id, '{"max_tokens":1024}' FROM plan;
INSERT INTO result (tenant_id, id, outcome, model, batch_id, attempt, ended_at, stop_reason,
                    input_tokens, output_tokens, cost_pico, sync_pico, line_hash)
SELECT pg_temp.plain(1, bucket % 200), id, 'completed', 'model-' || bucket / 200,
       pg_temp.plain(3, n / 10000), 1, at + interval '1 hour', 'end_turn', 500, 200, 1, 2,
       sha256(n::text::bytea)
  FROM plan WHERE NOT waits;
INSERT INTO output (tenant_id, id, line)
SELECT pg_temp.plain(1, bucket % 200), id, '{"result":{}}' FROM plan WHERE NOT waits;
INSERT INTO ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt)
SELECT pg_temp.plain(1, bucket % 200), id, pg_temp.plain(4, bucket), 0, at, 20, 1
  FROM plan WHERE waits;
INSERT INTO tally (tenant_id, scope, key, name, n, bytes, input_tokens, output_tokens, cost_pico,
                   sync_pico)
SELECT pg_temp.plain(1, bucket % 200), 'bucket', pg_temp.plain(4, bucket), 'ready', count(*),
       20 * count(*), 0, 0, 0, 0
  FROM plan WHERE waits GROUP BY bucket;
DROP TABLE plan;
