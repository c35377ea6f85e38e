-- What is done with every job that a filter finds, a chunk at a time: each chunk
-- and how far it came are one commit.

CREATE TABLE operation (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    action         text NOT NULL CHECK (action IN ('cancel', 'retry')),
    -- Who asked for it: the hint of a key, or the name of a person.
    asked_by       text NOT NULL,
    created_at     timestamptz NOT NULL,
    -- Which jobs. Null is any; the states are those in which the action can change
    -- a job, and so never none.
    states         text[] NOT NULL CHECK (cardinality(states) > 0),
    group_id       uuid,
    type           text,
    user_label     text,
    model          text,
    label          text,
    batch_id       uuid,
    since          timestamptz,
    until          timestamptz,
    -- The newest job that was there when it was asked for.
    bound          uuid NOT NULL,
    -- How many there were then, or at least so many.
    expected       bigint NOT NULL CHECK (expected >= 0),
    expected_whole boolean NOT NULL,
    -- The oldest job that was looked at; null before the first.
    place          uuid,
    -- Whether this walk has changed anything: then there is another one, since a job
    -- that moves meanwhile may be passed by.
    again          boolean NOT NULL DEFAULT false,
    done           bigint NOT NULL DEFAULT 0,
    left_alone     bigint NOT NULL DEFAULT 0,
    state          text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'stopped')),
    -- Whose turn comes first, and not before then.
    turn_at        timestamptz NOT NULL,
    ended_at       timestamptz,
    -- What went wrong last, for a person.
    problem        text,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'running') = (ended_at IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX operation_running ON operation (turn_at) WHERE state = 'running';
CREATE INDEX operation_age ON operation (ended_at);

-- ------------------------------------------------------------------- walls

ALTER TABLE operation ENABLE ROW LEVEL SECURITY;
ALTER TABLE operation FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON operation TO offpeak_api
    USING (tenant_id = (SELECT current_tenant()))
    WITH CHECK (tenant_id = (SELECT current_tenant()));
CREATE POLICY every_tenant ON operation TO offpeak_worker USING (true) WITH CHECK (true);

-- A chunk is done within the walls of its tenant, as the API's role.
GRANT SELECT, INSERT, UPDATE (place, again, done, left_alone, state, turn_at, ended_at, problem)
    ON operation TO offpeak_api;
-- To find whose turn it is, to put off what fails, and to forget what is over.
GRANT SELECT, UPDATE (turn_at, problem), DELETE ON operation TO offpeak_worker;
