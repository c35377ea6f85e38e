-- When the first create of a batch began: each further one overwrites sent_at,
-- and any of them may have been stored.
ALTER TABLE batch ADD COLUMN first_sent_at timestamptz;
-- Since when Anthropic does not know the message batch that this one had only
-- recognised, and how often it said so.
ALTER TABLE batch ADD COLUMN missing_since timestamptz,
                  ADD COLUMN missing_looks integer NOT NULL DEFAULT 0;
