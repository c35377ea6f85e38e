-- What an operator has to know, and what a message batch cost that Anthropic
-- stored although its create was believed to have stored nothing.

-- Nobody's but the operator's: no tenant sees it, so it has no tenant_id and
-- the API's role no grant.
CREATE TABLE incident (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- A word of offpeak_domain::incident::Kind. No list here: a newer version
    -- that runs beside this one may know more.
    kind               text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    at                 timestamptz NOT NULL,
    upstream_id        uuid,
    -- Whose jobs it concerns.
    subject_tenant     uuid,
    batch_id           uuid,
    upstream_batch_id  text,
    -- One sentence for a person, without prompt or result text.
    detail             text NOT NULL,
    -- What it cost beyond what tenants pay, and the same at the normal price.
    absorbed_pico      numeric(38, 0) NOT NULL DEFAULT 0,
    absorbed_sync_pico numeric(38, 0) NOT NULL DEFAULT 0,
    resolved_at        timestamptz
);
-- Noted twice it is one row: a kind happens once to a message batch, else to a
-- batch, else to a tenant.
CREATE UNIQUE INDEX incident_once ON incident (
    kind,
    coalesce(upstream_id, '00000000-0000-0000-0000-000000000000'::uuid),
    coalesce(upstream_batch_id, batch_id::text, subject_tenant::text, ''));
CREATE INDEX incident_open ON incident (at) WHERE resolved_at IS NULL;

-- Message batches that Anthropic holds although their jobs went on without
-- them. Each is canceled or waited for, then read once.
CREATE TABLE twin (
    upstream_id       uuid NOT NULL REFERENCES upstream,
    upstream_batch_id text NOT NULL,
    -- The batch that it is the twin of; before its lines were read, the one
    -- that its time and count point to. Null when we know none.
    batch_id          uuid,
    found_at          timestamptz NOT NULL,
    cancel_asked_at   timestamptz,
    -- When to look at it next.
    look_at           timestamptz NOT NULL,
    -- Downloads that came to their end and showed fewer lines than it has.
    short_reads       integer NOT NULL DEFAULT 0,
    -- Every line that it billed is absorbed.
    read_at           timestamptz,
    PRIMARY KEY (upstream_id, upstream_batch_id)
);
CREATE INDEX twin_unread ON twin (upstream_id, look_at) WHERE read_at IS NULL;

-- What twins billed: the deployment's own cost, in no tenant's ledger.
CREATE TABLE absorbed (
    upstream_id       uuid NOT NULL,
    upstream_batch_id text NOT NULL,
    custom_id         text NOT NULL,
    at                timestamptz NOT NULL,
    day               date NOT NULL,
    model             text NOT NULL,
    input_tokens      bigint NOT NULL,
    output_tokens     bigint NOT NULL,
    cache_write_5m    bigint NOT NULL,
    cache_write_1h    bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    web_searches      bigint NOT NULL,
    cost_pico         bigint NOT NULL,
    sync_pico         bigint NOT NULL,
    PRIMARY KEY (upstream_id, upstream_batch_id, custom_id)
);

-- When an upstream was last listed completely for twins.
CREATE TABLE sweep (
    upstream_id uuid PRIMARY KEY REFERENCES upstream,
    swept_at    timestamptz NOT NULL
);

-- The first listing that showed the batch, and the first one that was made for
-- it while its send was uncertain.
ALTER TABLE batch ADD COLUMN listed_at timestamptz, ADD COLUMN first_look_at timestamptz;
-- Sends that were believed to have stored nothing: few, and what a sweep is for.
CREATE INDEX batch_doubted ON batch (upstream_id, sent_at) 
    WHERE state IN ('refuted', 'rejected') OR sends > 0;

GRANT SELECT, INSERT, UPDATE, DELETE ON incident, twin, absorbed, sweep TO offpeak_worker;
