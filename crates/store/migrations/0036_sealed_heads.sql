-- How a line begins that was put aside is sealed as other content is, and its tenant has
-- it in an export.

-- contract: what was good is good as before; only what is sealed may be longer.
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_head_check,
    -- What is sealed is longer by a nonce, a tag, and what LZ4 adds where nothing is to
    -- be gained.
    ADD CONSTRAINT quarantine_head_check
        CHECK (octet_length(head) <= 65536 + CASE WHEN key_id = 0 THEN 0 ELSE 1024 END);

-- Its own rows alone, by the policy that has been there (0008).
GRANT SELECT ON quarantine TO offpeak_api;
