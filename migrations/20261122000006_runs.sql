-- Why a task waits, for the people who wait for it, and for how long it has done nothing else.

-- rate_limit | github | git | model | host
alter table task add column waits_for text;
alter table task add column waits_until bigint;
-- What is wrong, in a sentence.
alter table task add column waits_says text;
-- Since when it has waited without getting anywhere, and how often it has tried.
alter table task add column waits_since bigint;
alter table task add column waits_tries bigint not null default 0;

-- The delivery or task that is at a write, or was: while it holds its claim, no other begins the same write.
alter table effect add column job_id text;
