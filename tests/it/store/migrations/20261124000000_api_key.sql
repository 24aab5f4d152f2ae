-- One for everything, one narrowed, one that is revoked.
insert into api_key (key_id, prefix, hash, name, scopes, created_at)
values ('01935000-0000-7000-8000-0000000000a1', 'ca_0123456789ab',
        '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 'operator', 'admin', 1700000000000);
insert into api_key (key_id, prefix, hash, name, scopes, repositories, rate_limit, budget_micros_per_day, created_at,
                     created_by, expires_at, last_used_at)
values ('01935000-0000-7000-8000-0000000000a2', 'ca_123456789abc',
        '60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752', 'dashboard', 'tasks:read usage:read',
        'octo/app octo/lib', 60, 5000000, 1700000000000, '01935000-0000-7000-8000-0000000000a1', 1800000000000,
        1700000060000);
insert into api_key (key_id, prefix, hash, name, scopes, created_at, revoked_at)
values ('01935000-0000-7000-8000-0000000000a3', 'ca_23456789abcd',
        'fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13', 'old', 'tasks:read', 1700000000000,
        1700000090000);
