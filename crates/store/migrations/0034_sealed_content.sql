-- Content that is sealed by its tenant's data key: payload.params, output.line, attempt.line
-- and context.body, each with key_id 1 beside it. Before it is sealed it is compressed, since
-- PostgreSQL cannot compress what is encrypted.
--
-- Processes of the version before go on, and know nothing of it: they would take what is
-- sealed for what was asked. So none of them may run where a master key is set, unless
-- `[vault] payloads` is false (docs/operating.md).

ALTER TABLE attempt
    -- SHA-256 of the raw line, as result has it: SQL cannot work it out of a sealed one.
    ADD COLUMN line_hash bytea;

-- Binds a transaction to a tenant, and gives the tenant's data key, if there is one.
CREATE FUNCTION bind_tenant_with_key(of_tenant uuid, OUT erased boolean,
                                     OUT key_made_at timestamptz, OUT master text,
                                     OUT wrapped bytea)
    LANGUAGE plpgsql
AS $$
BEGIN
    erased := bind_tenant(of_tenant);
    SELECT k.created_at, k.master, k.wrapped INTO key_made_at, master, wrapped
      FROM data_key k WHERE k.tenant_id = of_tenant;
END $$;

-- ------------------------------------------------------------ a single job

-- As submit_routed (0026), of params that may be sealed: their own length and the key_id
-- come with them, and when the data key was made by which they are sealed.
CREATE FUNCTION submit_kept(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    in_lane text, within_seconds integer, when_late text, when_unknown text,
    content bytea, reuse_seconds integer,
    length integer, params_key integer, sealed_by timestamptz,
    OUT outcome text, OUT job uuid, OUT at timestamptz, OUT source uuid)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound  text := set_config('app.tenant', for_tenant::text, true);
    found_hash bytea;
    wanted_by timestamptz;
BEGIN
    outcome := CASE
        WHEN with_key IS NOT NULL
             AND NOT EXISTS (SELECT FROM api_key k
                              WHERE k.tenant_id = for_tenant AND k.id = with_key
                                AND k.revoked_at IS NULL
                                AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()))
        THEN 'revoked'
        -- A tenant's own goes before a shipped one, whatever its version.
        WHEN remembered_shipped IS NOT NULL AND EXISTS (
                 SELECT FROM job_type own
                  WHERE own.tenant_id = for_tenant AND own.name = job_type_name
                    AND own.version > CASE WHEN remembered_shipped THEN 0
                                           ELSE job_type_version END)
          OR remembered_shipped AND EXISTS (
                 SELECT FROM job_type shipped
                  WHERE shipped.tenant_id = '00000000-0000-0000-0000-000000000000'
                    AND shipped.name = job_type_name AND shipped.version > job_type_version)
        THEN 'outdated'
        -- Sealed by a key that was lost with a server before this one: nobody could open it.
        WHEN sealed_by IS NOT NULL
             AND NOT EXISTS (SELECT FROM data_key d
                              WHERE d.tenant_id = for_tenant AND d.created_at = sealed_by)
        THEN 'unkeyed' END;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    at := clock_timestamp();
    job := (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || substr(undated::text, 14))::uuid;
    IF idempotency_key IS NOT NULL THEN
        -- Waits while another transaction is claiming the same key.
        INSERT INTO idempotency (tenant_id, key, job_id, body_hash, created_at)
        VALUES (for_tenant, idempotency_key, job, hash, at)
            ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT i.job_id, i.body_hash INTO job, found_hash
              FROM idempotency i
             WHERE i.tenant_id = for_tenant AND i.key = idempotency_key;
            outcome := CASE
                -- It was there a moment ago: the upload that held it has just been refused.
                WHEN NOT FOUND THEN 'busy'
                WHEN found_hash = hash AND job IS NOT NULL THEN 'before'
                ELSE 'reused' END;
            RETURN;
        END IF;
    END IF;
    wanted_by := at + make_interval(secs => within_seconds);
    source := source_of(for_tenant, job, content, reuse_seconds, in_lane, with_priority, wanted_by,
                        at);
    WITH of_bucket AS (
        INSERT INTO bucket (tenant_id, id, upstream_id, model)
        SELECT for_tenant, to_bucket, to_upstream, of_model
         WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.tenant_id = for_tenant AND b.id = to_bucket)
            ON CONFLICT DO NOTHING),
    head AS (
        INSERT INTO job (tenant_id, id, type, type_version, user_label, model, upstream_id,
                         bucket_id, lane, priority, bytes, metadata, structured,
                         deliver_within, on_late, on_unknown, hash, reuse_for)
        VALUES (for_tenant, job, job_type_name, job_type_version, of_user, of_model, to_upstream,
                to_bucket, in_lane, with_priority, length, with_metadata, is_structured,
                within_seconds, when_late, when_unknown, content, reuse_seconds)),
    body AS (
        INSERT INTO payload (tenant_id, id, params, key_id)
        VALUES (for_tenant, job, messages_params, params_key)),
    queue AS (
        INSERT INTO ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt, lane,
                           deadline, on_late, source_id)
        VALUES (for_tenant, job, to_bucket, with_priority, at, length, 1,
                CASE WHEN source IS NULL THEN in_lane ELSE 'follow' END, wanted_by, when_late,
                source)),
    told AS (
        INSERT INTO event_in (tenant_id, at, kind, state, ids, users)
        VALUES (for_tenant, at, 'job', 'queued', ARRAY[job],
                CASE WHEN of_user IS NOT NULL THEN ARRAY[user_key(of_user)] END))
    INSERT INTO delta (tenant_id, scope, key, name, n, bytes)
    VALUES (for_tenant, 'bucket', to_bucket, 'ready', 1, length),
           (for_tenant, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued', 1, 0);
    outcome := 'stored';
END $$;

-- As submit_reserved (0023), of the same.
CREATE FUNCTION submit_sealed(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    in_lane text, within_seconds integer, when_late text, when_unknown text,
    begins bytea, mark integer, estimated integer, plain bigint, expected bigint,
    content bytea, reuse_seconds integer,
    length integer, params_key integer, sealed_by timestamptz,
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
          FROM submit_kept(for_tenant, with_key, undated, idempotency_key, hash, job_type_name,
                             job_type_version, remembered_shipped, of_user, of_model, to_upstream,
                             to_bucket, with_priority, with_metadata, is_structured,
                             messages_params, in_lane, within_seconds, when_late,
                             when_unknown, content, reuse_seconds,
                             length, params_key, sealed_by) AS one;
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
          FROM submit_kept(for_tenant, with_key, undated, idempotency_key, hash, job_type_name,
                             job_type_version, remembered_shipped, of_user, of_model, to_upstream,
                             to_bucket, with_priority, with_metadata, is_structured,
                             messages_params, in_lane, within_seconds, when_late,
                             when_unknown, content, reuse_seconds,
                             length, params_key, sealed_by) AS one;
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

REVOKE ALL ON FUNCTION bind_tenant_with_key, submit_kept, submit_sealed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bind_tenant_with_key, submit_kept, submit_sealed TO offpeak_api;
