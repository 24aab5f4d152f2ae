-- One that waits for GitHub.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, progress, created_at, started_at,
                  waits_for, waits_until, waits_says, waits_since, waits_tries)
values ('01935000-0000-7000-8000-00000000000e', 7, 55, 'octo/app', 5, '01935000-0000-7000-8000-000000000007', 9, 'alice',
        '{"kind":"comment","id":6}', 'fix this',
        '{"title":"The greeting is short","body":"","author":"alice","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111"}',
        'waiting', '{"agent":{"session":"22222222-2222-4222-8222-222222222222"}}', 1700000000000, 1700000001000,
        'github', 1700000060000, 'GitHub could not be reached', 1700000002000, 3);
insert into effect (key, task_id, job_id, state, result, created_at)
values ('task:01935000-0000-7000-8000-00000000000e:comment', '01935000-0000-7000-8000-00000000000e',
        '01935000-0000-7000-8000-00000000000e', 'intended', null, 1700000002000);
