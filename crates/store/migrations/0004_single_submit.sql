-- One round trip for who is calling, and one for a single job from the tenant
-- to the commit. At a thousand a second, what costs is the number of statements
-- and round trips, not the rows.
--
-- Both run with the caller's rights and below its walls. A generic plan is as
-- good as one for the very values here: an INSERT finds its partition when it
-- runs, and every look-up is by a whole key.

-- The row that a presented key opens, or nothing. Notes the use, to the minute.
CREATE FUNCTION presented_key(presented bytea, OUT tenant uuid, OUT key uuid, OUT shown text)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stale boolean;
    bound text;
BEGIN
    -- Row-level security shows the row of the presented digest alone, so that
    -- a tenant need not be known yet.
    bound := set_config('app.key_digest', encode(presented, 'hex'), true);
    SELECT k.tenant_id, k.id, k.hint,
           coalesce(k.last_used_at < clock_timestamp() - interval '1 minute', true)
      INTO tenant, key, shown, stale
      FROM api_key k
     WHERE k.digest = presented AND k.revoked_at IS NULL
     LIMIT 1;
    IF stale THEN
        bound := set_config('app.tenant', tenant::text, true);
        -- Whoever finds it locked leaves the note to the other.
        UPDATE api_key k SET last_used_at = clock_timestamp()
         WHERE k.tenant_id = tenant AND k.id = key
           AND EXISTS (SELECT FROM api_key free
                        WHERE free.tenant_id = tenant AND free.id = key
                          FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
END $$;

-- Stores one job of this tenant, unless the API key was revoked, the idempotency
-- key made a job before, or the job type has another newest version than the
-- caller remembers. The id comes with its random bits and gets its time here,
-- from the same clock as `not_before`.
CREATE FUNCTION submit_one(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer,
    -- Null: that version was looked up just now. Else whether it is a shipped
    -- one, as the caller remembers it.
    remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    -- `stored`, `before` (then `job` is that job), `reused` (the key stands for
    -- another body or a group), `busy`, `outdated` or `revoked`.
    OUT outcome text, OUT job uuid, OUT at timestamptz)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound  text := set_config('app.tenant', for_tenant::text, true);
    length integer := octet_length(messages_params);
    found_hash bytea;
BEGIN
    outcome := CASE
        WHEN NOT EXISTS (SELECT FROM api_key k
                          WHERE k.tenant_id = for_tenant AND k.id = with_key
                            AND k.revoked_at IS NULL)
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
        THEN 'outdated' END;
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
    WITH of_bucket AS (
        INSERT INTO bucket (tenant_id, id, upstream_id, model)
        SELECT for_tenant, to_bucket, to_upstream, of_model
         WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.tenant_id = for_tenant AND b.id = to_bucket)
            ON CONFLICT DO NOTHING),
    head AS (
        INSERT INTO job (tenant_id, id, type, type_version, user_label, model, upstream_id,
                         bucket_id, lane, priority, bytes, metadata, structured)
        VALUES (for_tenant, job, job_type_name, job_type_version, of_user, of_model, to_upstream,
                to_bucket, 'batch', with_priority, length, with_metadata, is_structured)),
    body AS (
        INSERT INTO payload (tenant_id, id, params) VALUES (for_tenant, job, messages_params)),
    queue AS (
        INSERT INTO ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt)
        VALUES (for_tenant, job, to_bucket, with_priority, at, length, 1))
    INSERT INTO delta (tenant_id, scope, key, name, n, bytes)
    VALUES (for_tenant, 'bucket', to_bucket, 'ready', 1, length),
           (for_tenant, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued', 1, 0);
    outcome := 'stored';
END $$;

REVOKE ALL ON FUNCTION presented_key, submit_one FROM PUBLIC;
GRANT EXECUTE ON FUNCTION presented_key, submit_one TO offpeak_api;
