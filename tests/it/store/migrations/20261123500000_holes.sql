-- One installation that is suspended, one that was and is looked after for a while, and an approval with its base.
insert into suspension (app_id, installation_id, since) values (1, 7, 1700000000000);
insert into suspension (app_id, installation_id, since, ended_at) values (1, 8, null, 1700000900000);
insert into approval (repository_id, number, head_sha, approver_id, approver, said_at, words, approved_at, base)
values (55, 6, '4444444444444444444444444444444444444444', 9, 'alice', '2026-11-23T10:02:00Z',
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 1700000003000, 'main');
-- A comment that may be there twice.
insert into doubt (key, installation_id, repository_id, repository, head_sha, name, external_id, created_at, number)
values ('task:01935000-0000-7000-8000-000000000002:comment', 7, 55, 'octo/app', '', '',
        '<!-- cloud-agent:task=01935000-0000-7000-8000-000000000002 -->', 1700000004000, 5);
