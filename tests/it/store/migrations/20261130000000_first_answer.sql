-- A task that opened its pull request two minutes after it was asked for, paid for with its caller's own key.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, ended_at, ending, key_id, own_key, pull,
                  answered_after, pull_after)
values ('01935000-0000-7000-8000-0000000000e2', 3, 55, 'octo/app', 4503599627370481, '', 4611686018427387981, 'api:dashboard',
        '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'completed', 1700000000000, 1700000130000, '{"code":"pull_request","says":"","pull":9}',
        '01935000-0000-7000-8000-0000000000a2', 1, 9, 900, 120000);
