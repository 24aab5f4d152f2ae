-- Tasks that are asked for through the API.

-- The key that asked; `admin` for the server's own, null where somebody asked on GitHub.
alter table task add column key_id text;
-- The most that it may cost, where that is less than any run may.
alter table task add column budget_micros bigint;
-- What was asked for of that; the rest is what the key's day had left.
alter table task add column budget_asked bigint;
-- The task that it repeats or goes on from.
alter table task add column parent_id text;
create index task_key on task (key_id, created_at);
create index task_parent on task (parent_id);

-- What was asked for under an `Idempotency-Key`, so that asking again makes nothing new.
create table api_order (
    key_id          text   not null,
    idempotency_key text   not null,
    -- SHA-256 of what was asked for.
    digest          text   not null,
    task_id         text   not null,
    created_at      bigint not null,
    primary key (key_id, idempotency_key)
);
create index api_order_age on api_order (created_at);
