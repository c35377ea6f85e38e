-- What the first screen of a dashboard asks for, kept so that reading it costs the
-- same whatever was done: how many jobs came and ended each minute, and how long
-- results took.
--
-- Processes of the version before go on. What one of them folds or settles is
-- missing from these two, and from nothing else.

-- By the minute in which it happened, not in which it was folded.
ALTER TABLE delta ADD COLUMN at timestamptz NOT NULL DEFAULT now();

-- Folded from `delta` with the tallies.
CREATE TABLE pace (
    tenant_id uuid NOT NULL,
    minute    timestamptz NOT NULL,
    accepted  bigint NOT NULL,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    canceled  bigint NOT NULL,
    PRIMARY KEY (tenant_id, minute)
) WITH (fillfactor = 70);
CREATE INDEX pace_minute ON pace (minute);

-- Completed jobs of a type by how long they took from their submit, in the bins of
-- offpeak_domain::turnaround, by the day on which they ended. Without a type: ''.
CREATE TABLE took (
    tenant_id uuid NOT NULL,
    day       date NOT NULL,
    type      text NOT NULL,
    bin       smallint NOT NULL,
    n         bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, type, bin)
) WITH (fillfactor = 70);
CREATE INDEX took_day ON took (day);

-- ------------------------------------------------------------------- walls

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['pace', 'took'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own_rows ON %I TO offpeak_api
                            USING (tenant_id = (SELECT current_tenant()))
                            WITH CHECK (tenant_id = (SELECT current_tenant()))', t);
        EXECUTE format('CREATE POLICY every_tenant ON %I TO offpeak_worker
                            USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT ON pace, took TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON pace, took TO offpeak_worker;

-- A tenant may know what concerns its own jobs: that it happened and to which batch,
-- not what it cost the deployment. The table itself stays the operator's.
CREATE FUNCTION own_incidents(most integer)
    RETURNS TABLE (id uuid, kind text, at timestamptz, batch_id uuid, detail text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = offpeak, pg_temp
AS $$
    SELECT i.id, i.kind, i.at, i.batch_id, i.detail
      FROM incident i
     WHERE i.subject_tenant = current_tenant() AND i.resolved_at IS NULL
     ORDER BY i.at DESC, i.id
     LIMIT least(most, 1000)
$$;
REVOKE ALL ON FUNCTION own_incidents(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION own_incidents(integer) TO offpeak_api;
