-- Where the saving of each entry came from, and entries whose price is not known.
--
-- From here on `sync_pico` is what the same usage would have cost synchronously
-- and without a cache, everywhere it stands:
--
--     sync_pico = cost_pico + saved_batch_pico + saved_cache_pico + saved_reuse_pico
--
-- An entry without `saved_batch_pico` is one of version 0.1.0, which counted what
-- its cache did in `sync_pico`: the difference to its cost is what the batch saved.

ALTER TABLE ledger
    ADD COLUMN saved_batch_pico bigint,
    -- Below zero for what was written to a cache and not read.
    ADD COLUMN saved_cache_pico bigint NOT NULL DEFAULT 0,
    ADD COLUMN saved_reuse_pico bigint NOT NULL DEFAULT 0,
    -- The job whose attempt was paid for in the place of this one's.
    ADD COLUMN source_id uuid,
    -- No price was known: tokens count, and its money is not zero but unknown.
    ADD COLUMN unpriced boolean NOT NULL DEFAULT false;
-- Few or none; every sum of money says how many are in it.
CREATE INDEX ledger_unpriced ON ledger (tenant_id, group_id) WHERE unpriced;

ALTER TABLE absorbed ADD COLUMN unpriced boolean NOT NULL DEFAULT false;

-- Attempts of a `usage` event whose price is not known.
ALTER TABLE event_in ADD COLUMN unpriced bigint;
ALTER TABLE event ADD COLUMN unpriced bigint;
