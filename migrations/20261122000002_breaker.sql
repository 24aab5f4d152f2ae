-- Issues and pull requests where too much was asked in too short a time. Nothing begins there until a person says so.
create table breaker (
    repository_id bigint not null,
    number        bigint not null,
    -- thread: all of it | bots: what bots cause
    why           text   not null,
    tripped_at    bigint not null,
    resumed_at    bigint,
    resumed_by    text,
    primary key (repository_id, number)
);
-- How much one person has asked for lately.
create index task_requester on task (requester_id, created_at);
