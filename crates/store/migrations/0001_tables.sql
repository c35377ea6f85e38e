-- The whole physical design. Nothing big is ever updated: a job's state is
-- where its id stands (result, inflight, ready), so heads and payloads are
-- inserted once and leave with their partition.
--
-- Runs as offpeak_owner inside schema offpeak. The roles exist before the
-- first migration (store::roles), because roles belong to the cluster and
-- migrations to one database.

-- ---------------------------------------------------------------- control

CREATE TABLE tenant (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    weight      integer NOT NULL DEFAULT 100 CHECK (weight BETWEEN 1 AND 10000),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE api_key (
    tenant_id    uuid NOT NULL REFERENCES tenant,
    id           uuid NOT NULL,
    name         text NOT NULL,
    -- What may be shown after creation: the prefix and the last four characters.
    hint         text NOT NULL,
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
);
-- Not unique: a unique key of a tenant's table begins with its tenant, and 190
-- random bits do not collide.
CREATE INDEX api_key_digest ON api_key (digest);

-- An Anthropic credential with its limits. The credential itself stays in the
-- environment; the deployment's own upstream has the nil id.
CREATE TABLE upstream (
    id                 uuid PRIMARY KEY,
    name               text NOT NULL,
    base_url           text NOT NULL,
    creates_per_minute integer NOT NULL CHECK (creates_per_minute > 0),
    max_queued_items   bigint NOT NULL CHECK (max_queued_items > 0),
    -- Why nothing is sent, in words for the operator; null while it is active.
    paused_reason      text,
    paused_until       timestamptz,
    -- When one more try is made.
    CHECK ((paused_until IS NULL) = (paused_reason IS NULL))
);

CREATE TABLE lease (
    name       text PRIMARY KEY,
    holder     uuid NOT NULL,
    epoch      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Rows under the nil tenant are the shipped ones, readable by everybody; a
-- tenant's own row of the same name goes before them.
CREATE TABLE job_type (
    tenant_id  uuid NOT NULL,
    name       text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    definition text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name, version)
);

-- ------------------------------------------------------------------- jobs

CREATE TABLE job_group (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    name         text,
    created_at   timestamptz NOT NULL,
    -- Null while lines are still being staged: the group and its jobs are
    -- invisible and nothing of it is ready.
    opened_at    timestamptz,
    -- Set when the upload was refused: tend removes what was staged.
    dropped_at   timestamptz,
    -- How far an interrupted upload came (lines of the body read), and the
    -- running SHA-256 over those lines, so that a repeat can go on after them.
    staged_lines bigint NOT NULL DEFAULT 0,
    -- When its last chunk was staged.
    staged_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    chain        bytea,
    -- Jobs kept: less than the lines when bad ones were skipped on request.
    jobs         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id),
    CHECK (opened_at IS NULL OR dropped_at IS NULL)
);
CREATE INDEX job_group_unopened ON job_group (staged_at) WHERE opened_at IS NULL;

CREATE TABLE idempotency (
    tenant_id  uuid NOT NULL,
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- Exactly one: what the key made.
    job_id     uuid,
    group_id   uuid,
    -- Of the job's body; a group's running hash stands in job_group.chain.
    body_hash  bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key),
    CHECK ((job_id IS NULL) <> (group_id IS NULL))
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE job (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    group_id     uuid,
    type         text,
    type_version integer,
    user_label   text,
    model        text NOT NULL,
    upstream_id  uuid NOT NULL,
    bucket_id    uuid NOT NULL,
    lane         text NOT NULL CHECK (lane IN ('batch', 'direct')),
    priority     smallint NOT NULL CHECK (priority BETWEEN -1 AND 1),
    -- Length of payload.params, so that a batch's length is a sum.
    bytes        integer NOT NULL CHECK (bytes > 0),
    -- The answer has to fit a JSON schema that stands in the params: spares
    -- the ingest reading the payload of every other job.
    structured   boolean NOT NULL DEFAULT false,
    -- Small JSON of the app's own, given back as it came.
    metadata     text,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX job_of_group ON job (tenant_id, group_id, id) WHERE group_id IS NOT NULL;

CREATE TABLE payload (
    tenant_id uuid NOT NULL,
    id        uuid NOT NULL,
    -- The rendered Messages params, sent upstream byte for byte.
    params    bytea COMPRESSION lz4 NOT NULL,
    -- The key that encrypts params; 0 = plain.
    key_id    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE result (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    outcome            text NOT NULL CHECK (outcome IN ('completed', 'failed', 'canceled')),
    label              text,
    -- One sentence for a person, without prompt or result text.
    message            text,
    group_id           uuid,
    type               text,
    user_label         text,
    model              text NOT NULL,
    -- Null when it ended without having been sent.
    batch_id           uuid,
    attempt            integer NOT NULL,
    ended_at           timestamptz NOT NULL,
    stop_reason        text,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cost_pico          bigint NOT NULL DEFAULT 0,
    sync_pico          bigint NOT NULL DEFAULT 0,
    -- SHA-256 of the raw line: tells a replay from a conflicting twin.
    line_hash          bytea,
    PRIMARY KEY (tenant_id, id),
    CHECK ((outcome = 'failed') = (label IS NOT NULL))
) PARTITION BY RANGE (id);
-- Failed and canceled jobs are few and looked for often.
CREATE INDEX result_troubled ON result (tenant_id, id) WHERE outcome <> 'completed';

CREATE TABLE output (
    tenant_id uuid NOT NULL,
    id        uuid NOT NULL,
    -- The raw result line, byte for byte.
    line      bytea COMPRESSION lz4 NOT NULL,
    key_id    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

-- One row per attempt that ended without ending its job, and per result that
-- a retry or a late line set aside.
CREATE TABLE attempt (
    tenant_id uuid NOT NULL,
    id        uuid NOT NULL,
    attempt   integer NOT NULL,
    outcome   text NOT NULL CHECK (outcome IN
              ('completed', 'failed', 'canceled', 'expired', 'errored', 'refuted', 'rejected')),
    label     text,
    batch_id  uuid,
    ended_at  timestamptz NOT NULL,
    cost_pico bigint NOT NULL DEFAULT 0,
    line      bytea COMPRESSION lz4,
    key_id    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id, attempt, outcome)
) PARTITION BY RANGE (id);

-- ------------------------------------------------------------------ queue

-- What may share a batch: upstream × tenant × model × headers. The id is a
-- hash of these, so that a submit needs no look-up.
CREATE TABLE bucket (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    upstream_id uuid NOT NULL REFERENCES upstream,
    model       text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE ready (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    bucket_id  uuid NOT NULL,
    group_id   uuid,
    priority   smallint NOT NULL,
    -- Since when it may be claimed: the submit, or the end of a backoff.
    not_before timestamptz NOT NULL,
    bytes      integer NOT NULL,
    -- The number that the next attempt will have, from 1.
    attempt    integer NOT NULL,
    -- Attempts that count against the limit of tries.
    tries      integer NOT NULL DEFAULT 0,
    -- Halved each time that a batch with this job was refused as a whole.
    max_items  integer,
    PRIMARY KEY (tenant_id, id)
);
-- The claim walks this and nothing else, so its cost depends on what it takes.
CREATE INDEX ready_claim ON ready (tenant_id, bucket_id, priority DESC, not_before, id);

CREATE TABLE batch (
    tenant_id         uuid NOT NULL,
    id                uuid NOT NULL,
    upstream_id       uuid NOT NULL REFERENCES upstream,
    bucket_id         uuid NOT NULL,
    model             text NOT NULL,
    state             text NOT NULL CHECK (state IN
                      ('planned', 'sending', 'uncertain', 'in_progress', 'canceling',
                       'ended', 'ingested', 'refuted', 'rejected')),
    close_reason      text NOT NULL CHECK (close_reason IN
                      ('item_limit', 'byte_limit', 'age', 'idle', 'urgency',
                       'create_rate', 'queue_full')),
    items             integer NOT NULL CHECK (items > 0),
    -- Exact length of the request body, and its hash once it was sent.
    body_bytes        bigint NOT NULL,
    body_hash         bytea,
    api_version       text,
    planned_at        timestamptz NOT NULL,
    -- Not to be sent before: backoff after an answer that stored nothing.
    not_before        timestamptz NOT NULL,
    sends             integer NOT NULL DEFAULT 0,
    -- The process that sends it and until when its call may last.
    sender            uuid,
    sent_at           timestamptz,
    send_deadline     timestamptz,
    -- Complete listings that did not show it, for an uncertain send.
    listings          integer NOT NULL DEFAULT 0,
    first_listing_at  timestamptz,
    last_listing_at   timestamptz,
    upstream_batch_id text,
    -- False while an adopted batch has not shown a result line of ours.
    verified          boolean NOT NULL DEFAULT true,
    created_at        timestamptz,
    expires_at        timestamptz,
    next_poll_at      timestamptz,
    ended_at          timestamptz,
    ingested_at       timestamptz,
    -- The process that reads its results, and until when nobody else does.
    ingester          uuid,
    ingest_until      timestamptz,
    -- Downloads that were read to their orderly end and still left jobs out.
    short_reads       integer NOT NULL DEFAULT 0,
    succeeded         integer,
    errored           integer,
    canceled          integer,
    expired           integer,
    -- Refuted or rejected, and all its jobs are free again.
    freed_at          timestamptz,
    last_cancel_at    timestamptz,
    last_error        text,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, upstream_id, upstream_batch_id),
    CHECK (state IN ('planned', 'rejected') OR sent_at IS NOT NULL),
    CHECK (state <> 'sending' OR (sender IS NOT NULL AND send_deadline IS NOT NULL)),
    CHECK (state NOT IN ('in_progress', 'canceling', 'ended', 'ingested')
           OR upstream_batch_id IS NOT NULL),
    CHECK ((state IN ('ended', 'ingested')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'ingested') = (ingested_at IS NOT NULL))
);
-- Open batches are few; the history is not walked by any loop.
CREATE INDEX batch_open ON batch (upstream_id, state)
    WHERE state NOT IN ('ingested', 'refuted', 'rejected');
CREATE INDEX batch_unfreed ON batch (planned_at)
    WHERE state IN ('refuted', 'rejected') AND freed_at IS NULL;
-- A listing asks which of a thousand message batches are known.
CREATE INDEX batch_upstream ON batch (upstream_id, upstream_batch_id)
    WHERE upstream_batch_id IS NOT NULL;
-- A result line names its batch without its tenant.
CREATE INDEX batch_id ON batch (id);
CREATE INDEX batch_sent ON batch (upstream_id, sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE inflight (
    tenant_id uuid NOT NULL,
    batch_id  uuid NOT NULL,
    id        uuid NOT NULL,
    group_id  uuid,
    attempt   integer NOT NULL,
    tries     integer NOT NULL,
    bytes     integer NOT NULL,
    -- The user canceled it: its result stands already, the late line is set aside.
    canceled  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, batch_id, id)
);
CREATE INDEX inflight_job ON inflight (tenant_id, id);

-- Message batches in our workspace that proved not to be ours: never adopted.
CREATE TABLE foreign_batch (
    upstream_id       uuid NOT NULL REFERENCES upstream,
    upstream_batch_id text NOT NULL,
    seen_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (upstream_id, upstream_batch_id)
);

-- Weighted fair order between tenants: virtual time already received.
CREATE TABLE share (
    tenant_id   uuid NOT NULL,
    upstream_id uuid NOT NULL,
    vtime       bigint NOT NULL,
    PRIMARY KEY (tenant_id, upstream_id)
);

-- --------------------------------------------------------- counts and money

-- Writers append differences, relay folds them into tally; a read adds both.
-- No row is shared by two submits.
CREATE TABLE delta (
    tenant_id     uuid NOT NULL,
    -- bucket: key = bucket, name = 'ready'. group: key = group, name = a job
    -- state or 'total'. tenant: key = nil, name = a job state.
    scope         text NOT NULL CHECK (scope IN ('bucket', 'group', 'tenant')),
    key           uuid NOT NULL,
    name          text NOT NULL,
    n             bigint NOT NULL DEFAULT 0,
    bytes         bigint NOT NULL DEFAULT 0,
    input_tokens  bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cost_pico     numeric(38, 0) NOT NULL DEFAULT 0,
    sync_pico     numeric(38, 0) NOT NULL DEFAULT 0
);
CREATE INDEX delta_key ON delta (tenant_id, scope, key);

CREATE TABLE tally (
    tenant_id     uuid NOT NULL,
    scope         text NOT NULL,
    key           uuid NOT NULL,
    name          text NOT NULL,
    n             bigint NOT NULL,
    bytes         bigint NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_pico     numeric(38, 0) NOT NULL,
    sync_pico     numeric(38, 0) NOT NULL,
    PRIMARY KEY (tenant_id, scope, key, name)
);
-- Below zero too: a claim's difference may be folded before its submit's.
CREATE INDEX tally_bucket ON tally (tenant_id, key) WHERE scope = 'bucket' AND n <> 0;

CREATE TABLE ledger (
    tenant_id          uuid NOT NULL,
    batch_id           uuid NOT NULL,
    id                 uuid NOT NULL,
    attempt            integer NOT NULL,
    at                 timestamptz NOT NULL,
    day                date NOT NULL,
    group_id           uuid,
    type               text,
    user_label         text,
    model              text NOT NULL,
    lane               text NOT NULL CHECK (lane IN ('batch', 'direct')),
    input_tokens       bigint NOT NULL,
    output_tokens      bigint NOT NULL,
    cache_write_5m     bigint NOT NULL,
    cache_write_1h     bigint NOT NULL,
    cache_read_tokens  bigint NOT NULL,
    web_searches       bigint NOT NULL,
    -- What it cost, and what the same usage would have cost synchronously.
    cost_pico          bigint NOT NULL,
    sync_pico          bigint NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, id)
);
CREATE INDEX ledger_day ON ledger (tenant_id, day);
