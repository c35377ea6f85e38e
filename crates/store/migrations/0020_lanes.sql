-- Jobs that are wanted soon: deadlines, calls of their own, and how long batches
-- have really taken.
--
-- Processes of the version before go on. They put such jobs into batches like any
-- other, for they know of no lane; counts and results stay right.

-- What a job asked for. Words without a list here: a newer version that runs
-- beside this one may know more.
ALTER TABLE job
    -- Seconds.
    ADD COLUMN deliver_within integer,
    ADD COLUMN on_late        text,
    ADD COLUMN on_unknown     text;

ALTER TABLE ready
    ADD COLUMN lane     text NOT NULL DEFAULT 'batch',
    ADD COLUMN deadline timestamptz,
    ADD COLUMN on_late  text;
-- Three that are empty where nobody is in a hurry.
CREATE INDEX ready_direct ON ready (tenant_id, deadline, id) WHERE lane = 'direct';
CREATE INDEX ready_hurry ON ready (tenant_id, bucket_id, deadline)
    WHERE deadline IS NOT NULL AND lane = 'batch';
CREATE INDEX ready_deadline ON ready (deadline) WHERE deadline IS NOT NULL;

-- Of two open attempts of one job the one in the batch is marked `canceled`: it is
-- the direct one's state that counts, and the first good result wins.
ALTER TABLE inflight
    ADD COLUMN deadline     timestamptz,
    ADD COLUMN on_late      text,
    -- From when on the job may be called for beside its batch.
    ADD COLUMN direct_from  timestamptz,
    -- The number that its next attempt will have, where that is not the next one:
    -- it was called for beside this.
    ADD COLUMN next_attempt integer;
CREATE INDEX inflight_deadline ON inflight (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX inflight_direct ON inflight (direct_from) WHERE direct_from IS NOT NULL;

-- One direct call, which is also the intent to make it. Nobody can look it up
-- afterwards, so it is made once.
CREATE TABLE call (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    upstream_id    uuid NOT NULL REFERENCES upstream,
    job_id         uuid NOT NULL,
    model          text NOT NULL,
    attempt        integer NOT NULL,
    -- The batch whose attempt of the same job was open when it began.
    beside         uuid,
    -- unknown: it was sent, and its answer lost.
    state          text NOT NULL CHECK (state IN ('sending', 'done', 'unknown')),
    sender         uuid NOT NULL,
    sent_at        timestamptz NOT NULL,
    send_deadline  timestamptz NOT NULL,
    ended_at       timestamptz,
    last_cancel_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'sending') = (ended_at IS NULL))
);
CREATE INDEX call_sending ON call (upstream_id) WHERE state = 'sending';
CREATE INDEX call_of_job ON call (tenant_id, job_id);

-- How many batches (or direct calls) of a size took about how long, by the day and
-- hour at which they began: offpeak_domain::turnaround says what the numbers mean.
CREATE TABLE turnaround (
    upstream_id uuid NOT NULL REFERENCES upstream,
    lane        text NOT NULL CHECK (lane IN ('batch', 'direct')),
    day         date NOT NULL,
    hour        smallint NOT NULL,
    size        smallint NOT NULL,
    bin         smallint NOT NULL,
    n           bigint NOT NULL,
    PRIMARY KEY (upstream_id, lane, day, hour, size, bin)
);

-- ------------------------------------------------------------------- walls

ALTER TABLE call ENABLE ROW LEVEL SECURITY;
ALTER TABLE call FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON call TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON call TO offpeak_worker USING (true) WITH CHECK (true);

GRANT SELECT, UPDATE (last_cancel_at) ON call TO offpeak_api;
GRANT SELECT ON turnaround TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON call, turnaround TO offpeak_worker;

-- ---------------------------------------------------------- state of a job

-- As before, and: a job whose direct call runs is processing; the lane is the one
-- that it is in now, or that gave its result.
-- contract: every column stays in its place, with its name and type; three more follow
CREATE OR REPLACE VIEW job_state WITH (security_invoker = true) AS
SELECT j.tenant_id,
       j.id,
       j.group_id,
       j.type,
       j.type_version,
       j.user_label,
       j.model,
       CASE
           WHEN r.id IS NOT NULL AND said.id IS NOT NULL THEN 'direct'
           WHEN r.id IS NOT NULL AND r.batch_id IS NOT NULL THEN 'batch'
           ELSE coalesce(f.lane, q.lane, j.lane)
       END AS lane,
       j.priority,
       j.metadata,
       CASE
           WHEN r.id IS NOT NULL THEN r.outcome
           WHEN f.batch_state IN ('in_progress', 'canceling') THEN 'submitted'
           WHEN f.batch_state IN ('ended', 'ingested', 'called') THEN 'processing'
           ELSE 'queued'
       END AS state,
       CASE
           WHEN r.id IS NOT NULL THEN NULL
           WHEN f.batch_state IN ('planned', 'sending') THEN 'sending'
           WHEN f.batch_state = 'uncertain' THEN 'confirming'
           WHEN f.batch_state IS NULL THEN 'waiting'
       END AS detail,
       coalesce(r.attempt, f.attempt, q.attempt) AS attempt,
       coalesce(r.batch_id, f.batch_id) AS batch_id,
       r.label,
       r.message,
       r.stop_reason,
       r.ended_at,
       r.input_tokens,
       r.output_tokens,
       r.cache_write_tokens,
       r.cache_read_tokens,
       r.cost_pico,
       r.sync_pico,
       j.deliver_within,
       j.on_late,
       coalesce(f.deadline, q.deadline) AS deadline
  FROM job j
  LEFT JOIN result r ON r.tenant_id = j.tenant_id AND r.id = j.id
  LEFT JOIN call said ON said.tenant_id = r.tenant_id AND said.id = r.batch_id
  LEFT JOIN LATERAL (
       SELECT i.batch_id, i.attempt, i.deadline,
              CASE WHEN c.id IS NULL THEN b.state ELSE 'called' END AS batch_state,
              CASE WHEN c.id IS NULL THEN 'batch' ELSE 'direct' END AS lane
         FROM inflight i
         LEFT JOIN batch b ON b.tenant_id = i.tenant_id AND b.id = i.batch_id
         LEFT JOIN call c ON c.tenant_id = i.tenant_id AND c.id = i.batch_id
        WHERE i.tenant_id = j.tenant_id AND i.id = j.id
        -- Of two open attempts the one that is not marked.
        ORDER BY i.canceled, i.attempt DESC
        LIMIT 1) f ON true
  LEFT JOIN ready q ON q.tenant_id = j.tenant_id AND q.id = j.id;

-- ------------------------------------------------------------ a single job

-- As submit_told, with a lane and what the job asks for. With a `content`, the hash
-- of what it shares with others that ask the same, it may follow one of them: then
-- `source` is that one.
CREATE FUNCTION submit_routed(
    for_tenant uuid, with_key uuid, undated uuid, idempotency_key text, hash bytea,
    job_type_name text, job_type_version integer, remembered_shipped boolean,
    of_user text, of_model text, to_upstream uuid, to_bucket uuid, with_priority smallint,
    with_metadata text, is_structured boolean, messages_params bytea,
    in_lane text, within_seconds integer, when_late text, when_unknown text,
    content bytea, reuse_seconds integer,
    OUT outcome text, OUT job uuid, OUT at timestamptz, OUT source uuid)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound  text := set_config('app.tenant', for_tenant::text, true);
    length integer := octet_length(messages_params);
    found_hash bytea;
    wanted_by timestamptz;
BEGIN
    outcome := CASE
        WHEN NOT EXISTS (SELECT FROM api_key k
                          WHERE k.tenant_id = for_tenant AND k.id = with_key
                            AND k.revoked_at IS NULL)
        THEN 'revoked'
        -- A tenant's own goes before a shipped one, whatever its version.
        WHEN remembered_shipped IS NOT NULL AND EXISTS (
                 SELECT FROM job_type own
                  WHERE own.tenant_id = for_tenant AND own.name = job_type_name
                    AND own.version > CASE WHEN remembered_shipped THEN 0
                                           ELSE job_type_version END)
          OR remembered_shipped AND EXISTS (
                 SELECT FROM job_type shipped
                  WHERE shipped.tenant_id = '00000000-0000-0000-0000-000000000000'
                    AND shipped.name = job_type_name AND shipped.version > job_type_version)
        THEN 'outdated' END;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    at := clock_timestamp();
    job := (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || substr(undated::text, 14))::uuid;
    IF idempotency_key IS NOT NULL THEN
        -- Waits while another transaction is claiming the same key.
        INSERT INTO idempotency (tenant_id, key, job_id, body_hash, created_at)
        VALUES (for_tenant, idempotency_key, job, hash, at)
            ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT i.job_id, i.body_hash INTO job, found_hash
              FROM idempotency i
             WHERE i.tenant_id = for_tenant AND i.key = idempotency_key;
            outcome := CASE
                -- It was there a moment ago: the upload that held it has just been refused.
                WHEN NOT FOUND THEN 'busy'
                WHEN found_hash = hash AND job IS NOT NULL THEN 'before'
                ELSE 'reused' END;
            RETURN;
        END IF;
    END IF;
    wanted_by := at + make_interval(secs => within_seconds);
    source := source_of(for_tenant, job, content, reuse_seconds, in_lane, with_priority, wanted_by,
                        at);
    WITH of_bucket AS (
        INSERT INTO bucket (tenant_id, id, upstream_id, model)
        SELECT for_tenant, to_bucket, to_upstream, of_model
         WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.tenant_id = for_tenant AND b.id = to_bucket)
            ON CONFLICT DO NOTHING),
    head AS (
        INSERT INTO job (tenant_id, id, type, type_version, user_label, model, upstream_id,
                         bucket_id, lane, priority, bytes, metadata, structured,
                         deliver_within, on_late, on_unknown, hash, reuse_for)
        VALUES (for_tenant, job, job_type_name, job_type_version, of_user, of_model, to_upstream,
                to_bucket, in_lane, with_priority, length, with_metadata, is_structured,
                within_seconds, when_late, when_unknown, content, reuse_seconds)),
    body AS (
        INSERT INTO payload (tenant_id, id, params) VALUES (for_tenant, job, messages_params)),
    queue AS (
        INSERT INTO ready (tenant_id, id, bucket_id, priority, not_before, bytes, attempt, lane,
                           deadline, on_late, source_id)
        VALUES (for_tenant, job, to_bucket, with_priority, at, length, 1,
                CASE WHEN source IS NULL THEN in_lane ELSE 'follow' END, wanted_by, when_late,
                source)),
    told AS (
        INSERT INTO event_in (tenant_id, at, kind, state, ids, users)
        VALUES (for_tenant, at, 'job', 'queued', ARRAY[job],
                CASE WHEN of_user IS NOT NULL THEN ARRAY[user_key(of_user)] END))
    INSERT INTO delta (tenant_id, scope, key, name, n, bytes)
    VALUES (for_tenant, 'bucket', to_bucket, 'ready', 1, length),
           (for_tenant, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued', 1, 0);
    outcome := 'stored';
END $$;
REVOKE ALL ON FUNCTION submit_routed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION submit_routed TO offpeak_api;
