-- How long it took until people saw something, and until there was a pull request: milliseconds from the delivery that asked,
-- or from the request to the API. Written with the task's end; null where neither came.
alter table task add column answered_after bigint;
alter table task add column pull_after bigint;

-- Usage is added up from this alone, with the two and with whose key has paid.
drop index task_usage;
create index task_usage on task (created_at, repository, repository_id, requester, state, pull, spent_micros, turns, own_key,
                                 answered_after, pull_after);
