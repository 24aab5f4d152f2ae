-- Whether what a task does on GitHub is done by whoever asked, with a token of their own: sealed in `task_secret` as
-- `github_token`, beside `anthropic_api_key`. `installation_id` then stands for the person, with the bit 62 set.
alter table task add column own_token bigint not null default 0;
