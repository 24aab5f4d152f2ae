-- Lists of tasks by who asked for them: without it each would read all that were ever made.
create index task_of_requester on task (lower(requester), created_at, task_id);
