-- A review that found something, and a conversation as it was kept before there were keys.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, ending, created_at, ended_at, kind, head_sha, origin, pull)
values ('01935000-0000-7000-8000-00000000000c', 7, 55, 'octo/app', 3, '01935000-0000-7000-8000-000000000005', 9, 'alice',
        '{"kind":"pull"}', 'review',
        '{"title":"Say more","body":"","author":"bob","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111"}',
        'completed', '{"code":"reviewed"}', 1700000000000, 1700000009000, 'review',
        '2222222222222222222222222222222222222222', 'comment:5', null);
insert into finding (finding_id, repository_id, number, task_id, path, fingerprint, state, body, comment_id, head_sha,
                     created_at)
values ('01935000-0000-7000-8000-0000000000f1', 55, 3, '01935000-0000-7000-8000-00000000000c', 'src/main.rs', 'abc', 'open',
        '{"path":"src/main.rs","line":3,"side":"RIGHT","severity":"high","category":"correctness","title":"It is off by one","confidence":90}',
        77, '2222222222222222222222222222222222222222', 1700000008000);
insert into session (task_id, session_id, archive, created_at)
values ('01935000-0000-7000-8000-00000000000b', '6f2ad1f0-0000-4000-8000-000000000000', :archive, 1700000009000);
