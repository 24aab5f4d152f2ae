-- A task that worked with its caller's own token.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, ended_at, ending, key_id, own_token)
values ('01935000-0000-7000-8000-0000000000e3', 4611686018427407905, 56, 'other/app', 4503599627370482, '', 4611686018427387981,
        'api:dashboard', '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'failed', 1700000000000, 1700000060000, '{"code":"own_token_forbidden","says":"403"}',
        '01935000-0000-7000-8000-0000000000a2', 1);
