-- The epoch of the lease by which the process that reads a batch's results is
-- seen to live, as it was when it took the batch: whoever lost that lease and has
-- it again reads nothing that it took before.
ALTER TABLE batch ADD COLUMN ingest_epoch bigint;
