-- A few thousand jobs of two tenants over five days, in every place where a job
-- can stand. Run statement by statement, with all rights.
DO $$
DECLARE parent text; day date;
BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'result'] LOOP
        FOR back IN 2..6 LOOP
            day := (clock_timestamp() AT TIME ZONE 'UTC')::date - back;
            EXECUTE format(
                'CREATE TABLE offpeak.%I PARTITION OF offpeak.%I FOR VALUES FROM (%L) TO (%L)',
                parent || to_char(day, '_YYYYMMDD'), parent, offpeak.v7_floor(day),
                offpeak.v7_floor(day + 1));
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION public.plain(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('0192' || lpad(to_hex(kind), 4, '0') || '-0000-7000-8000-'
            || lpad(to_hex(n), 12, '0'))::uuid;

INSERT INTO offpeak.job_type (tenant_id, name, version, definition)
SELECT '00000000-0000-0000-0000-000000000000', name, 1, '{}'
  FROM unnest(ARRAY['common', 'rare', 'unused']) AS name;

INSERT INTO offpeak.job_type (tenant_id, name, version, definition)
SELECT id, 'own', 1, '{}' FROM offpeak.tenant;

INSERT INTO offpeak.bucket (tenant_id, id, upstream_id, model)
SELECT id, md5(model)::uuid, '00000000-0000-0000-0000-000000000000', model
  FROM offpeak.tenant, unnest(ARRAY['m-a', 'm-b', 'm-unused']) AS model;

-- Who, when, what, and where it stands: the last third is open, and a few old
-- ones are.
CREATE TABLE public.plan AS
SELECT n, tenant.id AS tenant_id, tenant.name = 'acme' AS acme,
       (lpad(to_hex((extract(epoch FROM clock_timestamp() - interval '4.5 days' * (1 - n / 2400.0))
                     * 1000)::bigint), 12, '0')
        || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
       CASE WHEN n % 37 = 0 THEN 3 WHEN n % 41 = 0 THEN 4 WHEN n % 31 = 0 THEN 2
            WHEN n / 200 % 3 = 0 THEN 1 END AS group_no,
       CASE WHEN n % 50 = 0 THEN NULL WHEN n % 300 = 7 THEN 'rare' WHEN n % 3 = 0 THEN 'own'
            ELSE 'common' END AS type,
       CASE WHEN n % 10 = 0 THEN NULL WHEN n % 5 = 1 THEN 'alice' WHEN n % 400 = 9 THEN 'bob'
            ELSE 'user-' || n % 60 END AS user_label,
       CASE WHEN n % 4 = 1 THEN 'm-b' ELSE 'm-a' END AS model,
       CASE WHEN n % 37 = 0 OR n % 41 = 0 THEN 'staged'
            WHEN n > 1600 OR n % 29 = 0 THEN
                (ARRAY['ready', 'ready', 'planned', 'sending', 'uncertain', 'in_progress',
                       'canceling', 'ended', 'refuted', 'rejected'])[1 + n % 10]
            WHEN n % 17 = 0 THEN 'failed' WHEN n % 23 = 0 THEN 'canceled'
            ELSE 'completed' END AS stand
  FROM generate_series(1, 2400) AS n
  JOIN offpeak.tenant ON tenant.name = CASE WHEN n % 7 = 3 THEN 'globex' ELSE 'acme' END;

-- 1: whole stretches. 2: between others. 3: being staged. 4: refused.
INSERT INTO offpeak.job_group (tenant_id, id, created_at, opened_at, dropped_at)
SELECT DISTINCT tenant_id, public.plain(group_no, acme::integer), now(),
       CASE WHEN group_no < 3 THEN now() END, CASE WHEN group_no = 4 THEN now() END
  FROM public.plan WHERE group_no IS NOT NULL;

INSERT INTO offpeak.job (tenant_id, id, group_id, type, type_version, user_label, model,
                         upstream_id, bucket_id, lane, priority, bytes)
SELECT tenant_id, id, public.plain(group_no, acme::integer), type,
       CASE WHEN type IS NOT NULL THEN 1 END, user_label, model,
       '00000000-0000-0000-0000-000000000000', md5(model)::uuid, 'batch', 0, 100
  FROM public.plan;

INSERT INTO offpeak.batch (tenant_id, id, upstream_id, bucket_id, model, state, close_reason,
                           items, body_bytes, planned_at, not_before, sent_at, sender,
                           send_deadline, upstream_batch_id, created_at, expires_at,
                           next_poll_at, ended_at)
SELECT tenant_id, md5(concat(tenant_id, stand, model))::uuid,
       '00000000-0000-0000-0000-000000000000', md5(model)::uuid, model, stand, 'idle', count(*),
       1000, now(), now(), now(), tenant_id, now(), md5(concat(tenant_id, stand, model)), now(),
       now() + interval '1 day', now(), CASE stand WHEN 'ended' THEN now() END
  FROM public.plan
 WHERE stand NOT IN ('staged', 'ready', 'completed', 'failed', 'canceled')
 GROUP BY tenant_id, stand, model;

-- Every eleventh job in a batch was canceled there.
INSERT INTO offpeak.inflight (tenant_id, batch_id, id, group_id, attempt, tries, bytes, canceled)
SELECT p.tenant_id, b.id, p.id, public.plain(group_no, acme::integer), 1, 1, 100, n % 11 = 0
  FROM public.plan p
  JOIN offpeak.batch b ON b.id = md5(concat(p.tenant_id, p.stand, p.model))::uuid;

INSERT INTO offpeak.ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes, attempt)
SELECT tenant_id, id, md5(model)::uuid, public.plain(group_no, acme::integer), 0, now(), 100, 1
  FROM public.plan WHERE stand = 'ready';

INSERT INTO offpeak.result (tenant_id, id, outcome, label, group_id, type, user_label, model,
                            attempt, ended_at)
SELECT tenant_id, id, outcome, CASE outcome WHEN 'failed' THEN 'refused' END,
       public.plain(group_no, acme::integer), type, user_label, model, 1, now()
  FROM (SELECT p.*, CASE WHEN i.canceled THEN 'canceled' ELSE stand END AS outcome
          FROM public.plan p LEFT JOIN offpeak.inflight i ON i.id = p.id) AS ended
 WHERE outcome IN ('completed', 'failed', 'canceled');

ANALYZE offpeak.job, offpeak.result, offpeak.ready, offpeak.inflight, offpeak.batch;
