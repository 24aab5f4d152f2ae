-- The delivery's, never claimed; and one whose worker has died.
insert into job (job_id, queue, run_at, created_at)
values ('01935000-0000-7000-8000-000000000001', 'delivery', 1700000000000, 1700000000000);
insert into job (job_id, queue, lane, run_at, lease_owner, lease_until, epoch, attempts, created_at)
values ('01935000-0000-7000-8000-00000000000a', 'task', '55', 1700000000000, 'dead', 1700000030000, 3, 2, 1700000000000);
