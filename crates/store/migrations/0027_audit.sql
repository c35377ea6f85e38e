-- Who did what: one chain of hashes for each tenant, and one for the deployment itself
-- under the nil tenant. Rows are only ever added: no role at run time may change or
-- delete one, so that the chain shows what somebody with more rights did to it.

CREATE TABLE audit (
    tenant_id  uuid NOT NULL,
    -- From 1, without a gap.
    seq        bigint NOT NULL CHECK (seq > 0),
    at         timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id   text NOT NULL,
    actor_name text NOT NULL,
    action     text NOT NULL,
    target     text NOT NULL,
    -- In words; no content of a job.
    detail     text NOT NULL,
    address    text NOT NULL,
    request_id text NOT NULL,
    -- As offpeak_domain::audit::Entry::hash has it.
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, seq)
);

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON audit TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON audit TO offpeak_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT ON audit TO offpeak_api, offpeak_worker;
