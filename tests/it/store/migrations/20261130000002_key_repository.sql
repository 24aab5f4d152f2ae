-- Narrowed to one repository that was seen, and one that was not.
insert into api_key (key_id, prefix, hash, name, scopes, repositories, repository_ids, created_at)
values ('01935000-0000-7000-8000-0000000000a4', 'ca_3456789abcde',
        '60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752', 'bound', 'tasks:read', 'octo/app octo/new', '55 0',
        1700000000000);
