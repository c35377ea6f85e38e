-- Who may do what: scopes and expiry of keys, people who sign in without a key,
-- and the operator, who sees counts of every tenant and the content of none.
--
-- A person of the nil tenant is an operator: of the deployment, of no tenant.

-- A word of offpeak_domain::scope::Scope each. Keys that are there could do all.
ALTER TABLE api_key
    ADD COLUMN scopes text[] NOT NULL
        DEFAULT '{jobs:read,results:read,jobs:write,settings:manage,keys:manage}',
    -- From then on it opens nothing.
    ADD COLUMN expires_at timestamptz,
    -- The key that takes its place.
    ADD COLUMN rotated_to uuid;

CREATE TABLE person (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    -- How somebody is called here: mostly an address, for an identity provider the one
    -- that it vouches for.
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
    role       text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'operator')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz,
    removed_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK ((role = 'operator') = (tenant_id = '00000000-0000-0000-0000-000000000000'))
);
CREATE UNIQUE INDEX person_name ON person (tenant_id, lower(name)) WHERE removed_at IS NULL;

-- A link that signs one person in, once.
CREATE TABLE signin_link (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    person_id  uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX signin_link_digest ON signin_link (digest);
CREATE INDEX signin_link_age ON signin_link (expires_at);

-- A session of a person has no key. Of an operator who looks at a tenant's content it
-- names the operator besides, and no person of the tenant.
ALTER TABLE session
    ALTER COLUMN key_id DROP NOT NULL,
    ADD COLUMN person_id uuid,
    ADD COLUMN operator_id uuid,
    ADD CONSTRAINT session_of_one CHECK (num_nonnulls(key_id, person_id, operator_id) = 1);
CREATE INDEX session_of_person ON session (tenant_id, person_id) WHERE ended_at IS NULL;

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['person', 'signin_link'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;
CREATE POLICY presented ON signin_link FOR SELECT TO offpeak_api
    USING (digest = (SELECT decode(nullif(current_setting('app.key_digest', true), ''), 'hex')));

-- Whoever may insert a person could make an operator, if the nil tenant were one that
-- a caller can have; the API's role may not, whatever the caller.
CREATE POLICY no_operator ON person AS RESTRICTIVE FOR INSERT TO offpeak_api
    WITH CHECK (tenant_id <> '00000000-0000-0000-0000-000000000000');

GRANT SELECT, INSERT, UPDATE (role, last_seen_at, removed_at) ON person TO offpeak_api;
GRANT SELECT, INSERT, UPDATE (used_at) ON signin_link TO offpeak_api;
GRANT UPDATE (expires_at, rotated_to) ON api_key TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON person, signin_link TO offpeak_worker;

-- --------------------------------------------------------- one round trip each

-- The row that a presented key opens, or nothing. Notes the use, to the minute.
CREATE FUNCTION opened_key(presented bytea, OUT tenant uuid, OUT key uuid, OUT shown text,
                           OUT may text[], OUT expires timestamptz)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stale boolean;
    bound text;
BEGIN
    bound := set_config('app.key_digest', encode(presented, 'hex'), true);
    SELECT k.tenant_id, k.id, k.hint, k.scopes, k.expires_at,
           coalesce(k.last_used_at < clock_timestamp() - interval '1 minute', true)
      INTO tenant, key, shown, may, expires, stale
      FROM api_key k
     WHERE k.digest = presented AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
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

-- The session that a presented digest opens: of whom, and what that may do. `opened`
-- is null when it opens nothing.
CREATE FUNCTION opened_session(presented bytea, OUT tenant uuid, OUT opened uuid,
                               OUT key uuid, OUT person uuid, OUT operator uuid,
                               OUT expires timestamptz, OUT shown text, OUT role text,
                               OUT may text[])
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
    found uuid;
BEGIN
    SELECT s.tenant_id, s.id, s.key_id, s.person_id, s.operator_id, s.expires_at
      INTO tenant, found, key, person, operator, expires
      FROM session s
     WHERE s.digest = presented AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
     LIMIT 1;
    -- Who began it is a row of the tenant, who is known now.
    bound := set_config('app.tenant', tenant::text, true);
    IF key IS NOT NULL THEN
        SELECT found, k.hint, k.scopes INTO opened, shown, may
          FROM api_key k
         WHERE k.tenant_id = tenant AND k.id = key AND k.revoked_at IS NULL
           AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());
    ELSIF person IS NOT NULL THEN
        SELECT found, p.name, p.role INTO opened, shown, role
          FROM person p
         WHERE p.tenant_id = tenant AND p.id = person AND p.removed_at IS NULL;
    ELSE
        -- An operator's look: whether that operator is still one is asked below the
        -- nil tenant, whose rows this transaction may see for no longer than this.
        bound := set_config('app.tenant', '00000000-0000-0000-0000-000000000000', true);
        SELECT found, p.name, 'viewer' INTO opened, shown, role
          FROM person p
         WHERE p.tenant_id = '00000000-0000-0000-0000-000000000000' AND p.id = operator
           AND p.removed_at IS NULL;
        bound := set_config('app.tenant', tenant::text, true);
    END IF;
END $$;

-- Uses up the link with a presented digest. `person` is null when there is none that
-- holds: it was used, its time is over, or its person was removed.
CREATE FUNCTION use_link(presented bytea, OUT tenant uuid, OUT person uuid, OUT called text)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
    asked uuid;
    link uuid;
BEGIN
    SELECT l.tenant_id, l.id, l.person_id INTO tenant, link, asked
      FROM signin_link l
     WHERE l.digest = presented
     LIMIT 1;
    bound := set_config('app.tenant', tenant::text, true);
    UPDATE signin_link l SET used_at = clock_timestamp()
     WHERE l.tenant_id = tenant AND l.id = link
       AND l.used_at IS NULL AND l.expires_at > clock_timestamp();
    IF FOUND THEN
        UPDATE person p SET last_seen_at = clock_timestamp()
         WHERE p.tenant_id = tenant AND p.id = asked AND p.removed_at IS NULL
        RETURNING p.id, p.name INTO person, called;
    END IF;
END $$;

-- A process of the version before knows no scopes: to it a key or a session that may
-- not do all, or that is no key's, opens nothing.
-- contract: whoever calls it as before is told what it was told, or that it opens nothing
CREATE OR REPLACE FUNCTION presented_key(presented bytea, OUT tenant uuid, OUT key uuid,
                                         OUT shown text)
    LANGUAGE sql
AS $$
    SELECT o.tenant, o.key, o.shown
      FROM opened_key(presented) o
     WHERE o.may @> '{jobs:read,results:read,jobs:write,settings:manage,keys:manage}'
$$;

-- contract: whoever calls it as before is told what it was told, or that it opens nothing
CREATE OR REPLACE FUNCTION presented_session(presented bytea, OUT tenant uuid, OUT opened uuid,
                                             OUT key uuid, OUT expires timestamptz, OUT shown text)
    LANGUAGE sql
AS $$
    SELECT o.tenant, o.opened, o.key, o.expires, o.shown
      FROM opened_session(presented) o
     WHERE o.opened IS NOT NULL
       AND o.may @> '{jobs:read,results:read,jobs:write,settings:manage,keys:manage}'
$$;

-- As it was, and the key that made it is not past its time.
-- contract: whoever calls it as before is told what it was told, or that it opens nothing
CREATE OR REPLACE FUNCTION presented_ticket(presented bytea, from_origin text,
                                            OUT tenant uuid, OUT opened uuid, OUT of_user text,
                                            OUT of_group uuid, OUT expires timestamptz,
                                            OUT holds boolean, OUT listed boolean)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
    maker uuid;
BEGIN
    SELECT t.tenant_id, t.id, t.key_id, t.user_label, t.group_id, t.expires_at
      INTO tenant, opened, maker, of_user, of_group, expires
      FROM ticket t
     WHERE t.digest = presented
     LIMIT 1;
    bound := set_config('app.tenant', tenant::text, true);
    holds := coalesce(expires > clock_timestamp(), false)
             AND EXISTS (SELECT FROM api_key k
                          WHERE k.tenant_id = tenant AND k.id = maker AND k.revoked_at IS NULL
                            AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()));
    listed := EXISTS (SELECT FROM origin o
                       WHERE o.tenant_id = tenant AND o.origin = from_origin);
END $$;

REVOKE ALL ON FUNCTION opened_key, opened_session, use_link FROM PUBLIC;
GRANT EXECUTE ON FUNCTION opened_key, opened_session, use_link TO offpeak_api;

-- As before (0020), but a key may also be past its time, and a person has none: who
-- submits from a session was looked up for this very request.
-- contract: whoever calls it as before is told what it was told, or that it opens nothing
CREATE OR REPLACE FUNCTION submit_routed(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    in_lane text, within_seconds integer, when_late text, when_unknown text,
    content bytea, reuse_seconds integer,
    OUT outcome text, OUT job uuid, OUT at timestamptz, OUT source uuid)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound  text := set_config('app.tenant', for_tenant::text, true);
    length integer := octet_length(messages_params);
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
        INSERT INTO payload (tenant_id, id, params) VALUES (for_tenant, job, messages_params)),
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

-- ------------------------------------------------------------- the operator

-- Counts of every tenant, and the content of none: no payload, output, metadata or
-- label of anybody, and no secret's digest.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['tenant', 'share', 'tally', 'delta', 'pace', 'batch', 'ready',
                             'ledger', 'person'] LOOP
        EXECUTE format('CREATE POLICY counted ON %I FOR SELECT TO offpeak_operator
                            USING (true)', t);
    END LOOP;
END $$;
CREATE POLICY made ON tenant FOR INSERT TO offpeak_operator WITH CHECK (true);
CREATE POLICY weighed ON tenant FOR UPDATE TO offpeak_operator USING (true) WITH CHECK (true);

GRANT USAGE ON SCHEMA offpeak TO offpeak_operator;
GRANT SELECT, INSERT, UPDATE (weight) ON tenant TO offpeak_operator;
GRANT SELECT ON share, tally, delta, pace, upstream, storage, lease, sweep TO offpeak_operator;
GRANT SELECT (tenant_id, id, upstream_id, state, items, planned_at, sent_at) ON batch
    TO offpeak_operator;
GRANT SELECT (tenant_id, bucket_id, priority, not_before) ON ready TO offpeak_operator;
GRANT SELECT (tenant_id, day, cost_pico, sync_pico) ON ledger TO offpeak_operator;
GRANT SELECT (tenant_id, id, name, role, removed_at, last_seen_at) ON person TO offpeak_operator;
GRANT SELECT, UPDATE (resolved_at) ON incident TO offpeak_operator;
