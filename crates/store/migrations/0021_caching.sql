-- What requests have in common, and what Anthropic's prompt cache makes of it.

-- What the params of a bucket's jobs begin with, if that is long enough to be
-- cached; the bucket's id is a hash of it, too. Written once.
CREATE TABLE prefix (
    tenant_id uuid NOT NULL,
    bucket_id uuid NOT NULL,
    -- SHA-256 of it. Whoever begins alike on one upstream shares its cache.
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- Where in the params of each of them a mark is put in.
    mark_at   integer NOT NULL CHECK (mark_at > 0),
    -- Its length, estimated.
    tokens    integer NOT NULL CHECK (tokens > 0),
    PRIMARY KEY (tenant_id, bucket_id)
);

-- Documents that a tenant's jobs share. A job's params hold their text, so one
-- that is deleted is missed by later jobs alone.
CREATE TABLE context (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    -- SHA-256 of the text: one that is stored already is not stored again.
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    title      text,
    -- UTF-8; text could not hold U+0000.
    body       bytea COMPRESSION lz4 NOT NULL,
    -- The key that encrypts the body; 0 = plain.
    key_id     integer NOT NULL DEFAULT 0,
    bytes      integer NOT NULL CHECK (bytes > 0),
    tokens     integer NOT NULL CHECK (tokens > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, hash)
);

-- How a batch is marked and why, in words of offpeak_domain::cache; what was
-- expected when it was planned, and what came of it. No lists here: a newer
-- version that runs beside this one may know more.
ALTER TABLE batch
    -- What its requests begin with.
    ADD COLUMN prefix_hash        bytea,
    ADD COLUMN cache_mark         text NOT NULL DEFAULT 'none',
    -- Null in a batch that was planned before there were decisions.
    ADD COLUMN cache_reason       text,
    ADD COLUMN cache_tokens       integer,
    ADD COLUMN cache_per_mille    integer,
    ADD COLUMN cache_with_pico    bigint,
    ADD COLUMN cache_without_pico bigint,
    -- Of those that were answered: requests that found their prefix, and such
    -- that found or wrote it; and the tokens of both.
    ADD COLUMN cache_hits         integer,
    ADD COLUMN cache_chances      integer,
    ADD COLUMN cache_read         bigint,
    ADD COLUMN cache_written      bigint,
    -- One request goes ahead. Its intent is committed before it leaves, and it
    -- is sent once; the batch is not sent before it has ended.
    ADD COLUMN prime              boolean NOT NULL DEFAULT false,
    ADD COLUMN primer             uuid,
    ADD COLUMN prime_sent_at      timestamptz,
    ADD COLUMN prime_deadline     timestamptz,
    ADD COLUMN prime_ended_at     timestamptz,
    ADD COLUMN prime_outcome      text;
-- What a decision asks of the past.
CREATE INDEX batch_marked ON batch (tenant_id, upstream_id, id) WHERE cache_mark <> 'none';
CREATE INDEX batch_of_prefix ON batch (upstream_id, prefix_hash, planned_at)
    WHERE prefix_hash IS NOT NULL;

-- How a direct call is marked, and why; with what it begins.
ALTER TABLE call
    ADD COLUMN prefix_hash  bytea,
    ADD COLUMN cache_mark   text NOT NULL DEFAULT 'none',
    ADD COLUMN cache_reason text;
CREATE INDEX call_of_prefix ON call (upstream_id, prefix_hash, sent_at)
    WHERE prefix_hash IS NOT NULL;

-- contract: it refuses words that are new. Every version writes those of before;
-- one that does not know a new word shows no list of batches until it is upgraded.
ALTER TABLE batch DROP CONSTRAINT batch_close_reason_check;

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['prefix', 'context'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON prefix TO offpeak_api;
GRANT SELECT, INSERT, DELETE ON context TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON prefix, context TO offpeak_worker;

-- ------------------------------------------------------------ a single job

-- What a job that was just stored shares with others of its bucket; nothing to
-- do for nearly all, which have none or are not the first. In the transaction,
-- and under the tenant, of the submit before it.
CREATE FUNCTION note_prefix(after_outcome text, for_tenant uuid, of_bucket uuid,
                            of_hash bytea, mark integer, estimated integer) RETURNS boolean
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF mark IS NULL OR after_outcome <> 'stored' THEN
        RETURN false;
    END IF;
    INSERT INTO prefix (tenant_id, bucket_id, hash, mark_at, tokens)
    SELECT for_tenant, of_bucket, of_hash, mark, estimated
     WHERE NOT EXISTS (SELECT FROM prefix p
                        WHERE p.tenant_id = for_tenant AND p.bucket_id = of_bucket)
        ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION note_prefix FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_prefix TO offpeak_api;
