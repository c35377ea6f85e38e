-- $OTHERS finished jobs of 199 tenants and $MINE of one whose time is over, all of one
-- day, three days ago; on the fresh side the one tenant alone. Superuser.

DO $$
DECLARE parent text; day date := (clock_timestamp() AT TIME ZONE 'UTC')::date - 3;
BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'payload', 'result', 'output', 'attempt'] LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            parent || to_char(day, '_YYYYMMDD'), parent, v7_floor(day), v7_floor(day + 1));
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
INSERT INTO retention (tenant_id, inputs_days, results_days, changed_at)
VALUES (pg_temp.plain(1, 0), 1, 1, clock_timestamp());

CREATE TEMP TABLE plan AS
SELECT n, CASE WHEN n <= $MINE THEN 0 ELSE 1 + n % 199 END AS whose, pg_temp.v7(at, n) AS id, at
  FROM (SELECT n, ((clock_timestamp() AT TIME ZONE 'UTC')::date - 3)::timestamp AT TIME ZONE 'UTC'
                  -- Everybody's over the whole day.
                  + interval '23 hours' * ((hashint8(n)::bigint + 2147483648) / 4294967296.0) AS at
          FROM generate_series(1, $MINE + $OTHERS) AS n) AS numbered;
INSERT INTO job (tenant_id, id, model, upstream_id, bucket_id, lane, priority, bytes, metadata)
SELECT pg_temp.plain(1, whose), id, 'model', '00000000-0000-0000-0000-000000000000',
       pg_temp.plain(4, whose), 'batch', 0, 2000, '{"order":' || n || '}'
  FROM plan ORDER BY id;
INSERT INTO payload (tenant_id, id, params)
SELECT pg_temp.plain(1, whose), id, decode(repeat(md5(n::text), 60), 'hex') FROM plan ORDER BY id;
INSERT INTO result (tenant_id, id, outcome, model, batch_id, attempt, ended_at, stop_reason,
                    input_tokens, output_tokens, cost_pico, sync_pico)
SELECT pg_temp.plain(1, whose), id, 'completed', 'model', pg_temp.plain(3, n / 10000), 1,
       at + interval '1 hour', 'end_turn', 500, 200, 1, 2
  FROM plan ORDER BY id;
INSERT INTO output (tenant_id, id, line)
SELECT pg_temp.plain(1, whose), id, decode(repeat(md5(n::text), 60), 'hex') FROM plan ORDER BY id;
