-- The queue: one row for each delivery to look at and each task to run, made in the transaction that makes what it
-- stands for and gone when that has ended. So the table stays small whatever the history.
create table job (
    -- The delivery's or task's id.
    job_id           text   not null primary key,
    -- delivery | task
    queue            text   not null,
    -- What is limited together: the repository's id for tasks, empty for deliveries.
    lane             text   not null default '',
    run_at           bigint not null,
    lease_owner      text,
    lease_until      bigint not null default 0,
    -- The fencing token: each claim adds one, and writes of an older claim are refused (invariant 2).
    epoch            bigint not null default 0,
    -- Claims that ended in a crash or an error of ours.
    attempts         bigint not null default 0,
    cancel_requested text,
    created_at       bigint not null
);
create index job_ready on job (queue, run_at);
create index job_lane on job (queue, lane, lease_until);
