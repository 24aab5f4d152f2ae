-- A delivery in the lane of its installation, never claimed.
insert into delivery (delivery_id, app_id, guid, event, action, installation_id, repository, content_type, body,
                      received_at, state)
values ('01935000-0000-7000-8000-0000000000e1', 1, 'in a lane', 'issue_comment', 'created', 3, 'octo/app',
        'application/json', :body, 1700000000000, 'waiting');
insert into job (job_id, queue, lane, run_at, created_at)
values ('01935000-0000-7000-8000-0000000000e1', 'delivery', '3', 1700000000000, 1700000000000);
