insert into used (task_id, epoch, model, input, output, cache_read, cache_write, micros)
values ('01939f6e-0000-7000-8000-000000000001', 1, 'claude-sonnet-4-5', 1200, 340, 56000, 7800, 52000),
       ('01939f6e-0000-7000-8000-000000000001', 2, 'claude-sonnet-4-5', 10, 20, 0, 0, 330),
       ('01939f6e-0000-7000-8000-000000000001', 2, 'claude-haiku-4-5', 900, 12, 0, 0, 960);
