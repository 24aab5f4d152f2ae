-- A check run that may be there twice.
insert into doubt (key, installation_id, repository_id, repository, head_sha, name, external_id, created_at)
values ('task:01935000-0000-7000-8000-00000000000a:check', 7, 55, 'octo/app', '1111111111111111111111111111111111111111',
        'cloud-agent', '01935000-0000-7000-8000-00000000000a', 1700000004000);
