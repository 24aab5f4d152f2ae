-- One App whose list is compared, in the middle of looking through its repositories; one delivery that was fetched.
insert into sweep (app_id, begun_at, swept_until, list_since, listed_installation, listed_repository, owner, owned_until)
values (1, 1700000000000, 1700000300000, 1699000000000, 7, 42, '0193a000-0000-4000-8000-000000000001', 1700000360000);
insert into late (delivery_id, source, created_at) values ('01935000-0000-7000-8000-000000000001', 'pulled', 1700000000000);
