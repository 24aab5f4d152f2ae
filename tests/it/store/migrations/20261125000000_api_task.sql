-- Asked for with a key, and its child; and what made it.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, ended_at, ending, key_id, budget_micros)
values ('01935000-0000-7000-8000-0000000000d1', 3, 55, 'octo/app', 4503599627370499, '', 4611686018427387981, 'api:dashboard',
        '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'completed', 1700000000000, 1700000060000, '{"code":"answered","says":""}',
        '01935000-0000-7000-8000-0000000000a2', 500000);
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, ended_at, ending, key_id, parent_id)
values ('01935000-0000-7000-8000-0000000000d2', 3, 55, 'octo/app', 4503599627370499, '', 4611686018427387981, 'api:dashboard',
        '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'failed', 1700000070000, 1700000080000, '{"code":"crashed","says":""}',
        'admin', '01935000-0000-7000-8000-0000000000d1');
insert into api_order (key_id, idempotency_key, digest, task_id, created_at)
values ('01935000-0000-7000-8000-0000000000a2', 'order-1',
        '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        '01935000-0000-7000-8000-0000000000d1', 1700000000000);
