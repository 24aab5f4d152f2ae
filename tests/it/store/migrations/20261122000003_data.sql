-- A review whose check run needs no look any more.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, ending, created_at, ended_at, kind, check_settled)
values ('01935000-0000-7000-8000-00000000000d', 7, 55, 'octo/app', 4, '01935000-0000-7000-8000-000000000006', 9, 'alice',
        '{"kind":"pull"}', 'review',
        '{"title":"Say less","body":"","author":"bob","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111"}',
        'completed', '{"code":"reviewed"}', 1700000000000, 1700000009000, 'review', 1);
