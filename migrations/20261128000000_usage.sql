-- What tasks have used of the model, by model: counted where the money is counted.
create table used (
    task_id     text   not null,
    -- The claim under which it was used. An attempt writes its own rows over and over, and no other's.
    epoch       bigint not null,
    -- As it was asked for.
    model       text   not null,
    -- Tokens; `input` without those that were read from or written to the cache.
    input       bigint not null,
    output      bigint not null,
    cache_read  bigint not null,
    cache_write bigint not null,
    micros      bigint not null,
    primary key (task_id, epoch, model)
);

-- Usage is added up from this alone: rows of tasks are wide, for they hold their snapshots.
create index task_usage on task (created_at, repository, requester, state, pull, spent_micros, turns);
