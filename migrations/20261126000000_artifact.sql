-- What tasks leave for scripts: the patch, the commits, the transcript, the changed files.

create table artifact (
    task_id      text   not null,
    name         text   not null,
    content_type text   not null,
    -- Bytes of all of it, and their SHA-256; 0 and empty where it was not kept.
    size         bigint not null,
    digest       text   not null,
    -- Why it was not kept; empty where it was.
    left_out     text   not null default '',
    created_at   bigint not null,
    primary key (task_id, name)
);
create index artifact_age on artifact (created_at);

-- Its bytes in pieces, each compressed and sealed by itself.
create table artifact_piece (
    task_id     text   not null,
    name        text   not null,
    piece       bigint not null,
    -- Of the whole that it is a piece of.
    digest      text   not null,
    sealed_with text   not null,
    content     blob   not null,
    primary key (task_id, name, piece)
);
create index artifact_piece_key on artifact_piece (sealed_with);
