-- The walls between tenants, and what each role may do.

-- -------------------------------------------------------------------- walls

-- The tenant of this transaction. An unset setting is '' after a SET LOCAL
-- and NULL before the first, and neither may match anything.
CREATE FUNCTION current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant', true), '')::uuid;

DO $$
DECLARE t text;
BEGIN
    FOR t IN
        SELECT c.relname
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'offpeak'::regnamespace
           AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         ORDER BY 1
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        -- The scalar subselect is evaluated once a statement, not once a row.
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY own_row ON tenant FOR SELECT TO offpeak_api
    USING (id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON tenant TO offpeak_worker USING (true) WITH CHECK (true);

-- Whoever presents a key sees the one row that it opens, before a tenant is known.
CREATE POLICY presented_key ON api_key FOR SELECT TO offpeak_api
    USING (digest = (SELECT decode(nullif(current_setting('app.key_digest', true), ''), 'hex')));

CREATE POLICY shipped ON job_type FOR SELECT TO offpeak_api
    USING (tenant_id = '00000000-0000-0000-0000-000000000000');

-- --------------------------------------------------------------- privileges

GRANT USAGE ON SCHEMA offpeak TO offpeak_api, offpeak_worker;
GRANT SELECT ON tenant, upstream, job_state TO offpeak_api;
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at) ON api_key TO offpeak_api;
GRANT SELECT, INSERT ON job_type, job, payload, bucket, delta, attempt TO offpeak_api;
GRANT SELECT, INSERT, UPDATE ON job_group TO offpeak_api;
-- DELETE: a refused upload frees its key.
GRANT SELECT, INSERT, DELETE ON idempotency TO offpeak_api;
GRANT SELECT, INSERT, DELETE ON ready, result TO offpeak_api;
GRANT SELECT, DELETE ON output TO offpeak_api;
GRANT SELECT, UPDATE (canceled) ON inflight TO offpeak_api;
GRANT SELECT, UPDATE (last_cancel_at) ON batch TO offpeak_api;
GRANT SELECT ON tally, ledger, lease TO offpeak_api;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA offpeak TO offpeak_worker;
GRANT EXECUTE ON FUNCTION ensure_partitions(integer), analyse_parents() TO offpeak_worker;
REVOKE ALL ON _sqlx_migrations FROM offpeak_worker;

SELECT ensure_partitions(7);
