-- Why an upstream is paused, and whether what is refused may be its own fault.

ALTER TABLE upstream
    -- The kind of call that paused it, a word of offpeak_domain::breaker::Call:
    -- only such a call shows that the trouble is over. Null: a create.
    ADD COLUMN paused_by      text CHECK (paused_by ~ '^[a-z_]{1,40}$'),
    -- Batches of a single job that were refused one after the other, with none
    -- accepted between, and whose the last one was.
    ADD COLUMN refused_alone  integer NOT NULL DEFAULT 0,
    ADD COLUMN refused_tenant uuid;
