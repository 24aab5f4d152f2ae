insert into approval (repository_id, number, head_sha, approver_id, approver, said_at, words, approved_at, voided_at)
values (55, 5, '2222222222222222222222222222222222222222', 9, 'alice', '2026-11-23T10:00:00Z',
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 1700000000000, 1700000001000);
insert into approval (repository_id, number, head_sha, approver_id, approver, said_at, words, approved_at)
values (55, 5, '3333333333333333333333333333333333333333', 9, 'alice', '2026-11-23T10:01:00Z',
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 1700000002000);
insert into change_after (repository_id, number, what, happened_at, head_sha, noted_at)
values (55, 5, 'head', '2026-11-23T10:00:30Z', '3333333333333333333333333333333333333333', 1700000001000);
insert into change_after (repository_id, number, what, happened_at, noted_at)
values (55, 5, 'comment:6', '2026-11-23T10:00:40Z', 1700000001500);
-- One whose request and snapshot have a digest.
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, snapshot_hash)
values ('01935000-0000-7000-8000-00000000000f', 7, 55, 'octo/app', 6, '01935000-0000-7000-8000-000000000007', 9, 'alice',
        '{"kind":"comment","id":6}', 'fix this',
        '{"title":"The greeting is short","body":"","author":"alice","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"1111111111111111111111111111111111111111","lane":"guarded","ground":"words"}',
        'completed', 1700000000000, '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae');
