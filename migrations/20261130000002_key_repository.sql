-- Ids of the repositories that a key is narrowed to, in the order of `repositories`, with spaces between them: names change, and
-- go to somebody else. 0 where the name was not seen on GitHub yet. `repositories` follows: it has the names of today.
alter table api_key add column repository_ids text;
