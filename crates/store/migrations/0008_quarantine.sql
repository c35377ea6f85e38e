-- Result lines that could not be taken as they came: each stands here by itself,
-- and the rest of its batch lands.

CREATE TABLE quarantine (
    tenant_id uuid NOT NULL,
    batch_id  uuid NOT NULL,
    -- SHA-256 of the line; of its head, where the line was too long to be held.
    line_hash bytea NOT NULL,
    -- A word of offpeak_domain::quarantine::Flaw. No list here: a newer version
    -- that runs beside this one may know more.
    kind      text NOT NULL CHECK (kind ~ '^[a-z0-9_]{1,40}$'),
    -- Length of the whole line.
    bytes     bigint NOT NULL,
    at        timestamptz NOT NULL,
    -- How the line begins, if it names a job of this batch: nobody else's text
    -- is kept under this tenant.
    head      bytea COMPRESSION lz4 CHECK (octet_length(head) <= 65536),
    key_id    integer NOT NULL DEFAULT 0,
    -- The same line, read again, is the same row.
    PRIMARY KEY (tenant_id, batch_id, line_hash, kind)
);
-- Goes with the retention of results.
CREATE INDEX quarantine_age ON quarantine (at);

-- Flawed lines in one download of the batch: of many, only the first are kept.
ALTER TABLE batch ADD COLUMN quarantined integer NOT NULL DEFAULT 0;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['quarantine'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON quarantine TO offpeak_worker;
