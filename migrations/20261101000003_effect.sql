-- Each write to GitHub: its intent before the call, its result after. An intent without a result is reconciled by
-- reading GitHub before anything is written again (invariant 9).
create table effect (
    -- Unique per subject and purpose, such as `task:<id>:pull`.
    key        text   not null primary key,
    task_id    text,
    -- intended | done | refused
    state      text   not null,
    -- JSON that the call answered, or the sentence it was refused with.
    result     text,
    created_at bigint not null,
    ended_at   bigint
);
