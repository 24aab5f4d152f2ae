-- Keys of the API. The key itself is shown once and kept nowhere.
create table api_key (
    key_id                text   not null primary key,
    -- What the key begins with: people tell keys apart by it, and the server finds the row by it.
    prefix                text   not null unique,
    -- SHA-256 of the whole key, as hex.
    hash                  text   not null,
    name                  text   not null,
    -- Words with spaces between them, such as `tasks:read usage:read`.
    scopes                text   not null,
    -- `owner/name` in small letters with spaces between them; null for all repositories.
    repositories          text,
    -- Requests a minute; null for the default.
    rate_limit            bigint,
    -- What the tasks may cost that are made with this key, in a day.
    budget_micros_per_day bigint,
    created_at            bigint not null,
    -- The key that made it; null for the server's own.
    created_by            text,
    expires_at            bigint,
    -- To the minute.
    last_used_at          bigint,
    revoked_at            bigint
);

-- Lists of tasks by what people look for.
create index task_of_repository on task (lower(repository), created_at, task_id);
create index task_of_state on task (state, created_at, task_id);
-- Lists of deliveries go by their ids, which begin with their time.
