-- For whose eyes an answer under an Idempotency-Key was given. The same request with other grants is the same request, but
-- is answered from the log and not from here. Null in answers of older versions: those are answered from the log as well.
alter table opstruth.idempotency_keys add column scope_digest text;
