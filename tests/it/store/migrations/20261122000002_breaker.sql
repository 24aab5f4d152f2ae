-- One thread that waits for somebody to resume it, one that was resumed.
insert into breaker (repository_id, number, why, tripped_at) values (42, 1, 'thread', 1700000000000);
insert into breaker (repository_id, number, why, tripped_at, resumed_at, resumed_by)
values (42, 2, 'bots', 1700000000000, 1700000100000, 'alice');
