-- A tenant's own Anthropic key as its upstream: kept encrypted, for its own jobs alone.

-- ------------------------------------------------------------ what is encrypted

-- One data key for each tenant that has something encrypted, wrapped by a master key,
-- which is never in the database. Whoever deletes the row makes all of it unreadable,
-- in backups too.
CREATE TABLE data_key (
    tenant_id  uuid PRIMARY KEY,
    -- Id of the master key that opens it.
    master     text NOT NULL CHECK (master ~ '^[a-z0-9_-]{1,40}$'),
    -- As offpeak_domain::vault seals it: nonce, ciphertext, tag.
    wrapped    bytea NOT NULL CHECK (octet_length(wrapped) = 72),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When this master key wrapped it.
    wrapped_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every key that a tenant has set. One of them is in use, or none; what is over keeps
-- its row, and not its secret.
CREATE TABLE upstream_key (
    tenant_id          uuid NOT NULL,
    version            integer NOT NULL CHECK (version > 0),
    -- checking: a worker has still to ask Anthropic; current: its jobs go by it;
    -- refused: Anthropic does not take it; replaced, removed: it was one of the first two.
    state              text NOT NULL
                       CHECK (state IN ('checking', 'current', 'refused', 'replaced', 'removed')),
    -- The last four characters, to tell one's keys apart.
    last_four          text NOT NULL CHECK (length(last_four) <= 4),
    -- Sealed by the tenant's data key for this column of this row.
    sealed             bytea,
    creates_per_minute integer NOT NULL CHECK (creates_per_minute > 0),
    max_queued_items   bigint NOT NULL CHECK (max_queued_items > 0),
    set_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When Anthropic last answered a check, and the workspace that it named.
    checked_at         timestamptz,
    workspace          text,
    -- What the last check that did not go well was told.
    said               text,
    -- While it is checked: not before then.
    check_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at           timestamptz,
    PRIMARY KEY (tenant_id, version),
    CHECK ((sealed IS NOT NULL) = (state IN ('checking', 'current'))),
    CHECK ((ended_at IS NULL) = (state IN ('checking', 'current')))
);
CREATE UNIQUE INDEX upstream_key_current ON upstream_key (tenant_id) WHERE state = 'current';
CREATE UNIQUE INDEX upstream_key_checking ON upstream_key (tenant_id) WHERE state = 'checking';

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['data_key', 'upstream_key'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

-- The API seals a key and can never read one back: it may write the column, not read it.
GRANT SELECT, INSERT ON data_key TO offpeak_api;
GRANT SELECT (tenant_id, version, state, last_four, creates_per_minute, max_queued_items, set_at,
              checked_at, workspace, said, ended_at),
      INSERT (tenant_id, version, state, last_four, sealed, creates_per_minute,
              max_queued_items),
      UPDATE (state, sealed, ended_at)
    ON upstream_key TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON data_key, upstream_key TO offpeak_worker;

-- -------------------------------------------------------------- where jobs go

-- A tenant's own upstream has the tenant's id, the deployment's own the nil one. So that
-- no statement, whatever is wrong with it, can put one tenant's jobs before another's key:
-- contract: nothing before this version had an upstream but the nil one
ALTER TABLE bucket ADD CONSTRAINT bucket_goes_own_way
    CHECK (upstream_id IN ('00000000-0000-0000-0000-000000000000', tenant_id)) NOT VALID;
-- contract: nothing before this version had an upstream but the nil one
ALTER TABLE batch ADD CONSTRAINT batch_goes_own_way
    CHECK (upstream_id IN ('00000000-0000-0000-0000-000000000000', tenant_id)) NOT VALID;
-- contract: nothing before this version had an upstream but the nil one
ALTER TABLE call ADD CONSTRAINT call_goes_own_way
    CHECK (upstream_id IN ('00000000-0000-0000-0000-000000000000', tenant_id)) NOT VALID;

-- One tenant's upstream is nobody else's to see.
ALTER TABLE upstream ENABLE ROW LEVEL SECURITY;
ALTER TABLE upstream FORCE ROW LEVEL SECURITY;
CREATE POLICY own_or_shared ON upstream FOR SELECT TO offpeak_api
    USING (id = '00000000-0000-0000-0000-000000000000' OR id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON upstream TO offpeak_worker USING (true) WITH CHECK (true);
CREATE POLICY counted ON upstream FOR SELECT TO offpeak_operator USING (true);

-- Whether its jobs may go to the deployment's own upstream once its own key is removed.
ALTER TABLE tenant ADD COLUMN falls_back boolean NOT NULL DEFAULT false;

-- Where this tenant's jobs go now: to its own upstream from the first key that was good,
-- and after that was removed to the deployment's only if the operator lets them.
CREATE FUNCTION upstream_of(of_tenant uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM upstream_key k
                              WHERE k.tenant_id = of_tenant AND k.state = 'current')
                  OR EXISTS (SELECT FROM upstream u WHERE u.id = of_tenant)
                     AND NOT EXISTS (SELECT FROM tenant t
                                      WHERE t.id = of_tenant AND t.falls_back)
                THEN of_tenant
                ELSE '00000000-0000-0000-0000-000000000000' END
$$;

-- False from the commit on that removes the key of a tenant's own upstream: whoever still
-- has it in hand begins nothing more with it.
CREATE FUNCTION has_key(upstream uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM upstream_key k
                    WHERE k.tenant_id = upstream AND k.state = 'current')
        OR NOT EXISTS (SELECT FROM upstream_key k WHERE k.tenant_id = upstream)
$$;

-- A bucket says where its jobs go, and is moved with all that waits in it. `job` says
-- nothing about it any more. Few rows: one for each model and prefix of a tenant.
CREATE FUNCTION go_own_way() RETURNS trigger
    LANGUAGE plpgsql SET search_path = offpeak, pg_temp
AS $$
BEGIN
    NEW.upstream_id := upstream_of(NEW.tenant_id);
    RETURN NEW;
END $$;
CREATE TRIGGER go_own_way BEFORE INSERT ON bucket FOR EACH ROW EXECUTE FUNCTION go_own_way();

REVOKE ALL ON FUNCTION upstream_of, has_key, go_own_way FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_key TO offpeak_worker;
GRANT EXECUTE ON FUNCTION upstream_of TO offpeak_api, offpeak_worker;
GRANT EXECUTE ON FUNCTION go_own_way TO offpeak_api, offpeak_worker;
