-- An installation that GitHub asked to be silent.
insert into pace (installation_id, next_write_at, minute_at, hour_at, silent_until, graphql_until, why, strikes)
values (7, 1700000001000, 1700000002000, 1700000003000, 1700000060000, 0, 'secondary', 1);
