-- Tasks that change machines.

-- The machine, by the random id in its DATA_DIR, that has the work of a task on its disk; empty where none has. The others
-- leave the task to it for a while.
alter table job add column home text not null default '';

-- What was put aside of a task that can't go on for now: the agent's conversation, and the work as a git bundle, for whichever
-- machine takes it up.
create table kept (
    task_id      text   not null primary key,
    -- The conversation is found by this, as it is in the task's progress.
    session      text   not null,
    -- Which checkout the work is of.
    tree         text   not null,
    -- Bytes of the conversation, which comes first; the rest is the bundle.
    conversation bigint not null,
    -- Bytes of both, and their SHA-256.
    size         bigint not null,
    digest       text   not null,
    created_at   bigint not null
);

-- Its bytes in pieces, each compressed and sealed by itself.
create table kept_piece (
    task_id     text   not null,
    piece       bigint not null,
    -- Of the whole that it is a piece of.
    digest      text   not null,
    sealed_with text   not null,
    content     blob   not null,
    primary key (task_id, piece)
);
create index kept_piece_key on kept_piece (sealed_with);
