-- Installations that were suspended. GitHub delivers nothing meanwhile, so what happened there is looked for when it is over.
create table suspension (
    app_id          bigint not null,
    installation_id bigint not null,
    -- By GitHub's clock, milliseconds: what happened since then is not known; null when that was looked for.
    since           bigint,
    -- When it was first found to be over; null until then.
    ended_at        bigint,
    primary key (app_id, installation_id)
);
-- The branch that the pull request was to go into when its head was approved; approvals of older versions have none.
alter table approval add column base text;
-- Of a comment that may be there twice: the issue or pull request. `external_id` is its marker then; the rest is empty.
alter table doubt add column number bigint not null default 0;
