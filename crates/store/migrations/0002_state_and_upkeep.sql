-- What stands on the tables: partitions by day, the one definition of a job's
-- state, and upkeep.

-- ------------------------------------------------------------- partitions

CREATE FUNCTION v7_floor(day date) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid;

-- Creates what is missing from yesterday to `ahead` days on. The worker may
-- call it although it owns nothing. Returns how many partitions it made.
CREATE FUNCTION ensure_partitions(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = offpeak, pg_temp
AS $$
DECLARE
    today  date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    parent text;
    day    date;
    child  text;
    made   integer := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'ahead must be between 0 and 60 days, not %', ahead;
    END IF;
    -- Two processes that start together would both find it missing.
    PERFORM pg_advisory_xact_lock(hashtext('offpeak.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['job', 'payload', 'result', 'output', 'attempt'] LOOP
        FOR day IN SELECT generate_series(today - 1, today + ahead, '1 day')::date LOOP
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            IF to_regclass(format('offpeak.%I', child)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE offpeak.%I PARTITION OF offpeak.%I FOR VALUES FROM (%L) TO (%L)',
                    child, parent, v7_floor(day), v7_floor(day + 1));
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_partitions(integer) FROM PUBLIC;

-- Nobody plans by what stands in these; without this the sampling below would
-- read the big values.
ALTER TABLE payload ALTER COLUMN params SET STATISTICS 0;
ALTER TABLE output ALTER COLUMN line SET STATISTICS 0;
ALTER TABLE attempt ALTER COLUMN line SET STATISTICS 0;

-- Partitioned parents are never analysed by autovacuum, and plans over many
-- partitions go wrong without.
CREATE FUNCTION analyse_parents() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = offpeak, pg_temp
AS $$
BEGIN
    ANALYZE job, payload, result, output, attempt;
END $$;
REVOKE ALL ON FUNCTION analyse_parents() FROM PUBLIC;

-- ------------------------------------------------------------ state of a job

-- The only definition of a job's state. Order matters: a result stands above
-- an attempt that is still in flight (a canceled job's late line).
CREATE VIEW job_state WITH (security_invoker = true) AS
SELECT j.tenant_id,
       j.id,
       j.group_id,
       j.type,
       j.type_version,
       j.user_label,
       j.model,
       j.lane,
       j.priority,
       j.metadata,
       CASE
           WHEN r.id IS NOT NULL THEN r.outcome
           WHEN f.batch_state IN ('in_progress', 'canceling') THEN 'submitted'
           WHEN f.batch_state IN ('ended', 'ingested') THEN 'processing'
           ELSE 'queued'
       END AS state,
       CASE
           WHEN r.id IS NOT NULL THEN NULL
           WHEN f.batch_state IN ('planned', 'sending') THEN 'sending'
           WHEN f.batch_state = 'uncertain' THEN 'confirming'
           WHEN f.batch_state IS NULL THEN 'waiting'
       END AS detail,
       coalesce(r.attempt, f.attempt, q.attempt) AS attempt,
       coalesce(r.batch_id, f.batch_id) AS batch_id,
       r.label,
       r.message,
       r.stop_reason,
       r.ended_at,
       r.input_tokens,
       r.output_tokens,
       r.cache_write_tokens,
       r.cache_read_tokens,
       r.cost_pico,
       r.sync_pico
  FROM job j
  LEFT JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
  LEFT JOIN LATERAL (
       SELECT i.batch_id, i.attempt, b.state AS batch_state
         FROM inflight i
         JOIN batch b ON b.tenant_id = i.tenant_id AND b.id = i.batch_id
        WHERE i.tenant_id = j.tenant_id AND i.id = j.id
        ORDER BY i.attempt DESC
        LIMIT 1) f ON true
  LEFT JOIN ready q ON q.tenant_id = j.tenant_id AND q.id = j.id;

-- ------------------------------------------------------------------- upkeep

-- Queue tables turn over completely many times a day: a share of their size
-- is the wrong measure, a number of dead rows the right one.
ALTER TABLE ready SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                       autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);
ALTER TABLE inflight SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                       autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);
ALTER TABLE delta SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE tally SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
                       autovacuum_vacuum_threshold = 2000);
