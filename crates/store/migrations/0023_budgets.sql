-- What a tenant may spend, in all, by user and by job type, a day or a month (UTC).
--
-- Of a tenant with budgets each job's expected cost is reserved in the transaction
-- of its submit, in the period of that submit, and stays there: what it really
-- costs is added when it is booked, and what was reserved is given back when the
-- job has ended and nothing of it is in flight. Tenants without budgets have no row
-- in any of these tables.
--
-- A row of `budget_use` is the last thing that a transaction locks, and several of
-- them are locked in the order of their keys: so nobody waits in a ring.
--
-- Processes of the version before reserve nothing.

CREATE TABLE budget (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    scope      text NOT NULL CHECK (scope IN ('tenant', 'user', 'type')),
    -- A user's label or the name of a job type; null for each of them.
    name       text,
    period     text NOT NULL CHECK (period IN ('day', 'month')),
    limit_pico bigint NOT NULL CHECK (limit_pico >= 0),
    -- A hard one refuses what would exceed it, a soft one tells.
    hard       boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE NULLS NOT DISTINCT (tenant_id, scope, name, period),
    CHECK (scope <> 'tenant' OR name IS NULL)
);

-- How much of a budget is used in a period.
CREATE TABLE budget_use (
    tenant_id     uuid NOT NULL,
    budget_id     uuid NOT NULL,
    -- Of which user or job type, where the budget is each one's; else empty.
    of_name       text NOT NULL,
    period_start  date NOT NULL,
    reserved_pico numeric(38, 0) NOT NULL DEFAULT 0,
    spent_pico    numeric(38, 0) NOT NULL DEFAULT 0,
    -- It is told once in a period that little or nothing is left.
    warned_at     timestamptz,
    PRIMARY KEY (tenant_id, budget_id, of_name, period_start)
) WITH (fillfactor = 50);
CREATE INDEX budget_use_age ON budget_use (period_start);

-- What is kept free for a job that is open, or still in flight.
CREATE TABLE reservation (
    tenant_id    uuid NOT NULL,
    job_id       uuid NOT NULL,
    budget_id    uuid NOT NULL,
    of_name      text NOT NULL,
    period_start date NOT NULL,
    -- What the job is expected to cost; 0 where no price is known.
    pico         bigint NOT NULL CHECK (pico >= 0),
    -- The same before it was corrected by what earlier jobs have really cost.
    plain_pico   bigint NOT NULL CHECK (plain_pico >= 0),
    PRIMARY KEY (tenant_id, job_id, budget_id)
);
ALTER TABLE reservation
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- What jobs were expected to cost, and have cost: about the last five hundred of a
-- type and model. Without a type, type is empty.
CREATE TABLE estimate_error (
    tenant_id      uuid NOT NULL,
    type           text NOT NULL,
    model          text NOT NULL,
    jobs           bigint NOT NULL,
    plain_pico     numeric(38, 0) NOT NULL,
    estimated_pico numeric(38, 0) NOT NULL,
    settled_pico   numeric(38, 0) NOT NULL,
    PRIMARY KEY (tenant_id, type, model)
);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['budget', 'budget_use', 'reservation', 'estimate_error'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON budget, budget_use TO offpeak_api;
GRANT SELECT, INSERT, DELETE ON reservation TO offpeak_api;
GRANT SELECT ON estimate_error TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON budget, budget_use, reservation, estimate_error
    TO offpeak_worker;

-- ----------------------------------------------------------------- reserve

-- A job that a hard budget has no room for.
CREATE TYPE refusal AS (
    budget_id    uuid,
    scope        text,
    name         text,
    period       text,
    period_start date,
    limit_pico   bigint,
    -- Before this job, and after those of the same request that come before it.
    left_pico    bigint,
    wanted_pico  bigint,
    -- Which of the jobs, from 1.
    place        integer,
    at           timestamptz
);

-- The budgets that jobs fall under. One that names a user or a type goes before
-- the one for each.
CREATE FUNCTION falls_under(for_tenant uuid, users text[], types text[], expected bigint[],
                            submitted_at timestamptz)
    RETURNS TABLE (place integer, budget_id uuid, of_name text, period_start date, pico bigint)
    LANGUAGE sql STABLE
AS $$
    SELECT new.place::integer, b.id,
           CASE WHEN b.name IS NOT NULL OR b.scope = 'tenant' THEN ''
                WHEN b.scope = 'user' THEN new.of_user
                ELSE new.of_type END,
           date_trunc(b.period, submitted_at AT TIME ZONE 'UTC')::date,
           new.pico
      FROM unnest(users, types, expected) WITH ORDINALITY AS new (of_user, of_type, pico, place)
      JOIN budget b ON b.tenant_id = for_tenant
       AND CASE b.scope WHEN 'tenant' THEN true
                        WHEN 'user' THEN coalesce(b.name, new.of_user) = new.of_user
                        ELSE coalesce(b.name, new.of_type) = new.of_type END
     WHERE new.pico IS NOT NULL
       AND (b.name IS NOT NULL OR b.scope = 'tenant'
            OR NOT EXISTS (SELECT FROM budget own
                            WHERE own.tenant_id = for_tenant AND own.scope = b.scope
                              AND own.name = CASE b.scope WHEN 'user' THEN new.of_user
                                                          ELSE new.of_type END
                              AND own.period = b.period))
$$;

-- The first of these jobs that a hard budget has no room for, if there is one.
CREATE FUNCTION over_budget(for_tenant uuid, users text[], types text[], expected bigint[],
                            submitted_at timestamptz)
    RETURNS SETOF refusal
    LANGUAGE sql STABLE
AS $$
    SELECT b.id, b.scope, coalesce(b.name, nullif(new.of_name, '')), b.period, new.period_start,
           b.limit_pico,
           greatest(b.limit_pico - coalesce(u.reserved_pico + u.spent_pico, 0)
                    - (new.so_far - new.pico), 0)::bigint,
           new.pico, new.place, submitted_at
      FROM (SELECT f.*, sum(f.pico) OVER (PARTITION BY f.budget_id, f.of_name ORDER BY f.place)
                            AS so_far
              FROM falls_under(for_tenant, users, types, expected, submitted_at) AS f) AS new
      JOIN budget b ON b.tenant_id = for_tenant AND b.id = new.budget_id AND b.hard
      LEFT JOIN budget_use u ON u.tenant_id = for_tenant AND u.budget_id = new.budget_id
                            AND u.of_name = new.of_name AND u.period_start = new.period_start
     WHERE coalesce(u.reserved_pico + u.spent_pico, 0) + new.so_far > b.limit_pico
     ORDER BY new.place, b.id
     LIMIT 1
$$;

-- Tells of these, once in a period, that a soft budget is used up, or four fifths
-- of a hard one.
CREATE FUNCTION warn_of_budgets(for_tenant uuid, budgets uuid[], names text[], starts date[],
                                now timestamptz) RETURNS void
    LANGUAGE sql
AS $$
    WITH warned AS (
        UPDATE budget_use u SET warned_at = now
          FROM unnest(budgets, names, starts) AS these (budget_id, of_name, period_start), budget b
         WHERE u.tenant_id = for_tenant AND u.budget_id = these.budget_id
           AND u.of_name = these.of_name AND u.period_start = these.period_start
           AND b.tenant_id = for_tenant AND b.id = u.budget_id
           AND u.warned_at IS NULL
           AND u.reserved_pico + u.spent_pico
               >= CASE WHEN b.hard THEN b.limit_pico * 0.8 ELSE b.limit_pico END
        RETURNING b.id, b.hard, b.limit_pico, u.reserved_pico + u.spent_pico AS used)
    INSERT INTO event_in (tenant_id, kind, state, ids, cost_pico, sync_pico)
    SELECT for_tenant, 'budget', CASE WHEN hard THEN 'hard' ELSE 'soft' END, ARRAY[id],
           least(used, 9223372036854775807)::bigint, limit_pico
      FROM warned
     ORDER BY id
$$;

-- Reserves what jobs are expected to cost, all of them or, where a hard budget has
-- no room for one, none; that one comes back. To be called at a transaction's end.
CREATE FUNCTION reserve(for_tenant uuid, jobs uuid[], users text[], types text[],
                        plain bigint[], expected bigint[], submitted_at timestamptz)
    RETURNS SETOF refusal
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    budgets uuid[];
    names   text[];
    starts  date[];
BEGIN
    SELECT array_agg(f.budget_id ORDER BY f.budget_id, f.of_name, f.period_start),
           array_agg(f.of_name ORDER BY f.budget_id, f.of_name, f.period_start),
           array_agg(f.period_start ORDER BY f.budget_id, f.of_name, f.period_start)
      INTO budgets, names, starts
      FROM (SELECT DISTINCT budget_id, of_name, period_start
              FROM falls_under(for_tenant, users, types, expected, submitted_at)) AS f;
    IF budgets IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO budget_use (tenant_id, budget_id, of_name, period_start)
    SELECT for_tenant, these.*
      FROM unnest(budgets, names, starts) AS these (budget_id, of_name, period_start)
     ORDER BY 2, 3, 4
        ON CONFLICT DO NOTHING;
    PERFORM
       FROM budget_use u
      WHERE u.tenant_id = for_tenant
        AND (u.budget_id, u.of_name, u.period_start) IN (SELECT * FROM unnest(budgets, names, starts))
      ORDER BY u.budget_id, u.of_name, u.period_start
        FOR UPDATE;
    -- Only now, with these rows locked, does it stay true.
    RETURN QUERY SELECT * FROM over_budget(for_tenant, users, types, expected, submitted_at);
    IF FOUND THEN
        RETURN;
    END IF;
    WITH kept AS (
        INSERT INTO reservation AS r (tenant_id, job_id, budget_id, of_name, period_start, pico,
                                      plain_pico)
        SELECT for_tenant, jobs[f.place], f.budget_id, f.of_name, f.period_start, f.pico,
               plain[f.place]
          FROM falls_under(for_tenant, users, types, expected, submitted_at) AS f
            ON CONFLICT DO NOTHING
        RETURNING r.budget_id, r.of_name, r.period_start, r.pico),
    sums AS (
        SELECT budget_id, of_name, period_start, sum(pico) AS pico FROM kept GROUP BY 1, 2, 3)
    UPDATE budget_use u SET reserved_pico = u.reserved_pico + sums.pico
      FROM sums
     WHERE u.tenant_id = for_tenant AND u.budget_id = sums.budget_id
       AND u.of_name = sums.of_name AND u.period_start = sums.period_start;
    PERFORM warn_of_budgets(for_tenant, budgets, names, starts, submitted_at);
END $$;

-- ------------------------------------------------------------------ settle

-- Adds to what is spent what was booked for jobs, and gives back what was reserved
-- for those that have ended and of which nothing is in flight; or, of jobs that
-- were only staged, for all. Returns what the booked ones were expected to cost.
-- To be called at a transaction's end.
CREATE FUNCTION settle_reserved(for_tenant uuid, ended uuid[], staged boolean, booked uuid[],
                                costs bigint[], now timestamptz)
    RETURNS TABLE (job uuid, plain bigint, expected bigint)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    budgets uuid[];
    names   text[];
    starts  date[];
    given   numeric[];
    spent   numeric[];
BEGIN
    IF NOT EXISTS (SELECT FROM reservation r WHERE r.tenant_id = for_tenant) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT DISTINCT r.job_id, r.plain_pico, r.pico
          FROM reservation r
         WHERE r.tenant_id = for_tenant AND r.job_id = ANY (booked);
    WITH done AS (
        SELECT one.id
          FROM unnest(ended) AS one (id)
         WHERE staged
            OR ((SELECT true FROM result r
                  WHERE r.tenant_id = for_tenant AND r.id = one.id LIMIT 1)
                AND (SELECT true FROM inflight i
                      WHERE i.tenant_id = for_tenant AND i.id = one.id LIMIT 1) IS NULL)),
    gone AS (
        DELETE FROM reservation r
         USING done
         WHERE r.tenant_id = for_tenant AND r.job_id = done.id
        RETURNING r.budget_id, r.of_name, r.period_start, r.pico),
    sums AS (
        SELECT budget_id, of_name, period_start, sum(part.given) AS given, sum(part.spent) AS spent
          FROM (SELECT budget_id, of_name, period_start, pico AS given, 0 AS spent FROM gone
                 UNION ALL
                SELECT r.budget_id, r.of_name, r.period_start, 0, one.cost
                  FROM unnest(booked, costs) AS one (id, cost)
                  JOIN reservation r ON r.tenant_id = for_tenant AND r.job_id = one.id) AS part
         GROUP BY 1, 2, 3)
    SELECT array_agg(s.budget_id), array_agg(s.of_name), array_agg(s.period_start),
           array_agg(s.given), array_agg(s.spent)
      INTO budgets, names, starts, given, spent
      FROM sums s;
    IF budgets IS NULL THEN
        RETURN;
    END IF;
    PERFORM
       FROM budget_use u
      WHERE u.tenant_id = for_tenant
        AND (u.budget_id, u.of_name, u.period_start) IN (SELECT * FROM unnest(budgets, names, starts))
      ORDER BY u.budget_id, u.of_name, u.period_start
        FOR UPDATE;
    UPDATE budget_use u
       SET reserved_pico = u.reserved_pico - one.given, spent_pico = u.spent_pico + one.spent
      FROM unnest(budgets, names, starts, given, spent)
           AS one (budget_id, of_name, period_start, given, spent)
     WHERE u.tenant_id = for_tenant AND u.budget_id = one.budget_id
       AND u.of_name = one.of_name AND u.period_start = one.period_start;
    PERFORM warn_of_budgets(for_tenant, budgets, names, starts, now);
END $$;

-- Adds what was booked for a tenant and none of its jobs.
CREATE FUNCTION spend_beside_jobs(for_tenant uuid, cost bigint, now timestamptz) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    budgets uuid[];
    starts  date[];
BEGIN
    WITH spent AS (
        INSERT INTO budget_use AS u (tenant_id, budget_id, of_name, period_start, spent_pico)
        SELECT for_tenant, b.id, '', date_trunc(b.period, now AT TIME ZONE 'UTC')::date, cost
          FROM budget b
         WHERE b.tenant_id = for_tenant AND b.scope = 'tenant'
         ORDER BY b.id
            ON CONFLICT (tenant_id, budget_id, of_name, period_start)
            DO UPDATE SET spent_pico = u.spent_pico + excluded.spent_pico
        RETURNING u.budget_id, u.period_start)
    SELECT array_agg(s.budget_id), array_agg(s.period_start) INTO budgets, starts FROM spent s;
    IF budgets IS NOT NULL THEN
        PERFORM warn_of_budgets(for_tenant, budgets,
                                array_fill(''::text, ARRAY[cardinality(budgets)]), starts, now);
    END IF;
END $$;

-- ------------------------------------------------------------ a single job

-- As submit_routed, and notes what it shares. Of a tenant with budgets it also reserves what the job is
-- expected to cost; unestimated, if that is not known. Where a hard budget has no
-- room nothing is stored, unless the key stands for a job that was made before.
CREATE FUNCTION submit_reserved(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    in_lane text, within_seconds integer, when_late text, when_unknown text,
    begins bytea, mark integer, estimated integer, plain bigint, expected bigint,
    content bytea, reuse_seconds integer,
    OUT outcome text, OUT job uuid, OUT at timestamptz, OUT source uuid, OUT refused refusal)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.tenant', for_tenant::text, true);
    users text[] := ARRAY[of_user];
    types text[] := ARRAY[job_type_name];
BEGIN
    IF NOT EXISTS (SELECT FROM budget b WHERE b.tenant_id = for_tenant) THEN
        SELECT one.outcome, one.job, one.at, one.source INTO outcome, job, at, source
          FROM submit_routed(for_tenant, with_key, undated, idempotency_key, hash, job_type_name,
                             job_type_version, remembered_shipped, of_user, of_model, to_upstream,
                             to_bucket, with_priority, with_metadata, is_structured,
                             messages_params, in_lane, within_seconds, when_late,
                             when_unknown, content, reuse_seconds) AS one;
        PERFORM note_prefix(outcome, for_tenant, to_bucket, begins, mark, estimated);
        RETURN;
    END IF;
    IF expected IS NULL THEN
        outcome := 'unestimated';
        RETURN;
    END IF;
    -- A look first: nearly all that is refused is not worth storing and undoing.
    IF idempotency_key IS NULL
       OR NOT EXISTS (SELECT FROM idempotency i
                       WHERE i.tenant_id = for_tenant AND i.key = idempotency_key) THEN
        SELECT over.* INTO refused
          FROM over_budget(for_tenant, users, types, ARRAY[expected], clock_timestamp()) AS over;
        IF FOUND THEN
            outcome := 'over_budget';
            RETURN;
        END IF;
    END IF;
    BEGIN
        SELECT one.outcome, one.job, one.at, one.source INTO outcome, job, at, source
          FROM submit_routed(for_tenant, with_key, undated, idempotency_key, hash, job_type_name,
                             job_type_version, remembered_shipped, of_user, of_model, to_upstream,
                             to_bucket, with_priority, with_metadata, is_structured,
                             messages_params, in_lane, within_seconds, when_late,
                             when_unknown, content, reuse_seconds) AS one;
        PERFORM note_prefix(outcome, for_tenant, to_bucket, begins, mark, estimated);
        IF outcome = 'stored' THEN
            SELECT over.* INTO refused
              FROM reserve(for_tenant, ARRAY[job], users, types, ARRAY[plain], ARRAY[expected],
                           at) AS over;
            IF FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'OP402', MESSAGE = 'over budget';
            END IF;
        END IF;
    EXCEPTION WHEN SQLSTATE 'OP402' THEN
        -- All of it is undone, and who asks hears of it.
        outcome := 'over_budget';
    END;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN
        SELECT p.oid::regprocedure FROM pg_proc p
         WHERE p.pronamespace = 'offpeak'::regnamespace
           AND p.proname IN ('falls_under', 'over_budget', 'warn_of_budgets', 'reserve',
                             'settle_reserved', 'spend_beside_jobs', 'submit_reserved')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO offpeak_api, offpeak_worker', f);
    END LOOP;
END $$;
