-- How far Anthropic's clock was ahead of the database's, in microseconds, when
-- a create began, and when the first listing that counts against it was made: the
-- database's clock may have been set since, or be another machine's. Null: it was
-- not known.
ALTER TABLE batch ADD COLUMN ahead_us         bigint,
                  ADD COLUMN listing_ahead_us bigint;
