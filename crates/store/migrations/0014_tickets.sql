-- Who may look, beside those who have a key: the browser of somebody who signed
-- in with one, and the browsers of a tenant's own users.
--
-- Each counts only while the key that made it is not revoked, so nothing has to
-- be found and ended when a key goes.

CREATE TABLE session (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- The key that it was begun with.
    key_id     uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Since when it opens nothing, although its time is not over.
    ended_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
);
-- Not unique, as that of api_key.
CREATE INDEX session_digest ON session (digest);
CREATE INDEX session_of_key ON session (tenant_id, key_id) WHERE ended_at IS NULL;
CREATE INDEX session_age ON session (expires_at);

CREATE TABLE ticket (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    key_id     uuid NOT NULL,
    -- Exactly one: whose jobs it opens.
    user_label text,
    group_id   uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK ((user_label IS NULL) <> (group_id IS NULL))
);
CREATE INDEX ticket_digest ON ticket (digest);
CREATE INDEX ticket_age ON ticket (expires_at);

-- Pages from which a tenant's tickets may be used.
CREATE TABLE origin (
    tenant_id uuid NOT NULL,
    origin    text NOT NULL CHECK (origin ~ '^https?://[^/ ]+$' AND length(origin) <= 300),
    PRIMARY KEY (tenant_id, origin)
);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['session', 'ticket', 'origin'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
    -- Whoever presents one sees the one row that it opens, before a tenant is known.
    FOREACH t IN ARRAY ARRAY['session', 'ticket'] LOOP
        EXECUTE format('CREATE POLICY presented ON %I FOR SELECT TO offpeak_api
                            USING (digest = (SELECT decode(nullif(
                                current_setting(''app.key_digest'', true), ''''), ''hex'')))', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE (ended_at) ON session TO offpeak_api;
GRANT SELECT, INSERT ON ticket TO offpeak_api;
GRANT SELECT, INSERT, DELETE ON origin TO offpeak_api;
-- To forget what is over.
GRANT SELECT, DELETE ON session, ticket TO offpeak_worker;

-- --------------------------------------------------------- one round trip each

-- The session that a presented digest opens; `shown` is its key's hint, and null
-- when it opens nothing.
CREATE FUNCTION presented_session(presented bytea, OUT tenant uuid, OUT opened uuid, OUT key uuid,
                                  OUT expires timestamptz, OUT shown text)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
BEGIN
    SELECT s.tenant_id, s.id, s.key_id, s.expires_at
      INTO tenant, opened, key, expires
      FROM session s
     WHERE s.digest = presented AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
     LIMIT 1;
    -- The key is a row of the tenant, who is known now.
    bound := set_config('app.tenant', tenant::text, true);
    SELECT k.hint INTO shown
      FROM api_key k
     WHERE k.tenant_id = tenant AND k.id = key AND k.revoked_at IS NULL;
END $$;

-- The ticket with a presented digest, also one that is over: the page that shows
-- it is to hear that, if its origin is listed.
CREATE FUNCTION presented_ticket(presented bytea, from_origin text,
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
                          WHERE k.tenant_id = tenant AND k.id = maker AND k.revoked_at IS NULL);
    listed := EXISTS (SELECT FROM origin o
                       WHERE o.tenant_id = tenant AND o.origin = from_origin);
END $$;

REVOKE ALL ON FUNCTION presented_session, presented_ticket FROM PUBLIC;
GRANT EXECUTE ON FUNCTION presented_session, presented_ticket TO offpeak_api;
