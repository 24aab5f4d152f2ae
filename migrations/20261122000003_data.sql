-- What keeps a large store quick, small and shut.

-- Conversations are sealed: the id of the key, empty for what was kept before there was one.
alter table session add column sealed_with text not null default '';
create index session_sealed on session (sealed_with);
create index session_age on session (created_at);

-- The key that seals this database, by its id and not by its bytes: a process with another one is told so when it starts.
create table seal_key (
    -- Always 1.
    id         bigint not null primary key,
    key_id     text   not null,
    created_at bigint not null
);

-- Whether nobody needs to look after the check run of a review any more. Without it the sweep would read all of history.
alter table task add column check_settled bigint not null default 0;
create index task_unsettled on task (ended_at) where kind = 'review' and check_settled = 0 and ended_at is not null;
-- The newest tasks, for lists.
create index task_newest on task (created_at, task_id);

-- What belongs to a task goes with it; what belongs to none, such as a refusal, goes by age.
create index effect_task on effect (task_id) where task_id is not null;
create index effect_age on effect (created_at) where task_id is null;
