-- A write that was made, and one of which nobody knows.
insert into effect (key, task_id, state, result, created_at, ended_at)
values ('task:01935000-0000-7000-8000-00000000000a:comment', '01935000-0000-7000-8000-00000000000a', 'done', '42',
        1700000001000, 1700000002000);
insert into effect (key, task_id, state, created_at)
values ('task:01935000-0000-7000-8000-00000000000a:pull', '01935000-0000-7000-8000-00000000000a', 'intended', 1700000003000);
