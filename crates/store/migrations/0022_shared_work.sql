-- Jobs of one tenant that ask the same to the byte share one attempt: the first of
-- them leads, the others follow it while it is open, or take the result that it
-- gave a while ago.
--
-- Processes of the version before go on. They put a follower into a batch like any
-- other job, and end a leader without saying so; the worker's loop `tend` finds both.

ALTER TABLE job
    -- SHA-256 of where it goes and of its params. Null: it wants an answer of its
    -- own, or is older than this.
    ADD COLUMN hash      bytea,
    -- Seconds for which it takes a result that is there already; null: none.
    ADD COLUMN reuse_for integer;

-- A row that waits for the result of another job stands in the lane 'follow', which
-- nobody claims.
ALTER TABLE ready ADD COLUMN source_id uuid;
CREATE INDEX ready_follow ON ready (tenant_id, source_id, id) WHERE lane = 'follow';
-- What waits in a bucket and is not to be batched.
CREATE INDEX ready_beside ON ready (tenant_id, bucket_id) WHERE lane <> 'batch';

-- The job whose result this is a copy of.
ALTER TABLE result ADD COLUMN source_id uuid;

-- Who leads those that ask the same. Who joins it holds its row, and who ends it
-- deletes the row before looking for followers: so each of them is either seen or
-- finds no leader.
CREATE TABLE alike (
    tenant_id  uuid NOT NULL,
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    job_id     uuid NOT NULL,
    -- How soon it is wanted: it leads nobody who is in a greater hurry.
    lane       text NOT NULL,
    priority   smallint NOT NULL,
    deadline   timestamptz,
    reuse_for  integer,
    -- Set when it has completed and its result may be taken for a while.
    ended_at   timestamptz,
    kept_until timestamptz,
    PRIMARY KEY (tenant_id, hash),
    CHECK ((ended_at IS NULL) = (kept_until IS NULL))
);
CREATE INDEX alike_kept ON alike (kept_until) WHERE kept_until IS NOT NULL;
ALTER TABLE alike SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Jobs that have ended and whose followers are to be served.
CREATE TABLE shared (
    tenant_id uuid NOT NULL,
    id        uuid NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX shared_at ON shared (at, id);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['alike', 'shared'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON alike TO offpeak_api;
GRANT SELECT, INSERT, UPDATE ON shared TO offpeak_api;
GRANT UPDATE (lane, source_id) ON ready TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON alike, shared TO offpeak_worker;

-- ---------------------------------------------------------- state of a job

-- As before, and: a job that follows another is in the lane that it asked for, and
-- names the other, as it does once it has that one's result.
-- contract: every column stays in its place, with its name and type; one more follows
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
           ELSE coalesce(f.lane, nullif(q.lane, 'follow'), j.lane)
       END AS lane,
       j.priority,
       j.metadata,
       CASE
           WHEN r.id IS NOT NULL THEN r.outcome
           WHEN f.batch_state IN ('in_progress', 'canceling') THEN 'submitted'
           WHEN f.batch_state IN ('ended', 'ingested', 'called') THEN 'processing'
           ELSE 'queued'
       END AS state,
       -- One that follows is 'waiting' here as well, a word that every version
       -- knows; its source says the rest.
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
       coalesce(f.deadline, q.deadline) AS deadline,
       coalesce(r.source_id, q.source_id) AS source_id
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

-- ------------------------------------------------------------ who leads whom

-- Whether a job is wanted at least as soon as another, which may then wait for it.
CREATE FUNCTION soon_enough(lead_lane text, lead_priority smallint, lead_deadline timestamptz,
                            other_lane text, other_priority smallint, other_deadline timestamptz)
    RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lead_lane = 'direct' OR other_lane = 'batch')
           AND lead_priority >= other_priority
           AND (other_deadline IS NULL OR coalesce(lead_deadline <= other_deadline, false));

-- Whether a row of `alike` has an answer for a new job: it is open and comes soon
-- enough, or it has ended and the new one takes results as old as that.
CREATE FUNCTION serves(lead alike, at timestamptz, reuse_seconds integer,
                       other_lane text, other_priority smallint, other_deadline timestamptz)
    RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (lead).ended_at IS NULL
                THEN soon_enough((lead).lane, (lead).priority, (lead).deadline,
                                 other_lane, other_priority, other_deadline)
                ELSE coalesce((lead).ended_at + make_interval(secs => reuse_seconds) > at, false)
           END;

-- The job for whose result this new one is to wait. Null: it goes its own way, and
-- mostly leads those who ask the same after it.
CREATE FUNCTION source_of(for_tenant uuid, for_job uuid, content bytea, reuse_seconds integer,
                          in_lane text, with_priority smallint, wanted_by timestamptz,
                          at timestamptz)
    RETURNS uuid
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    held boolean := false;
    lead alike;
BEGIN
    IF content IS NULL THEN
        RETURN NULL;
    END IF;
    -- Once, unless it changes under our eyes.
    FOR round IN 1..10 LOOP
        -- Waits while another transaction is about to lead.
        INSERT INTO alike (tenant_id, hash, job_id, lane, priority, deadline, reuse_for)
        VALUES (for_tenant, content, for_job, in_lane, with_priority, wanted_by, reuse_seconds)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        SELECT a.* INTO lead FROM alike a WHERE a.tenant_id = for_tenant AND a.hash = content;
        CONTINUE WHEN NOT FOUND;
        IF serves(lead, at, reuse_seconds, in_lane, with_priority, wanted_by) THEN
            SELECT a.* INTO lead
              FROM alike a
             WHERE a.tenant_id = for_tenant AND a.hash = content
               AND serves(a, at, reuse_seconds, in_lane, with_priority, wanted_by)
               FOR SHARE;
            IF NOT FOUND THEN
                held := true;
                CONTINUE;
            END IF;
            IF lead.ended_at IS NOT NULL THEN
                INSERT INTO shared (tenant_id, id, at) VALUES (for_tenant, lead.job_id, at)
                    ON CONFLICT DO NOTHING;
            ELSIF EXISTS (SELECT FROM result r
                           WHERE r.tenant_id = for_tenant AND r.id = lead.job_id) THEN
                -- The version before has ended it, and told nobody.
                RETURN NULL;
            END IF;
            RETURN lead.job_id;
        END IF;
        IF held THEN
            -- Others may hold the row as well: who takes it over now would wait for
            -- them, and they for him.
            RETURN NULL;
        END IF;
        UPDATE alike a
           SET job_id = for_job, lane = in_lane, priority = with_priority, deadline = wanted_by,
               reuse_for = reuse_seconds, ended_at = NULL, kept_until = NULL
         WHERE a.tenant_id = for_tenant AND a.hash = content
           AND NOT serves(a, at, reuse_seconds, in_lane, with_priority, wanted_by);
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- Whether a job is called for directly, will be before this deadline, or has ended:
-- then its followers gain nothing by a call of their own.
CREATE FUNCTION is_seen_to(of_tenant uuid, of_job uuid, before timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM ready q
                    WHERE q.tenant_id = of_tenant AND q.id = of_job
                      AND (q.lane = 'direct' OR q.on_late = 'escalate' AND q.deadline <= before))
           OR EXISTS (SELECT FROM inflight i
                        LEFT JOIN call c ON c.tenant_id = i.tenant_id AND c.id = i.batch_id
                       WHERE i.tenant_id = of_tenant AND i.id = of_job AND NOT i.canceled
                         AND (c.id IS NOT NULL OR i.direct_from IS NOT NULL
                              OR i.on_late = 'escalate' AND i.deadline <= before))
           OR EXISTS (SELECT FROM result r WHERE r.tenant_id = of_tenant AND r.id = of_job);

REVOKE ALL ON FUNCTION soon_enough, serves, source_of, is_seen_to FROM PUBLIC;
GRANT EXECUTE ON FUNCTION soon_enough, serves, source_of TO offpeak_api, offpeak_worker;
GRANT EXECUTE ON FUNCTION is_seen_to TO offpeak_worker;
