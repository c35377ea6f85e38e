-- An erasure ends although the tenant's own upstream cannot be reached any more.

ALTER TABLE erasure
    -- When an operator said that what the tenant's own upstream holds is left there: its
    -- key is gone, so that nobody can end or delete it.
    ADD COLUMN leave_asked_at timestamptz,
    -- How many message batches that were.
    ADD COLUMN batches_left bigint NOT NULL DEFAULT 0;

-- Which ones. All that stays of them, for whoever looks into that workspace one day.
CREATE TABLE left_batch (
    tenant_id         uuid NOT NULL,
    -- Ours, which each `custom_id` in it ends with.
    id                uuid NOT NULL,
    -- Anthropic's; null where nobody knows whether it was made.
    upstream_batch_id text,
    -- The last that was known of it.
    state             text NOT NULL,
    items             integer NOT NULL,
    sent_at           timestamptz NOT NULL,
    left_at           timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE left_batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE left_batch FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON left_batch TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON left_batch TO offpeak_worker USING (true) WITH CHECK (true);
-- What may not be deleted outlasts the erasure.
GRANT SELECT, INSERT ON left_batch TO offpeak_worker;
