-- A task with its caller's own key, whose end was told at the second try.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, ended_at, ending, key_id, own_key)
values ('01935000-0000-7000-8000-0000000000e1', 3, 55, 'octo/app', 4503599627370480, '', 4611686018427387981, 'api:dashboard',
        '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'completed', 1700000000000, 1700000060000, '{"code":"answered","says":""}',
        '01935000-0000-7000-8000-0000000000a2', 1);
insert into callback (task_id, delivery_id, host, tries, status, outcome, ended_at)
values ('01935000-0000-7000-8000-0000000000e1', '01935000-0000-7000-8000-0000000000f1', 'hooks.example.com', 2, 204,
        'delivered', 1700000071000);
