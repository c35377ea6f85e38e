-- People who sign in by a company's identity server (OpenID Connect).

-- Who somebody is there: SHA-256 of issuer and subject. Null until they sign in so for
-- the first time, and then for good: an address may be given to another, a subject is not.
ALTER TABLE person ADD COLUMN identity bytea CHECK (octet_length(identity) = 32);
CREATE UNIQUE INDEX person_identity ON person (tenant_id, identity) WHERE removed_at IS NULL;
-- Whose tenant nobody knows yet is looked for by these.
CREATE INDEX person_vouched ON person (identity) WHERE removed_at IS NULL;
CREATE INDEX person_addressed ON person (lower(name))
    WHERE removed_at IS NULL AND identity IS NULL;

-- A sign-in that is under way: a browser was sent to the identity server. Of no tenant,
-- since nobody knows yet who will come back.
CREATE TABLE signin_attempt (
    -- SHA-256 of the secret in the browser's cookie. State, nonce and the verifier of PKCE
    -- follow from that secret, and stand nowhere.
    digest      bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    expires_at  timestamptz NOT NULL,
    -- It came back. It does so once.
    redeemed_at timestamptz,
    -- Whom the server vouched for, while they choose one of several tenants.
    identity    bytea CHECK (octet_length(identity) = 32),
    address     text CHECK (length(address) <= 254),
    CHECK (redeemed_at IS NOT NULL OR (identity IS NULL AND address IS NULL))
);
CREATE INDEX signin_attempt_age ON signin_attempt (expires_at);

-- ------------------------------------------------------------------- walls

ALTER TABLE signin_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE signin_attempt FORCE ROW LEVEL SECURITY;
-- Who presents a digest has that row, and no other.
CREATE POLICY presented ON signin_attempt TO offpeak_api
    USING (digest = (SELECT decode(nullif(current_setting('app.key_digest', true), ''), 'hex')))
    WITH CHECK (digest = (SELECT decode(nullif(current_setting('app.key_digest', true), ''), 'hex')));
CREATE POLICY every_attempt ON signin_attempt TO offpeak_worker USING (true) WITH CHECK (true);

-- People are found in every tenant by what the identity server vouched for; operators are
-- not, and nobody by the address of whoever is known already.
CREATE POLICY vouched ON person FOR SELECT TO offpeak_api
    USING (identity = (SELECT decode(nullif(current_setting('app.key_digest', true), ''), 'hex'))
           AND removed_at IS NULL
           AND tenant_id <> '00000000-0000-0000-0000-000000000000');
CREATE POLICY addressed ON person FOR SELECT TO offpeak_api
    USING (lower(name) = (SELECT nullif(current_setting('app.address', true), ''))
           AND identity IS NULL AND removed_at IS NULL
           AND tenant_id <> '00000000-0000-0000-0000-000000000000');

GRANT UPDATE (identity) ON person TO offpeak_api;
GRANT SELECT, INSERT, UPDATE (redeemed_at, identity, address), DELETE ON signin_attempt
    TO offpeak_api;
GRANT SELECT, DELETE ON signin_attempt TO offpeak_worker;

-- --------------------------------------------------------- one round trip each

-- Notes that a browser with this secret's digest was sent away, for so long.
CREATE FUNCTION begin_attempt(presented bytea, seconds integer) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
BEGIN
    INSERT INTO signin_attempt (digest, expires_at)
    VALUES (presented, clock_timestamp() + make_interval(secs => seconds));
END $$;

-- Uses it up. Returns when that was; null when there is none, it came back before, or its
-- time is over.
CREATE FUNCTION redeem_attempt(presented bytea) RETURNS timestamptz
    LANGUAGE plpgsql
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
    at timestamptz;
BEGIN
    UPDATE signin_attempt a SET redeemed_at = clock_timestamp()
     WHERE a.digest = presented AND a.redeemed_at IS NULL AND a.expires_at > clock_timestamp()
    RETURNING a.redeemed_at INTO at;
    RETURN at;
END $$;

-- Remembers who came back, until they have chosen.
CREATE FUNCTION keep_attempt(presented bytea, vouched bytea, of_address text) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
BEGIN
    UPDATE signin_attempt a SET identity = vouched, address = of_address
     WHERE a.digest = presented AND a.redeemed_at IS NOT NULL;
END $$;

-- Who came back, once. `vouched` is null when nobody did, or the time is over.
CREATE FUNCTION end_attempt(presented bytea, OUT vouched bytea, OUT of_address text)
    LANGUAGE plpgsql
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(presented, 'hex'), true);
BEGIN
    DELETE FROM signin_attempt a
     WHERE a.digest = presented AND a.identity IS NOT NULL AND a.expires_at > clock_timestamp()
    RETURNING a.identity, a.address INTO vouched, of_address;
END $$;

-- As whom somebody may enter, a row for each tenant and at most a hundred: those that the
-- identity is known of, and where it is of nobody, those whom an admin has added under the
-- address that the server verified. Changes nothing.
CREATE FUNCTION vouched_people(vouched bytea, of_address text, OUT tenant uuid,
                               OUT tenant_name text, OUT person uuid, OUT called text,
                               OUT known boolean)
    RETURNS SETOF record
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    bound text := set_config('app.key_digest', encode(vouched, 'hex'), true);
BEGIN
    bound := set_config('app.address', coalesce(of_address, ''), true);
    FOR tenant, person, called, known IN
        SELECT DISTINCT ON (p.tenant_id) p.tenant_id, p.id, p.name, p.identity IS NOT NULL
          FROM person p
         WHERE p.removed_at IS NULL AND p.tenant_id <> '00000000-0000-0000-0000-000000000000'
           AND (p.identity = vouched OR (p.identity IS NULL AND lower(p.name) = of_address))
         ORDER BY p.tenant_id, p.identity NULLS LAST
         LIMIT 100
    LOOP
        bound := set_config('app.tenant', tenant::text, true);
        SELECT t.name INTO tenant_name FROM tenant t WHERE t.id = tenant;
        IF FOUND THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION begin_attempt, redeem_attempt, keep_attempt, end_attempt, vouched_people
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_attempt, redeem_attempt, keep_attempt, end_attempt, vouched_people
    TO offpeak_api;
