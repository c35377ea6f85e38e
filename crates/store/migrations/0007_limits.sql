-- How full the database's disk is, as the worker measured it last: one row that
-- submits read with what they read anyway.
CREATE TABLE storage (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    level          text NOT NULL CHECK (level IN ('ok', 'full', 'critical')),
    database_bytes bigint NOT NULL,
    -- Free where the database stands; null on another machine.
    free_bytes     bigint,
    measured_at    timestamptz NOT NULL
);
INSERT INTO storage (level, database_bytes, measured_at) VALUES ('ok', 0, clock_timestamp());

GRANT SELECT ON storage TO offpeak_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON storage TO offpeak_worker;
