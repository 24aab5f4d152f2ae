-- What was asked, and what became of it.
create table task (
    task_id         text   not null primary key,
    installation_id bigint not null,
    repository_id   bigint not null,
    repository      text   not null,
    number          bigint not null,
    -- What asked: ties the task's log lines to the delivery's.
    delivery_id     text   not null,
    requester_id    bigint not null,
    requester       text   not null,
    -- JSON: what asked (a comment, a label, an issue's own text).
    trigger_json    text   not null,
    prompt          text   not null,
    -- JSON: the issue as it was at the trigger (invariant 7).
    snapshot        text   not null,
    -- queued | running | publishing | waiting | completed | failed | cancelled
    state           text   not null,
    -- JSON: the durable steps that are behind us.
    progress        text   not null default '{}',
    -- Stable code and JSON details of how it ended.
    ending          text,
    spent_micros    bigint not null default 0,
    turns           bigint not null default 0,
    created_at      bigint not null,
    started_at      bigint,
    ended_at        bigint
);
-- One open task a thread. Two deliveries that ask at the same moment make one.
create unique index task_open on task (repository_id, number)
    where state in ('queued', 'running', 'publishing', 'waiting');
create index task_thread on task (repository_id, number, created_at);

-- All that happened in a task, in order: the source for the comment, the API, the streams and the page.
create table task_event (
    task_id text   not null,
    seq     bigint not null,
    at      bigint not null,
    kind    text   not null,
    body    text   not null,
    primary key (task_id, seq)
);
