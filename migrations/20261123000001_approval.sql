-- Commits of pull requests that a writer has approved for work, and what was changed after somebody had asked.
create table approval (
    repository_id bigint not null,
    number        bigint not null,
    head_sha      text   not null,
    approver_id   bigint not null,
    approver      text   not null,
    -- By GitHub's clock, ISO 8601.
    said_at       text   not null,
    -- Digest of the title and text of the pull request as they were then.
    words         text   not null,
    approved_at   bigint not null,
    -- Somebody has pushed since.
    voided_at     bigint,
    primary key (repository_id, number, head_sha)
);
create table change_after (
    repository_id bigint not null,
    number        bigint not null,
    -- text | comment:ID | review-comment:ID | review:ID | head
    what          text   not null,
    -- By GitHub's clock, ISO 8601: the last time.
    happened_at   text   not null,
    -- The commit that the head is at since.
    head_sha      text,
    noted_at      bigint not null,
    primary key (repository_id, number, what)
);
-- SHA-256 over the request and its snapshot as they are stored; tasks of older versions have none.
alter table task add column snapshot_hash text;
