-- How fast one installation may call GitHub: one row for all processes, and one for the calls of the App itself (0). It
-- outlives a crash, so that a process which starts again and again does not call while it is asked to be silent. Times
-- are of the database's clock on PostgreSQL, where several processes compare them.
create table pace (
    installation_id bigint not null primary key,
    next_write_at   bigint not null default 0,
    -- When the budgets of new comments, reviews and the like are full again: of a minute, of an hour.
    minute_at       bigint not null default 0,
    hour_at         bigint not null default 0,
    silent_until    bigint not null default 0,
    -- GraphQL has requests of its own.
    graphql_until   bigint not null default 0,
    -- Why it is silent: primary | secondary
    why             text   not null default 'secondary',
    -- Refusals one after another that did not say for how long.
    strikes         bigint not null default 0
);

-- What a suspension has stopped is told when it ends.
create index task_installation on task (installation_id, ended_at);
