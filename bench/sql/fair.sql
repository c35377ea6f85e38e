-- A neighbour with $JOBS jobs of 300 bytes that wait, in $BUCKETS buckets, and have for
-- an hour. Superuser.

CREATE FUNCTION pg_temp.v7(at timestamptz, salt bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(salt::text), 1, 3) || '8' || substr(md5(salt::text), 4, 15))::uuid;
CREATE FUNCTION pg_temp.plain(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('0192' || lpad(to_hex(kind), 4, '0') || '-0000-7000-8000-'
            || lpad(to_hex(n), 12, '0'))::uuid;

INSERT INTO bucket (tenant_id, id, upstream_id, model)
SELECT '$TENANT'::uuid, pg_temp.plain(4, n), '00000000-0000-0000-0000-000000000000', 'claude-haiku-5-5'
  FROM generate_series(0, $BUCKETS - 1) AS n;
CREATE TEMP TABLE plan AS
SELECT n, pg_temp.v7(clock_timestamp(), n) AS id, pg_temp.plain(4, n % $BUCKETS) AS bucket,
       '{"model":"claude-haiku-5-5","max_tokens":16,"messages":[{"role":"user","content":"'
       || n || repeat(' word', 40) || '"}]}' AS params
  FROM generate_series(1, $JOBS) AS n;
INSERT INTO job (tenant_id, id, model, upstream_id, bucket_id, lane, priority, bytes)
SELECT '$TENANT'::uuid, id, 'claude-haiku-5-5', '00000000-0000-0000-0000-000000000000', bucket, 'batch',
       0, length(params)
  FROM plan;
INSERT INTO payload (tenant_id, id, params) SELECT '$TENANT'::uuid, id, params::bytea FROM plan;
INSERT INTO ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt)
SELECT '$TENANT'::uuid, id, bucket, 0, clock_timestamp() - interval '1 hour', length(params), 1 FROM plan;
INSERT INTO tally (tenant_id, scope, key, name, n, bytes, input_tokens, output_tokens, cost_pico,
                   sync_pico)
SELECT '$TENANT'::uuid, 'bucket', bucket, 'ready', count(*), sum(length(params)), 0, 0, 0, 0
  FROM plan GROUP BY bucket
UNION ALL
SELECT '$TENANT'::uuid, 'tenant', '00000000-0000-0000-0000-000000000000'::uuid, 'queued', count(*), 0, 0, 0, 0, 0
  FROM plan;
DROP TABLE plan;
ANALYZE job, payload, ready, tally, bucket;
