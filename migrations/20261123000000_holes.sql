-- Check runs that may be there twice: a call to make one was not answered, and another was made. GitHub may have carried the
-- first out later. Looked after until that can't be any more.
create table doubt (
    -- Of the effect, whose result says which of them is known.
    key             text   not null primary key,
    installation_id bigint not null,
    repository_id   bigint not null,
    repository      text   not null,
    head_sha        text   not null,
    name            text   not null,
    external_id     text   not null,
    created_at      bigint not null
);
