-- A late twin is deleted at Anthropic as the batches of its tenant are: after it was read,
-- where the tenant asks for that or is being erased.

ALTER TABLE twin
    -- Whose it is. Not a tenant_id: it is the deployment's row, and outlasts an erasure.
    ADD COLUMN of_tenant  uuid,
    -- Anthropic holds it no more.
    ADD COLUMN deleted_at timestamptz,
    -- When to try again what has failed.
    ADD COLUMN delete_at  timestamptz;
CREATE INDEX twin_of_tenant ON twin (of_tenant) WHERE deleted_at IS NULL;
