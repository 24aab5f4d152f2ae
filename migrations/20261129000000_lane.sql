-- Deliveries have a lane too: their installation's id, so that one busy installation leaves room for the others. Those that
-- were queued before have none, and are not held up.

-- What is held is counted with each claim, whatever waits.
create index job_held on job (queue, lane) where lease_owner is not null;
