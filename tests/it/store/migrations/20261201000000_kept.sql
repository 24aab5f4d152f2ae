-- A task that waits, and what one machine has put aside of it.
insert into job (job_id, queue, lane, run_at, created_at, home)
values ('01935000-0000-7000-8000-0000000000b1', 'task', '55', 9900000000000, 1700000000000,
        '5f0c6a52-6f0e-4b56-9d4e-3f1f6a1f2f10');
insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
                  trigger_json, prompt, snapshot, state, created_at, progress)
values ('01935000-0000-7000-8000-0000000000b1', 3, 55, 'octo/app', 4503599627370481, '', 4611686018427387981, 'api:dashboard',
        '{"kind":"api"}', 'greet the world',
        '{"title":"greet the world","body":"","author":"api:dashboard","labels":[],"thread":[],"comment":null,"base_branch":"main","base_sha":"d6f7cd2d81bd1c1e1ee7a3ea7f7c9d2d1a4a8a11"}',
        'waiting', 1700000000000,
        '{"agent":{"session":"7b0c6a52-6f0e-4b56-9d4e-3f1f6a1f2f11","tree":"7b0c6a52-6f0e-4b56-9d4e-3f1f6a1f2f12"}}');
insert into kept (task_id, session, tree, conversation, size, digest, created_at)
values ('01935000-0000-7000-8000-0000000000b1', '7b0c6a52-6f0e-4b56-9d4e-3f1f6a1f2f11', '7b0c6a52-6f0e-4b56-9d4e-3f1f6a1f2f12',
        6, 13, '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 1700000000000);
insert into kept_piece (task_id, piece, digest, sealed_with, content)
values ('01935000-0000-7000-8000-0000000000b1', 0, '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        'f545043b3e5ecc9b', :archive);
