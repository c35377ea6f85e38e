-- What happened, for whoever follows it live.
--
-- Writers append to `event_in` in the transaction of what they tell, without a
-- number: no row is shared by two of them. `relay` moves what was committed to
-- `event` and numbers it, each tenant's without a gap. A number that the writer
-- had drawn itself would become visible in another order than it counts.

-- A user's label in a form that may stand in an event and says nothing: 128 bits
-- of its hash.
CREATE FUNCTION user_key(label text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN encode(substr(sha256(convert_to(label, 'UTF8')), 1, 16), 'hex')::uuid;

CREATE TABLE event_in (
    tenant_id     uuid NOT NULL,
    -- Where the log stood: what a transaction tells after it has seen another's
    -- commit stands behind what that one told, whatever the clocks say.
    place         pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn(),
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- job: `ids` are jobs that came into `state`. batch: the same of batches.
    -- usage: so much was billed. No list here, nor of states: a newer version
    -- that runs beside this one may know more.
    kind          text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    state         text,
    -- Why jobs failed.
    label         text,
    batch_id      uuid,
    ids           uuid[],
    -- Of each job, in the order of `ids`; null when none has any.
    groups        uuid[],
    users         uuid[],
    costs         bigint[],
    n             bigint,
    input_tokens  bigint,
    output_tokens bigint,
    cost_pico     bigint,
    sync_pico     bigint,
    CHECK (cardinality(groups) = cardinality(ids)),
    CHECK (cardinality(users) = cardinality(ids)),
    CHECK (cardinality(costs) = cardinality(ids))
);
CREATE INDEX event_in_place ON event_in (place);
ALTER TABLE event_in SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE event (
    tenant_id     uuid NOT NULL,
    -- From 1, without a gap, in the order in which it was committed.
    seq           bigint NOT NULL,
    -- When it got its number: the partition that it leaves with.
    numbered_at   timestamptz NOT NULL,
    at            timestamptz NOT NULL,
    kind          text NOT NULL,
    state         text,
    label         text,
    batch_id      uuid,
    ids           uuid[],
    groups        uuid[],
    users         uuid[],
    costs         bigint[],
    n             bigint,
    input_tokens  bigint,
    output_tokens bigint,
    cost_pico     bigint,
    sync_pico     bigint,
    PRIMARY KEY (tenant_id, seq, numbered_at)
) PARTITION BY RANGE (numbered_at);

-- The last number of each tenant.
CREATE TABLE stream (
    tenant_id uuid PRIMARY KEY,
    seq       bigint NOT NULL
) WITH (fillfactor = 50);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['event_in', 'event', 'stream'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT INSERT ON event_in TO offpeak_api;
GRANT SELECT ON event, stream TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON event_in, event, stream TO offpeak_worker;

-- --------------------------------------------------------------- partitions

-- Creates what is missing from yesterday to `ahead` days on, and drops what is
-- older than `days`. Returns how many partitions came and went.
CREATE FUNCTION turn_event_partitions(ahead integer, days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = offpeak, pg_temp
AS $$
DECLARE
    today  date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    day    date;
    child  text;
    turned integer := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 60 OR days NOT BETWEEN 1 AND 365 THEN
        RAISE EXCEPTION 'ahead must be between 0 and 60 days and days between 1 and 365';
    END IF;
    -- Two processes that start together would both find it missing.
    PERFORM pg_advisory_xact_lock(hashtext('offpeak.ensure_partitions'));
    FOR day IN SELECT generate_series(today - 1, today + ahead, '1 day')::date LOOP
        child := format('event_%s', to_char(day, 'YYYYMMDD'));
        IF to_regclass(format('offpeak.%I', child)) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE offpeak.%I PARTITION OF offpeak.event FOR VALUES FROM (%L) TO (%L)',
                child, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            turned := turned + 1;
        END IF;
    END LOOP;
    FOR child IN
        SELECT c.relname
          FROM pg_inherits h
          JOIN pg_class c ON c.oid = h.inhrelid
         WHERE h.inhparent = 'offpeak.event'::regclass
           AND c.relname < format('event_%s', to_char(today - days, 'YYYYMMDD'))
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE offpeak.%I', child);
        turned := turned + 1;
    END LOOP;
    RETURN turned;
END $$;
REVOKE ALL ON FUNCTION turn_event_partitions(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turn_event_partitions(integer, integer) TO offpeak_worker;

SELECT turn_event_partitions(7, 7);

-- ------------------------------------------------------------ a single job

-- As submit_one, and tells it.
CREATE FUNCTION submit_told(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    OUT outcome text, OUT job uuid, OUT at timestamptz)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    SELECT one.outcome, one.job, one.at
      INTO outcome, job, at
      FROM submit_one(for_tenant, with_key, undated, idempotency_key, hash, job_type_name,
                      job_type_version, remembered_shipped, of_user, of_model, to_upstream,
                      to_bucket, with_priority, with_metadata, is_structured,
                      messages_params) AS one;
    IF outcome = 'stored' THEN
        INSERT INTO event_in (tenant_id, at, kind, state, ids, users)
        VALUES (for_tenant, at, 'job', 'queued', ARRAY[job],
                CASE WHEN of_user IS NOT NULL THEN ARRAY[user_key(of_user)] END);
    END IF;
END $$;
REVOKE ALL ON FUNCTION submit_told FROM PUBLIC;
GRANT EXECUTE ON FUNCTION submit_told TO offpeak_api;
