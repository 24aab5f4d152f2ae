-- What a caller of the API brings for one task alone, sealed. Wiped in the transaction that ends the task, or where it is for the
-- callback, in the one that ends that.
create table task_secret (
    task_id     text   not null,
    -- anthropic_api_key | callback_url | callback_secret
    name        text   not null,
    sealed      blob   not null,
    -- Id of the key that it is sealed with.
    sealed_with text   not null,
    created_at  bigint not null,
    primary key (task_id, name)
);
create index task_secret_key on task_secret (sealed_with);
create index task_secret_age on task_secret (created_at);

-- Who wants to hear of the end of a task. Due once the task has ended, as a job with the delivery's id.
create table callback (
    task_id     text   not null primary key,
    -- The same over all tries, so that whoever hears of the end twice can tell.
    delivery_id text   not null unique,
    -- Where it goes, as people may see it: the rest of an address is often a secret.
    host        text   not null,
    tries       bigint not null default 0,
    -- The status that the last try was answered with; null where nothing was.
    status      bigint,
    -- What was wrong with the last try.
    says        text,
    -- When it is tried again.
    next_at     bigint,
    -- delivered | refused | given_up; null before its end
    outcome     text,
    ended_at    bigint
);

-- Whether the model was paid for by whoever asked, with a key of their own.
alter table task add column own_key bigint not null default 0;
