-- When the first create of a batch began: each further one overwrites sent_at,
-- and any of them may have been stored.
ALTER TABLE batch ADD COLUMN first_sent_at timestamptz;
-- Since when Anthropic does not know the message batch that this one had only
-- recognised, and how often it said so.
ALTER TABLE batch ADD COLUMN missing_since timestamptz,
                  ADD COLUMN missing_looks integer NOT NULL DEFAULT 0;

-- Which database this is: another after a restore or a failover, in which the
-- last transactions of the old one may be missing. The timeline is the live one,
-- which pg_control_checkpoint() learns only at the next checkpoint; the table's
-- oid is another after pg_restore.
CREATE FUNCTION incarnation() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (SELECT system_identifier FROM pg_control_system())
           || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
           || '/' || 'offpeak.batch'::regclass::oid
$$;

-- For which database an upstream's list was compared with what is known here:
-- nothing is sent to it for another one. Nobody's but the operator's.
CREATE TABLE comparison (
    upstream_id    uuid PRIMARY KEY REFERENCES upstream,
    -- Null while the operator has asked for a new comparison.
    incarnation    text,
    -- When the server was started: with the same incarnation, an ordinary restart.
    started_at     timestamptz,
    compared_at    timestamptz,
    -- When that database was last seen: what was sent later it may have forgotten.
    alive_at       timestamptz NOT NULL,
    -- The comparison that is under way: why, and for which database.
    cause          text,
    of_incarnation text,
    of_started_at  timestamptz,
    noticed_at     timestamptz,
    -- Its complete listings, and when the last of them began.
    listings       integer NOT NULL DEFAULT 0,
    listed_at      timestamptz,
    CHECK ((cause IS NULL) = (noticed_at IS NULL)),
    CHECK ((cause IS NULL) = (of_incarnation IS NULL)),
    CHECK ((cause IS NULL) = (of_started_at IS NULL))
);

-- Unknown message batches that may hold jobs of ours: those are kept back.
CREATE TABLE hold (
    upstream_id       uuid NOT NULL REFERENCES upstream,
    upstream_batch_id text NOT NULL,
    -- On Anthropic's clock.
    created_at        timestamptz NOT NULL,
    -- Jobs with an id before this were there when it was created, clocks considered.
    first_free        uuid NOT NULL,
    cause             text NOT NULL,
    found_at          timestamptz NOT NULL,
    -- When to look at it next.
    look_at           timestamptz NOT NULL,
    PRIMARY KEY (upstream_id, upstream_batch_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON comparison, hold TO offpeak_worker;
