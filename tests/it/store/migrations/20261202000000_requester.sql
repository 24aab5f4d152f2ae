-- The rows of the other files have somebody who asked for them.
update task set requester = requester;
