-- A job that was canceled between two creates of its batch. The next create is
-- made without it; an earlier one may have been stored with it, against its
-- answer, and then its line is still to be booked.
ALTER TABLE inflight ADD COLUMN dropped boolean NOT NULL DEFAULT false;
