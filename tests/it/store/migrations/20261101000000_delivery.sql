-- One that nobody has looked at, one that was ignored.
insert into delivery (delivery_id, app_id, guid, event, action, installation_id, repository, content_type, body,
                      received_at, state)
values ('01935000-0000-7000-8000-000000000001', 1, 'waits', 'issues', 'opened', 7, 'octo/app', 'application/json', :body,
        1700000000000, 'waiting');
insert into delivery (delivery_id, app_id, guid, event, content_type, body, received_at, state, decision)
values ('01935000-0000-7000-8000-000000000002', 1, 'ignored', 'push', 'application/json', :body, 1700000000000, 'ignored',
        'nobody asked');
