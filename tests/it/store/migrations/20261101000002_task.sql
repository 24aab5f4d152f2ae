-- One that ran when the worker died, one that has ended.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, progress, created_at, started_at)
values ('01935000-0000-7000-8000-00000000000a', 7, 55, 'octo/app', 1, '01935000-0000-7000-8000-000000000003', 9, 'alice',
        '{"kind":"comment","id":5}', 'fix this',
        '{"title":"The greeting is short","body":"","author":"alice","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111"}',
        'running', '{}', 1700000000000, 1700000001000);
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, ending, spent_micros, turns, created_at, ended_at)
values ('01935000-0000-7000-8000-00000000000b', 7, 55, 'octo/app', 2, '01935000-0000-7000-8000-000000000004', 9, 'alice',
        '{"kind":"labeled"}', '',
        '{"title":"Another","body":"","author":"alice","labels":["cloud-agent"],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111"}',
        'completed', '{"code":"pull_request","pull":3}', 20000, 2, 1700000000000, 1700000009000);
insert into task_event (task_id, seq, at, kind, body)
values ('01935000-0000-7000-8000-00000000000b', 1, 1700000001000, 'run', '{"step":"checkout"}');
