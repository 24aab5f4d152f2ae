-- What never came: how far GitHub's list of an App's deliveries has been compared with ours, and who is at it.
create table sweep (
    app_id              bigint not null primary key,
    -- When this database first looked. What GitHub says was taken before that was taken by somebody else.
    begun_at            bigint not null,
    -- All that GitHub lists up to here is known. 0 before the first look came to its end.
    swept_until         bigint not null default 0,
    -- GitHub's list does not reach back to here, so repositories are looked through instead; null when that is done.
    list_since          bigint,
    -- The last repository that was looked through.
    listed_installation bigint not null default 0,
    listed_repository   bigint not null default 0,
    -- One process at a time, by the database's clock.
    owner               text,
    owned_until         bigint not null default 0
);

-- Deliveries that GitHub did not bring: what they tell of may be long over.
create table late (
    delivery_id text   not null primary key,
    -- pulled (from GitHub's list of deliveries) | listed (made of what a repository shows)
    source      text   not null,
    created_at  bigint not null
);
