-- With which grants a key was used, and then answered: the same request with a renewed token is the same request, and its answer
-- is for whoever may see as much. Null in rows of older versions, whose digests are made of other things: those are answered
-- from the log, where the command's own events are found.
alter table opstruth.idempotency_keys add column scope json;
