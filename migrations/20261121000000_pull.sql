-- Pull requests: reviewed, and worked on where they stand.

-- issue: a new branch and pull request | pull: commits on a pull request | review
alter table task add column kind text not null default 'issue';
-- The commit that was looked at, for reviews and work on a pull request. Checks of forks name nothing else.
alter table task add column head_sha text;
-- What asked, by a name that several deliveries share: a review with five comments is one ask.
alter table task add column origin text;
-- The pull request that the task has opened.
alter table task add column pull bigint;

drop index task_open;
create unique index task_open on task (repository_id, number)
    where kind <> 'review' and state in ('queued', 'running', 'publishing', 'waiting');
-- One review waits, for the newest commit; another may run meanwhile, for the commit before.
create unique index task_review_waits on task (repository_id, number) where kind = 'review' and state = 'queued';
create unique index task_origin on task (repository_id, origin);
create index task_head on task (repository_id, head_sha);
create index task_pull on task (repository_id, pull);

-- Jobs of one thread run one after the other.
alter table job add column thread text not null default '';

-- The ledger: what reviews have found, so that nothing is said twice and what is fixed can be closed.
create table finding (
    finding_id    text   not null primary key,
    repository_id bigint not null,
    number        bigint not null,
    -- The review that found it.
    task_id       text   not null,
    path          text   not null,
    -- Of the code around it, not of its place.
    fingerprint   text   not null,
    -- open | fixed | dismissed
    state         text   not null,
    -- JSON: place, severity, title, reasoning.
    body          text   not null,
    -- The review comment that says it, once GitHub has told its id.
    comment_id    bigint,
    head_sha      text   not null,
    created_at    bigint not null,
    ended_at      bigint
);
create index finding_pull on finding (repository_id, number);

-- What the agent knew at the end of a run, to go on from. Written inside a sandbox: it goes nowhere but into another one.
create table session (
    task_id    text   not null primary key,
    session_id text   not null,
    archive    blob   not null,
    created_at bigint not null
);
