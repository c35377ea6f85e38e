-- How long what jobs were asked and have answered is kept, by tenant. Heads, states,
-- counts and the ledger stay: they hold no text of a request or an answer.
--
-- A time is whole days (UTC) after the day of the submit, so that a partition is over
-- at one moment: it is dropped when it is over for every tenant. A tenant with a
-- shorter time is walked through, in the order of ids, a bounded number at a time.
--
-- Processes of the version before go on. They read an input that is gone as a job
-- that is not there.

CREATE TABLE retention (
    tenant_id       uuid PRIMARY KEY,
    -- Null: as the deployment has it.
    inputs_days     integer CHECK (inputs_days BETWEEN 1 AND 400),
    results_days    integer CHECK (results_days BETWEEN 1 AND 400),
    -- Message batches are deleted at Anthropic once all of their results are here.
    delete_upstream boolean NOT NULL DEFAULT false,
    changed_at      timestamptz NOT NULL,
    -- What was asked goes before what was answered: who has no input left can run
    -- nothing again whose answer would then stay.
    CHECK (inputs_days <= results_days)
);

-- How far it has come. Jobs with an id before the two bounds are over, unless they
-- were open when they were looked at; those before the two places were looked at.
CREATE TABLE retained (
    tenant_id      uuid PRIMARY KEY,
    inputs_before  uuid NOT NULL,
    results_before uuid NOT NULL,
    inputs_at      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    results_at     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
) WITH (fillfactor = 50);

-- Jobs that were over and could not go: open, or ended less than a day ago. Few.
CREATE TABLE kept_over (
    tenant_id uuid NOT NULL,
    id        uuid NOT NULL,
    look_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX kept_over_look ON kept_over (look_at);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['retention', 'retained', 'kept_over'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE ON retention TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON retention, retained, kept_over TO offpeak_worker;

-- --------------------------------------------------------------- partitions

-- Takes the partition of a day for this transaction alone, so that the caller, who
-- sees the rows, can look whether anything in it is open. False when that would take
-- longer than a moment: whoever submits would wait behind us.
CREATE FUNCTION hold_content(of_table text, day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = offpeak, pg_temp
    SET lock_timeout = '100ms'
AS $$
BEGIN
    IF of_table NOT IN ('payload', 'output') THEN
        RAISE EXCEPTION 'only content is dropped, not %', of_table;
    END IF;
    -- Jobs that come in just now stand in those that ensure_partitions makes, whatever
    -- the caller takes for today.
    IF day >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY offpeak.%I IN ACCESS EXCLUSIVE MODE', of_table);
    EXECUTE format('LOCK TABLE ONLY offpeak.%I IN ACCESS EXCLUSIVE MODE',
                   of_table || to_char(day, '"_"YYYYMMDD'));
    RETURN true;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN false;
END $$;

-- Drops it.
CREATE FUNCTION drop_content(of_table text, day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = offpeak, pg_temp
AS $$
BEGIN
    IF of_table NOT IN ('payload', 'output')
       OR day >= (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 THEN
        RAISE EXCEPTION 'only content of days that are over is dropped, not % of %',
            of_table, day;
    END IF;
    EXECUTE format('DROP TABLE offpeak.%I', of_table || to_char(day, '"_"YYYYMMDD'));
END $$;

REVOKE ALL ON FUNCTION hold_content, drop_content FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hold_content, drop_content TO offpeak_worker;

-- ------------------------------------------------------ copies at Anthropic

ALTER TABLE batch
    -- Anthropic holds it no more: we had it deleted there.
    ADD COLUMN upstream_deleted_at timestamptz,
    -- When that is tried next, and how often it was.
    ADD COLUMN delete_at           timestamptz,
    ADD COLUMN delete_tries        integer NOT NULL DEFAULT 0;
CREATE INDEX batch_undeleted ON batch (tenant_id, ingested_at)
    WHERE state = 'ingested' AND upstream_deleted_at IS NULL;

-- ----------------------------------------------------------------- erasure

ALTER TABLE batch
    -- When Anthropic was asked to end it.
    ADD COLUMN cancel_asked_at timestamptz;

-- That all of a tenant's is to go, and how far that is. From its commit on nothing of
-- the tenant's is opened or taken.
CREATE TABLE erasure (
    tenant_id uuid PRIMARY KEY,
    -- refusing: its jobs are being ended. canceling: its batches are, at Anthropic.
    -- deleting: so are what Anthropic keeps, and ids. No list here: a newer version that
    -- runs beside this one may know more.
    state     text NOT NULL CHECK (state ~ '^[a-z_]{1,40}$'),
    asked_at  timestamptz NOT NULL,
    -- The operator; null: somebody on the server's machine.
    asked_by  uuid,
    done_at   timestamptz,
    -- How far the present round through its jobs has come.
    place     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- What is gone: jobs, message batches at Anthropic, all other rows.
    jobs      bigint NOT NULL DEFAULT 0,
    batches   bigint NOT NULL DEFAULT 0,
    rows_gone bigint NOT NULL DEFAULT 0,
    -- The tenant's audit log goes with the rest, names and all. So many entries it had, and this
    -- was the hash of the last one: who wrote hashes down can still compare them.
    audit_entries bigint,
    audit_hash    bytea CHECK (octet_length(audit_hash) = 32),
    CHECK ((state = 'done') = (done_at IS NOT NULL))
);
ALTER TABLE erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasure FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON erasure TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON erasure TO offpeak_worker USING (true) WITH CHECK (true);
CREATE POLICY counted ON erasure FOR SELECT TO offpeak_operator USING (true);
CREATE POLICY asked ON erasure FOR INSERT TO offpeak_operator WITH CHECK (true);
GRANT SELECT ON erasure TO offpeak_api;
GRANT SELECT, INSERT (tenant_id, state, asked_at, asked_by) ON erasure TO offpeak_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON erasure TO offpeak_worker;

-- Whatever the way that a job takes in: asked once a statement.
CREATE POLICY not_erased ON job AS RESTRICTIVE FOR INSERT TO offpeak_api
    WITH CHECK ((SELECT NOT EXISTS (SELECT FROM erasure)));

-- Binds a transaction to a tenant. True when that one is being erased, or was.
CREATE FUNCTION bind_tenant(of_tenant uuid) RETURNS boolean
    LANGUAGE plpgsql
AS $$
DECLARE
    bound text := set_config('app.tenant', of_tenant::text, true);
BEGIN
    RETURN EXISTS (SELECT FROM erasure e WHERE e.tenant_id = of_tenant);
END $$;

-- Deletes up to `most` rows of each table of a tenant's, the ones apart that a batch
-- under way needs and those that are walked by job. At the `last`, what says how its
-- work stood, too. Every table with a tenant_id is one of these, also one that comes
-- later; not the ledger, and not what the caller may delete nothing of.
CREATE FUNCTION erase_rows(of_tenant uuid, at_last boolean, most integer) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    t    regclass;
    n    bigint;
    gone bigint := 0;
BEGIN
    FOR t IN
        SELECT c.oid
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'offpeak'::regnamespace
           AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname NOT IN ('erasure', 'ledger', 'job', 'payload', 'result', 'output',
                                 'attempt', 'inflight', 'ready', 'batch')
           -- The tenant's own key at Anthropic ends and deletes its batches there.
           AND (c.relname NOT IN ('data_key', 'upstream_key')
                OR at_last AND NOT EXISTS (SELECT FROM batch b WHERE b.tenant_id = of_tenant))
           AND (at_last OR c.relname NOT IN ('call', 'bucket', 'share', 'tally', 'delta'))
           AND has_table_privilege(c.oid, 'DELETE')
         ORDER BY c.relname
    LOOP
        EXECUTE format('DELETE FROM %s WHERE (tableoid, ctid) IN (
                            SELECT tableoid, ctid FROM %s WHERE tenant_id = $1 LIMIT $2)', t, t)
          USING of_tenant, most;
        GET DIAGNOSTICS n = ROW_COUNT;
        gone := gone + n;
    END LOOP;
    RETURN gone;
END $$;

GRANT SELECT, DELETE ON origin TO offpeak_worker;
-- Entries of the audit log go with their tenant, and in no other way.
GRANT DELETE ON audit TO offpeak_worker;
CREATE POLICY goes_with_its_tenant ON audit AS RESTRICTIVE FOR DELETE TO offpeak_worker
    USING (EXISTS (SELECT FROM erasure e
                    WHERE e.tenant_id = audit.tenant_id AND e.audit_hash IS NOT NULL));
REVOKE ALL ON FUNCTION bind_tenant, erase_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bind_tenant TO offpeak_api;
GRANT EXECUTE ON FUNCTION erase_rows TO offpeak_worker;
