-- Limits of a tenant that differ from those of the deployment's configuration.

CREATE TABLE tenant_limit (
    tenant_id uuid NOT NULL,
    -- A word of offpeak_domain::limits::Limit; one of a newer version is passed over.
    name      text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    -- 0 = no limit; null = the deployment's.
    value     bigint CHECK (value >= 0),
    PRIMARY KEY (tenant_id, name)
);

ALTER TABLE tenant_limit ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_limit FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON tenant_limit TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON tenant_limit TO offpeak_worker USING (true) WITH CHECK (true);
CREATE POLICY limited ON tenant_limit TO offpeak_operator USING (true) WITH CHECK (true);

-- Nobody gives themselves more.
GRANT SELECT ON tenant_limit TO offpeak_api;
GRANT SELECT, INSERT, UPDATE (value) ON tenant_limit TO offpeak_worker, offpeak_operator;
