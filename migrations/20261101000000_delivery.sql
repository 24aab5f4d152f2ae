-- What GitHub told us, as it was told. The row is committed before the 2xx (invariant 1).
create table delivery (
    delivery_id     text   not null primary key,
    app_id          bigint not null,
    -- GitHub's id of the event. Redeliveries carry the same one, and so do two Apps that hear of the same event.
    guid            text   not null,
    event           text   not null,
    action          text,
    installation_id bigint,
    repository      text,
    content_type    text   not null,
    -- The raw bytes that were signed, compressed with zstd: body size is what bounds accepts.
    body            blob   not null,
    received_at     bigint not null,
    -- waiting | done | ignored | failed
    state           text   not null,
    -- Why it did what it did, or nothing, in a sentence.
    decision        text,
    task_id         text,
    unique (app_id, guid)
);
